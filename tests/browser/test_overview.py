"""What overview and definition show besides answers: trials that run, parts of layers, kinds of quantizers, stages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site
from tests.browser.looking import api, job_of, open_front, open_job
from tests.service.filled import JOB, Filled

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PARTS = ("operations", "parameters", "inputs", "outputs")


def test_running_trials_are_drawn_with_their_metric_so_far(page: Page, site: Site, own: Filled) -> None:
    open_front(page, site, own)
    metrics = api(page, site, f"/v1/jobs/{own.job_id}/trials/9")["epochs"][-1]["metrics"]
    key = page.locator("#front .key:has(.dot-running)")
    expect(key).to_have_text(re.compile("running 1"))
    expect(key).to_have_attribute("title", f"trial 9: {100 * metrics['val_accuracy']:.2f} % after 1 epoch")
    [trial_id] = site.filler.queue(own, 1, first=10)
    site.filler.start(trial_id, epochs=3)
    expect(key).to_have_attribute("title", re.compile(r"trial 10: [\d.]+ % after 3 epochs"))
    page.click("[data-tab=trials]")
    page.uncheck("#trials label:has-text('running') input")
    page.click("[data-tab=overview]")
    expect(key).to_have_count(0)


def test_the_first_questions_are_asked_once_and_ahead(page: Page, site: Site, filled: Filled) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(site.url)))
    open_front(page, site, filled)
    path = f"/v1/jobs/{filled.job_id}"
    points = f"{path}/points?fields=number%2Cstatus%2Cmetric%2Ccost"
    assert asked.count(points) == 1
    assert asked.index(path) < asked.index("/v1/session")  # asked by the first module, before the page's own
    page.goto(f"{site.url}/#/")
    expect(page.locator("table.rows tbody tr")).not_to_have_count(0)
    page.reload()
    expect(page.locator("table.rows tbody tr")).not_to_have_count(0)
    assert asked.count("/v1/jobs?limit=50") == 2


def test_a_cell_of_the_bit_map_is_explained(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    canvas = page.locator("#bit-map .canvas")
    canvas.scroll_into_view_if_needed()
    expect(canvas.locator("canvas")).to_have_count(1)
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": 0.6 * box["width"], "y": 20})
    answer = page.locator("[data-answer=cell]")
    expect(answer).to_have_text(re.compile(r"\S+ of trial \d+: \S+"))
    page.wait_for_url(re.compile(r"trial=\d+"))
    number = int(re.search(r"trial=(\d+)", page.url)[1])  # type: ignore[index]
    choices = api(page, site, f"/v1/jobs/{filled.job_id}/trials/{number}")["choices"]
    texts = "|".join(re.escape(f"{name} of trial {number}: {value}") for name, value in choices.items())
    expect(answer).to_have_text(re.compile(f"^({texts})"))


def test_on_a_linear_axis_layers_are_stacks_of_their_parts(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    legend = page.locator("#energy-by-layer .legend")
    expect(legend).to_have_text(re.compile("reference"))
    page.uncheck("#energy-by-layer label:has-text('log scale') input")
    page.wait_for_url("**elog=0*")
    for part in PARTS:
        expect(legend.locator(f".swatch.{part}_pj")).to_have_count(1)
    expect(legend).to_have_text(re.compile("from above: reference, trial"))
    page.click("#energy-by-layer .twin summary")
    row = page.locator("#energy-by-layer .twin tbody tr").first.locator("td").first
    layer = job_of(page, site, filled)["reference"]["layers"]
    priced = next(item for item in layer if item["included_pj"] > 0)
    expect(row).to_have_text(re.compile(rf"^{int(priced['included_pj'])}"))


def test_stages_of_a_training_are_listed_in_their_order(page: Page, site: Site) -> None:
    job = site.filler.job(JOB | {"oracle": {"kind": "descent", "stages": 4}, "budget": {"trials": 8}})
    ids = site.filler.queue(job, 3)
    costs = [site.filler.measure(job, trial_id) for trial_id in ids]
    open_job(page, site, job, "?tab=definition")
    expect(page.locator("#tab-panel")).to_contain_text("4 trials are one training, from precise to cheap")
    rows = page.locator("[data-answer=stages] tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(2)).to_contain_text(f"{100 * costs[2] / costs[0]:.1f} %")


def test_blocks_have_their_layers_trials_and_best_score(page: Page, site: Site) -> None:
    schedule = {"kind": "per_block", "blocks": ["conv2d_0|act_0", "conv2d_1|act_1", "dense"]}
    job = site.filler.job(JOB | {"schedule": schedule})
    answer = job_of(page, site, job)
    first, second, third = answer["blocks"]
    assert (first["first"], second["first"]) == (0, first["trials"])
    assert third["first"] + third["trials"] == 20
    ids = site.filler.queue(job, second["first"] + 2)
    for trial_id in ids:
        site.filler.measure(job, trial_id)
    open_job(page, site, job, f"?tab=definition&trial={second['first']}")
    blocks = page.locator("[data-answer=blocks] tbody tr")
    expect(blocks).to_have_count(3)
    layers = answer["reference"]["layers"]
    total = sum(layer["included_pj"] for layer in layers)
    share = sum(layer["included_pj"] for layer in layers if layer["name"] in ("conv2d_1", "act_1"))
    expect(blocks.nth(1)).to_contain_text(f"conv2d_1, act_1{100 * share / total:.0f} %")
    expect(blocks.nth(1)).to_contain_text(f"{second['first']} to {second['first'] + second['trials'] - 1}2")
    expect(blocks.nth(2)).to_contain_text("0\N{EN DASH}")
    expect(page.locator("aside .facts").first).to_contain_text("Blockconv2d_1|act_1")
    ranked = api(page, site, f"/v1/jobs/{job.job_id}/trials?sort=-score&fields=number,score")["items"]
    best = next(item for item in ranked if item["number"] >= second["first"])
    expect(blocks.nth(1)).to_contain_text(f"{best['score']:.4f} trial {best['number']}")
    blocks.nth(1).get_by_role("button", name="Rank the trials").click()
    page.click("[data-tab=overview]")
    expect(page.locator("#tab-panel")).to_contain_text("2 trials of the marked area are ranked")


def test_references_in_other_types_are_told(page: Page, site: Site) -> None:
    goal = {"kind": "energy", "reference_internal": "fp32", "reference_accumulator": "fp32"}
    job = site.filler.job(JOB | {"goal": goal})
    site.filler.measure(job, site.filler.queue(job, 1)[0])
    answer = job_of(page, site, job)
    values = answer["reference_values"]
    assert values["fp32"] == answer["reference_cost"] > values["int8"] > 0
    open_front(page, site, job)
    nanojoules = f"{values['int8'] / 1e3:.4g}"
    expect(page.locator("#front .outside")).to_contain_text(f"model in int8 at {nanojoules} nJ")


def test_all_choices_are_filtered_without_a_mouse(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled, "?tab=learned")
    chart = page.locator("#choices")
    chart.locator("summary:has-text('Filter by sliders')").click()
    trials = api(page, site, f"/v1/jobs/{filled.job_id}/trials?filter=status%3Ddone&fields=number,metric")[
        "items"
    ]
    metrics = sorted((trial["metric"] for trial in trials), reverse=True)
    least = chart.get_by_role("slider", name="accuracy, from")
    least.focus()
    page.keyboard.press("End")
    expect(chart.get_by_role("button", name="No filter")).to_be_visible()
    page.click("[data-tab=trials]")
    best = [trial["number"] for trial in trials if trial["metric"] == metrics[0]]
    expect(page.locator("#trials tbody tr:has(button[aria-pressed])")).to_have_count(len(best))
    page.click("[data-tab=overview]")
    page.get_by_role("button", name="All trials").click()
    expect(page.locator("#tab-panel")).not_to_contain_text("of the marked area")
