"""A job from the page: by form and as YAML, checked, tried, submitted, cloned, searched around; uploads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site, fill
from tests.browser.looking import api, open_front, open_job, yaml_of
from tests.service.filled import Filled

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_job_is_written_tried_and_submitted(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/#/new")
    page.wait_for_selector("[data-valid=yes]")
    page.fill("#form-name", "from the page")
    page.press("#form-name", "Tab")
    page.fill("#form-trials", "7")
    page.press("#form-trials", "Tab")
    page.select_option("#form-oracle", "frugal")
    yaml_of(page, "name: from the page", "trials: 7", "oracle: frugal")
    page.click("button:has-text('Dry run')")
    page.wait_for_selector("#dry-run .tiles")
    expect(page.locator("#dry-run")).to_contain_text("7 trials allowed")
    expect(page.locator("#dry-run")).to_contain_text("conv2d_0")
    page.click("button:has-text('Submit')")
    page.wait_for_selector(".job-head")
    job = api(page, site, "/v1/jobs")["items"][0]  # the newest first
    expect(page).to_have_url(re.compile(f"#/jobs/{job['id']}$"))
    assert job["name"] == "from the page"


def test_faults_are_told_while_the_job_is_written(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/#/new")
    page.wait_for_selector("[data-valid=yes]")
    text = yaml_of(page, "trials: 20", "model: digits_cnn")
    page.fill("#yaml", text.replace("trials: 20", "trials: 0"))
    expect(page.locator(".fault-list")).to_contain_text("/budget/trials")
    expect(page.locator("button:has-text('Submit')")).to_be_disabled()
    page.fill("#yaml", text + "\n  bad: [")
    expect(page.locator(".fault-list")).to_contain_text("line ")
    page.fill("#yaml", text.replace("model: digits_cnn", "model: mnist_convblock"))
    page.wait_for_selector("[data-valid=yes]")
    page.click("button:has-text('Dry run')")
    page.wait_for_selector("#dry-run .fault")  # the data do not fit the model: only the service knows
    expect(page.locator("#dry-run")).to_contain_text("data")


def test_a_clone_differs_where_it_was_changed(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    page.click("a:has-text('Clone & edit')")
    page.wait_for_selector("[data-valid=yes]")
    page.fill("#form-delta_p", "3")
    page.press("#form-delta_p", "Tab")
    page.click("button:has-text('Submit')")
    page.wait_for_url(lambda url: "/jobs/" in url and filled.job_id not in url)
    clone = api(page, site, "/v1/jobs/" + page.url.rpartition("/")[2])
    original = api(page, site, f"/v1/jobs/{filled.job_id}")
    assert clone["spec"]["goal"] == original["spec"]["goal"] | {"delta_p": 3.0}
    assert clone["spec"]["limits"] == original["spec"]["limits"]


def test_a_search_goes_on_around_a_trial(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled, "?trial=3")
    page.click("a:has-text('Search on from here')")
    page.wait_for_selector("[data-valid=yes]")
    page.click("button:has-text('Dry run')")
    page.wait_for_selector("#dry-run .tiles, #dry-run .fault")
    expect(page.locator("#dry-run .fault")).to_have_count(0)
    chosen = api(page, site, f"/v1/jobs/{filled.job_id}/trials/3")["choices"]
    rows = page.locator("#dry-run [aria-label=candidates] tbody tr")
    for name, value in chosen.items():
        layer, _, slot = name.rpartition(".")
        if slot != "filters":
            row = rows.filter(has_text=re.compile("^" + re.escape(layer))).filter(has_text=slot)
            expect(row.filter(has_text=str(value)).first).to_be_attached()


def test_data_are_uploaded_with_progress_and_used(page: Page, site: Site, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    draw = np.random.default_rng(0)
    np.savez(
        path,
        x_train=draw.random((40, 8, 8, 1), dtype="float32"),
        y_train=np.arange(40) % 10,
        x_test=draw.random((10, 8, 8, 1), dtype="float32"),
        y_test=np.arange(10),
    )
    page.goto(f"{site.url}/#/library")
    page.wait_for_selector("h1")
    page.set_input_files("input[aria-label='Upload a data set']", path)
    page.wait_for_selector("tr:has-text('mine.npz')")
    (item,) = [item for item in api(page, site, "/v1/datasets")["items"] if item["name"] == "mine.npz"]
    assert item["status"] == "complete"
    page.click("tr:has-text('mine.npz') a:has-text('New job')")
    page.wait_for_selector("[data-valid=yes]")
    yaml_of(page, item["id"])


def test_a_broken_upload_goes_on_where_it_stopped(page: Page, site: Site, tmp_path: Path) -> None:
    path = tmp_path / "large.npz"
    np.savez(
        path,
        x_train=np.zeros((700, 1000)),
        y_train=np.zeros(700),
        x_test=np.zeros((9, 1000)),
        y_test=np.zeros(9),
    )
    content = path.read_bytes()
    created = page.request.post(
        f"{site.url}/v1/datasets", data={"name": "large.npz", "size_bytes": len(content)}
    )
    upload = created.json()["id"]
    page.request.patch(
        f"{site.url}/v1/datasets/{upload}/content",
        data=content[:1_000_000],
        headers={"upload-offset": "0", "content-type": "application/octet-stream"},
    )
    offsets: list[str] = []
    page.on(
        "request",
        lambda request: (
            offsets.append(request.headers.get("upload-offset", "")) if request.method == "PATCH" else None
        ),
    )
    page.goto(f"{site.url}/#/library")
    page.wait_for_selector("tr:has-text('large.npz')")
    page.set_input_files("input[aria-label='Upload a data set']", path)
    expect(page.locator("tr:has-text('large.npz')")).not_to_contain_text("incomplete")
    assert offsets[0] == "1000000"
    assert api(page, site, f"/v1/datasets/{upload}")["sha256"] is not None


def test_the_list_compares_the_fronts_of_jobs(page: Page, fresh_site: Site) -> None:
    filled = fill(fresh_site)
    other = fresh_site.filler.job()
    for trial_id in fresh_site.filler.queue(other, 3):
        fresh_site.filler.measure(other, trial_id)
    page.goto(f"{fresh_site.url}/#/")
    page.wait_for_selector("tbody tr:nth-child(2)")
    for button in page.locator("button.compare").all():
        button.click()
    page.wait_for_selector("#fronts .twin")
    page.click("#fronts .twin summary")
    fronts = [
        len(api(page, fresh_site, f"/v1/jobs/{job}/pareto")["items"]) for job in (filled.job_id, other.job_id)
    ]
    expect(page.locator("#fronts tbody tr")).to_have_count(sum(fronts))


def test_charts_are_saved_as_pictures_and_numbers(
    page: Page, site: Site, filled: Filled, tmp_path: Path
) -> None:
    open_front(page, site, filled)
    starts = {"PNG": b"\x89PNG", "SVG": b"<svg", "CSV": b"trial,status"}
    for kind, start in starts.items():
        page.locator("#front .menu").evaluate("menu => { menu.open = true; }")
        with page.expect_download() as waiting:
            page.click(f"#front .menu button:has-text('{kind}')")
        waiting.value.save_as(tmp_path / kind)
        assert (tmp_path / kind).read_bytes().startswith(start)
    assert (tmp_path / "CSV").read_text().count("\n") == 9
