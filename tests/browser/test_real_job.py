"""A job from the page to its files: submitted, run by a worker's own tasks, read, exported, downloaded."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from playwright.sync_api import expect

from service.queue import TaskName
from service.store import exports
from tests.browser.conftest import Site
from tests.browser.looking import api, texts
from tests.worker.conftest import Bench, tiny_job, write_data

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_job_goes_from_the_form_to_a_downloaded_export(
    page: Page, fresh_site: Site, tmp_path: Path
) -> None:
    site, bench = fresh_site, Bench(tmp_path)
    write_data(bench.settings.data_folder)
    page.goto(f"{site.url}/#/new")
    page.wait_for_selector("[data-valid=yes]")
    page.fill("#yaml", yaml.safe_dump(tiny_job()))
    expect(page.locator("[data-valid=yes]")).to_have_count(1)
    page.click("button:has-text('Submit')")
    page.wait_for_selector(".job-head")
    job_id = page.url.rpartition("/")[2]
    expect(page.locator("#front .nothing")).to_contain_text("No trial yet")

    bench.queue.send(TaskName.ADVANCE_JOB, job_id)
    bench.work()
    page.wait_for_selector(".job-head .chip.done")
    best = api(page, site, f"/v1/jobs/{job_id}")["best"]
    expect(page.locator(".trial-title")).to_contain_text(f"Trial {best['number']} best score")

    trial = f"/v1/jobs/{job_id}/trials/{best['number']}"
    check_classes(page, api(page, site, f"{trial}/classes")["test"])
    check_tensors(page, api(page, site, f"{trial}/artifacts/tensors.json"))

    page.click("button:has-text('Export…')")
    page.check("#format-keras")
    page.click("dialog button[value=go]")
    expect(page.locator("[data-answer=exports]")).to_contain_text("queued")
    with bench.database.reading() as session:
        bench.queue.send(TaskName.MAKE_EXPORT, exports.get(session, job_id, best["number"], "keras").id)
    bench.work()
    expect(page.locator("[data-answer=exports]")).to_contain_text("exactly the model's numbers")
    with page.expect_download() as waiting:
        page.click("[data-answer=exports] a")
    waiting.value.save_as(tmp_path / "export.zip")
    assert "model.keras" in zipfile.ZipFile(tmp_path / "export.zip").namelist()


def check_classes(page: Page, metrics: Any) -> None:
    """The matrix is that of the test data, the sentence names its weakest class."""
    page.click("summary:has-text('Class by class')")
    recall = metrics["by_class"]["recall"]
    weakest = min(range(len(recall)), key=lambda label: recall[label])
    expect(page.locator("[data-answer=classes]")).to_contain_text(
        f"Of {len(recall)} classes {weakest} is recognized least: {100 * recall[weakest]:.1f} %"
    )
    page.click("#confusion .twin summary")
    counts = metrics["confusion"][0]
    cells = texts(page.locator("#confusion .twin tbody tr").first.locator("td"), 1 + len(counts))
    assert cells[1:] == [str(count) for count in counts]


def check_tensors(page: Page, document: Any) -> None:
    """Weights and activations are listed with their noise; layers show it too."""
    tensors = document["tensors"]
    assert {tensor["kind"] for tensor in tensors} == {"weights", "activations"}
    page.click("summary:has-text('Histograms of weights and activations')")
    chosen = next(tensor for tensor in tensors if tensor["kind"] == "activations" and tensor["sqnr_db"])
    page.select_option("#tensor select", f"{chosen['layer']} {chosen['slot']}")
    expect(page.locator("[data-answer=tensor]")).to_contain_text(f"{chosen['size']:,} activations of")
    expect(page.locator("[data-answer=tensor]")).to_contain_text(chosen["quantizer"])
    expect(page.locator("table.layers .noise")).to_have_count(len(tensors))
