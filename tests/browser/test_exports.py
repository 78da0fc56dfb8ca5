"""Exports and weights of a trial on the page: which format takes it, how large it is, how it compares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from playwright.sync_api import expect

from service.store import exports, trials
from tests.browser.conftest import Site
from tests.browser.looking import api, open_job
from tests.search.nets import functional, layer
from tests.service.filled import LEASE, Filled

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

CODES = np.array([[-1, 0, 0], [1, 1, 0]], dtype=np.int8)


@pytest.fixture
def exported(site: Site, tmp_path: Path) -> Filled:
    """A job whose trial 0 has the quantizers and weights of one Dense layer."""
    job = site.filler.job()
    (trial_id,) = site.filler.queue(job, 1)
    site.filler.measure(job, trial_id)
    document = {
        "architecture": functional((4,), [layer("Dense", "scores", ["input"], units=2)]),
        "layers": [
            {
                "name": "scores",
                "quantizers": {"kernel": {"text": "ternary()"}, "bias": {"text": "quantized_bits(4,0)"}},
            }
        ],
    }
    (tmp_path / "quantizers.json").write_text(json.dumps(document))
    np.savez(
        tmp_path / "weights.npz", **{"scores/kernel/codes": CODES, "scores/kernel/scale": np.float32(0.5)}
    )
    blobs = site.blobs
    files = {name: blobs.put(tmp_path / name) for name in ("quantizers.json", "weights.npz")}
    with site.filler.database.transaction() as session:
        trials.put_artifacts(session, trial_id, files)
    return job


def finish(site: Site, job_id: str, name: str, path: Path) -> None:
    """Play the worker that makes an export."""
    path.write_bytes(b"a zip")
    blob = site.blobs.put(path)
    proof = {
        "examples": 5,
        "exact": False,
        "equal_classes": 0.8,
        "largest_difference": 0.25,
        "largest_output": 1.0,
        "metric": 0.75,
        "model_metric": 0.875,
        "validation_examples": 8,
    }
    with site.filler.database.transaction() as session:
        row = exports.get(session, job_id, 0, name)
        claim = exports.claim(session, row.id, worker="host/1/0", lease=LEASE)
        assert claim is not None
        files = [{"name": "model.keras", "size_bytes": 4}]
        assert exports.finish(session, claim, blob, files=files, proof=proof, figures=None, notes=[])


def test_which_export_works_how_large_it_is_and_how_good(
    page: Page, site: Site, exported: Filled, tmp_path: Path
) -> None:
    open_job(page, site, exported, "?trial=0")
    page.click("button:has-text('Export…')")
    formats = api(page, site, f"/v1/jobs/{exported.job_id}/trials/0/formats")["items"]
    for item in formats:
        radio = page.locator(f"#format-{item['name']}")
        expect(radio).to_be_enabled() if item["possible"] else expect(radio).to_be_disabled()
    page.check("#format-keras")
    page.click("dialog button[value=go]")
    expect(page.locator("[data-answer=exports]")).to_contain_text("queued")
    (made,) = api(page, site, f"/v1/jobs/{exported.job_id}/trials/0/exports")["items"]
    finish(site, exported.job_id, made["name"], tmp_path / "keras.zip")
    answer = page.locator("[data-answer=exports]")
    expect(answer).to_contain_text("80.0 % of 5 test inputs have the same class")
    expect(answer).to_contain_text("accuracy 75.00 % on validation data (the model: 87.50 %)")
    expect(answer).to_contain_text("5 bytes")
    with page.expect_download() as waiting:
        page.click("[data-answer=exports] a")
    waiting.value.save_as(tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == b"a zip"


def test_weights_are_counted_by_level(page: Page, site: Site, exported: Filled) -> None:
    (tensor,) = api(page, site, f"/v1/jobs/{exported.job_id}/trials/0/weights")["tensors"]
    assert (tensor["levels"], tensor["counts"], tensor["smallest_scale"]) == ([-1, 0, 1], [1, 3, 2], 0.5)
    open_job(page, site, exported, "?trial=0")
    page.click("summary:has-text('Histograms of weights')")
    expect(page.locator("#weights")).to_contain_text("scores kernel: 6 weights at 3 levels")
    expect(page.locator("#weights")).to_contain_text("50 % are zero")
