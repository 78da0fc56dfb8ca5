"""What a user asks of a search, answered by the page and compared with the API: in at most three clicks each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site
from tests.browser.looking import api, job_of, open_front, open_job, slide, texts
from tests.service.filled import Filled

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_which_model_for_a_budget_of_energy(page: Page, site: Site, filled: Filled) -> None:
    open_front(page, site, filled)
    front = api(page, site, f"/v1/jobs/{filled.job_id}/pareto")["items"]
    limit_pj = (front[-2]["cost"] + front[-1]["cost"]) / 2
    page.fill("[aria-label=budget]", f"{limit_pj / 1000:.4f} nJ")
    page.keyboard.press("Enter")
    expect(page.locator("[data-answer=budget]")).to_contain_text(f"take trial {front[-2]['number']} ")
    expect(page.locator("[data-answer=budget]")).to_contain_text(f"{100 * front[-2]['metric']:.2f} %")
    page.wait_for_url("**budget=*")
    page.fill("[aria-label=budget]", "0.001 pJ")
    page.keyboard.press("Enter")
    expect(page.locator("[data-answer=budget]")).to_contain_text("no measured trial is that cheap")


def test_which_layer_costs_most_and_why(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled, "?trial=3")
    trial = api(page, site, f"/v1/jobs/{filled.job_id}/trials/3")
    top = max(trial["layers"], key=lambda layer: layer["included_pj"])
    total = sum(layer["included_pj"] for layer in trial["layers"])
    answer = page.locator("[data-answer=costliest]")
    expect(answer).to_contain_text(f"{top['name']} costs most")
    expect(answer).to_contain_text(f"{100 * top['included_pj'] / total:.0f} %")
    expect(answer).to_contain_text("in the reference it costs")
    page.click(f"table.layers tr:has(th:has-text('{top['name']}')) .energy button")
    expect(page.locator("table.layers .why")).to_contain_text("counts")


def test_which_layer_is_most_sensitive_to_bits(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    page.click("[data-tab=learned]")
    layers = api(page, site, f"/v1/jobs/{filled.job_id}/analysis")["layers"]
    known = [layer for layer in layers if layer["sensitivity"] is not None]
    top = max(known, key=lambda layer: layer["sensitivity"])
    expect(page.locator("[data-answer=sensitive]")).to_contain_text(f"{top['name']} is most sensitive")


def test_how_the_ranking_changes_if_less_is_forgiven(page: Page, site: Site, filled: Filled) -> None:
    open_front(page, site, filled)
    slide(page, "dp", 2)
    page.wait_for_url("**dp=2**")
    best = api(page, site, f"/v1/jobs/{filled.job_id}/best?delta_p=2&k=8")["items"]
    before = [item["number"] for item in api(page, site, f"/v1/jobs/{filled.job_id}/best?k=8")["items"]]
    rows = page.locator(".ranking tbody tr")
    expect(rows.first.locator("th")).to_have_text(str(best[0]["number"]))
    expect(rows).to_have_count(len(best))
    for place, item in enumerate(best):
        was = before.index(item["number"])
        shown = [
            str(place + 1),
            "=" if was == place else str(was + 1),
            str(item["number"]),
            f"{item['score']:.4f}",
        ]
        anything = [re.compile(".*")] * 3  # metric, cost, whether on the front
        expect(rows.nth(place).locator("td, th")).to_have_text([*shown, *anything])
    expect(page.locator("[data-answer=goal]")).to_contain_text(f"trial {best[0]['number']} ")


@pytest.mark.parametrize(
    ("slider", "field", "place", "value"), [("dn", "delta_n", 20, 20), ("stress", "stress", 200, 0.2)]
)
def test_every_slider_ranks_as_the_service_does(
    page: Page, site: Site, filled: Filled, slider: str, field: str, place: float, value: float
) -> None:
    open_front(page, site, filled)
    slide(page, slider, place)
    page.wait_for_url(f"**{slider}={value}*")
    best = api(page, site, f"/v1/jobs/{filled.job_id}/best?{field}={value}&k=8")["items"]
    expect(page.locator(".ranking tbody tr").first.locator("th")).to_have_text(str(best[0]["number"]))
    expect(page.locator(".ranking tbody th")).to_have_text([str(item["number"]) for item in best])
    page.click('button:has-text("The job\'s goal")')
    page.wait_for_function("() => !location.hash.includes('=')")


def test_whether_the_search_still_improves(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    best = job_of(page, site, filled)["best"]["number"]
    since = 7 - best  # trials end in the order of their numbers
    text = "the newest trial has the best score" if since == 0 else f"no better score for {since} "
    expect(page.locator("[data-answer=improving]")).to_contain_text(re.compile(text, re.IGNORECASE))


def test_what_the_job_cost_in_compute(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    page.click("[data-tab=workers]")
    attempts = api(page, site, f"/v1/jobs/{filled.job_id}/attempts")
    ended = sum(end is not None for end in attempts["ended_s"])
    expect(page.locator("[data-answer=compute]")).to_contain_text(f"in {ended} attempts by 1 worker")
    expect(page.locator("[data-answer=compute]")).to_contain_text(
        f"{round(attempts['compute_s'])} s of compute"
    )


def test_how_two_trials_differ(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled, "?tab=trials")
    for number in (2, 5):
        page.click(f"[aria-label='compare trial {number}']")
    page.click("[data-tab=compare]")
    one, other = (
        api(page, site, f"/v1/jobs/{filled.job_id}/trials/{number}")["choices"] for number in (2, 5)
    )
    differing = {name for name in one if one[name] != other[name]}
    names = texts(page.locator("[data-answer=differ] th"), 4 + len(differing))
    assert set(names[4:]) == differing
    row = page.locator(f"[data-answer=differ] tr:has(th:text-is('{min(differing)}')) td")
    expect(row).to_have_text([str(one[min(differing)]), str(other[min(differing)])])


def test_what_failed_and_why(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    page.click("[data-tab=trials]")
    expect(page.locator("[data-answer=failed]")).to_contain_text("loss became NaN in epoch 2")
    page.click("[data-answer=failed] button")
    expect(page.locator("aside .reason")).to_have_text("loss became NaN in epoch 2")
    page.fill("#trials input[type=search]", "nan")
    expect(page.locator("#trials tbody tr")).to_have_count(1)


def test_terms_are_explained_with_the_numbers_of_the_job(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    page.click(".tiles .tile:first-child .explain summary")
    best = job_of(page, site, filled)["best"]
    expect(page.locator(".tiles .tile:first-child .explanation")).to_contain_text(
        f"its score is {best['score']:.4f}"
    )
