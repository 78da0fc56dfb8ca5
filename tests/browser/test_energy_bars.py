"""The energy bars of a trial show exactly the parts that the API says are included, for every network and profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sqlalchemy import update

from costmodel.network import read_network
from costmodel.technology import PROFILES
from search.networks.zoo import ZOO, zoo_config
from service.store.models import TrialLayer
from tests.browser.conftest import Site
from tests.service.filled import JOB, Filler

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PARTS = ("inputs", "outputs", "parameters", "operations")

#: Each row's layer, and the parts of its bar with their widths in percent.
READ_BARS = """rows => rows.map(row => ({
    name: row.querySelector("th").firstChild.textContent,
    parts: Object.fromEntries([...row.querySelectorAll(".stack i")].map(
        part => [part.className, parseFloat(part.style.width)])),
}))"""


def write_examples(folder: Path, name: str) -> dict[str, Any]:
    """A few examples of the network's shape; the job's `data`."""
    network = read_network(zoo_config(name))
    shape, outputs = network.layers[0].output_shape, network.layers[-1].output_shape
    arrays = {}
    for part, count in (("train", 4 * outputs[-1]), ("test", outputs[-1])):
        arrays[f"x_{part}"] = np.random.default_rng(0).random((count, *shape), dtype="float32")
        arrays[f"y_{part}"] = np.arange(count) % outputs[-1]
    np.savez(folder / f"{name}.npz", **arrays)
    return {"kind": "npz", "file": f"{name}.npz"}


def zoo_job(folder: Path, name: str, profile: str) -> dict[str, Any]:
    """A search over a network of the zoo, priced under a profile."""
    data: dict[str, Any] = {
        "digits_cnn": {"kind": "digits"},
        "digits_autoencoder": {"kind": "digits", "targets": "inputs"},
        "diabetes_mlp": {"kind": "diabetes"},
    }.get(name) or write_examples(folder, name)
    objective = {"digits_autoencoder": {"objective": "mse"}, "diabetes_mlp": {"objective": "mae"}}.get(
        name, {}
    )
    limits = {
        "by_class": {"Dense": [8, 8, 4], "Conv2D": [4, 8, 4], "Activation": [4], "BatchNormalization": []}
    }
    goal = {"kind": "energy", "profile": profile}
    changes = {"name": f"{name} {profile}", "model": name, "data": data, "limits": limits, "goal": goal}
    return {key: value for key, value in JOB.items() if key != "filters"} | changes | objective


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_bar_shows_the_parts_that_the_api_includes(page: Page, site: Site, profile: str) -> None:
    shown = 0
    for name in ZOO:
        shown += compare_bars(page, site, zoo_job(site.filler.folder, name, profile))
    assert shown > 200


def compare_bars(page: Page, site: Site, document: dict[str, Any]) -> int:
    """Measure a trial of a job, open it, and compare each bar with the API; the number of bars."""
    filler: Filler = site.filler
    job = filler.job(document)
    (trial_id,) = filler.queue(job, 1)
    filler.measure(job, trial_id)
    trial = page.request.get(f"{site.url}/v1/jobs/{job.job_id}/trials/0").json()
    layers = {layer["name"]: layer for layer in trial["layers"]}
    page.goto(f"{site.url}/#/jobs/{job.job_id}/trials/0")
    page.wait_for_selector(f"table.layers tbody tr:nth-child({len(layers)})")
    bars = page.locator("table.layers tbody tr").evaluate_all(READ_BARS)
    assert [bar["name"] for bar in bars] == list(layers)
    largest = max(layer["included_pj"] for layer in layers.values())
    for bar in bars:
        layer = layers[bar["name"]]
        assert set(bar["parts"]) == {f"{part}_pj" for part in layer["included"]}, (
            document["name"],
            bar["name"],
        )
        for part, width in bar["parts"].items():
            assert width == pytest.approx(100 * layer[part] / largest, rel=1e-3, abs=1e-6)
        assert sum(layer[f"{part}_pj"] for part in layer["included"]) == pytest.approx(
            layer["included_pj"], abs=0.05
        )
    return len(bars)


def test_a_trial_stored_without_its_parts_has_a_visible_bar(page: Page, site: Site) -> None:
    """Version 0.1.0 stored the energies of layers without saying which parts are included."""
    job = site.filler.job()
    (trial_id,) = site.filler.queue(job, 1)
    site.filler.measure(job, trial_id)
    with site.filler.database.transaction() as session:
        session.execute(update(TrialLayer).values(included=None))
    page.goto(f"{site.url}/#/jobs/{job.job_id}/trials/0")
    page.wait_for_selector("table.layers tbody tr")
    bars = page.locator("table.layers .stack i").evaluate_all(
        "parts => parts.map(part => [part.className, getComputedStyle(part).backgroundColor])"
    )
    assert len(bars) == len(job.plan.reference.layers)
    assert {name for name, _ in bars} == {"included_pj"}
    assert "rgba(0, 0, 0, 0)" not in {color for _, color in bars}
