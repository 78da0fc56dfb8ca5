"""The dashboard in a real browser: jobs, one job, its trials."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from search.history import JobStatus
from tests.browser.conftest import Site
from tests.browser.looking import api, front_drawn, job_of, open_front, open_job, place_of, text_of, texts
from tests.service.filled import JOB, Filled

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_without_jobs_the_page_says_how_to_start_one(page: Page, fresh_site: Site) -> None:
    page.goto(fresh_site.url)
    expect(page.locator(".empty")).to_contain_text("fewbits submit")
    expect(page.locator(".empty a:has-text('New job')")).to_have_count(1)


def test_the_list_leads_to_the_job(page: Page, site: Site, filled: Filled) -> None:
    page.goto(site.url)
    expect(page.locator("svg.spark circle").first).to_be_visible()
    page.click(f"tbody th a[href*='{filled.job_id}']")
    page.wait_for_selector("#front")
    expect(page).to_have_url(re.compile(f"#/jobs/{filled.job_id}$"))


def test_every_measured_trial_is_plotted_and_the_front_is_marked(
    page: Page, site: Site, filled: Filled
) -> None:
    open_front(page, site, filled)
    front = api(page, site, f"/v1/jobs/{filled.job_id}/pareto")["items"]
    legend = page.locator("#front .legend")
    expect(legend).to_have_attribute("data-dots", "8")
    expect(legend).to_contain_text(f"front {len(front)}")
    expect(legend).to_contain_text("reference at")  # it does not stretch the axis
    page.click("#front .twin summary")
    rows = texts(page.locator("#front .twin tbody tr"), 8)
    assert sum(row.endswith("yes") for row in rows) == len(front)


def test_the_scale_and_the_unit_can_be_changed_and_are_in_the_address(
    page: Page, site: Site, filled: Filled
) -> None:
    open_front(page, site, filled)
    before = place_of(page, 3)
    page.uncheck("label:has-text('log scale') >> nth=0 >> input")
    page.wait_for_url("**log=0**")
    assert place_of(page, 3) != before
    page.select_option("#front select", "share")
    page.wait_for_url("**x=share**")
    expect(page.locator("#front select option:checked")).to_have_text(re.compile("of (the )?reference"))


def test_the_best_trial_is_shown_first(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    best = job_of(page, site, filled)["best"]["number"]
    expect(page.locator(".trial-title")).to_contain_text(f"Trial {best} ")
    expect(page.locator(".trial-title")).to_contain_text("best score")


def test_a_trial_picked_in_the_front_is_shown_and_named_in_the_address(
    page: Page, site: Site, filled: Filled
) -> None:
    open_front(page, site, filled)
    x, y = place_of(page, 5)
    page.mouse.move(x, y)
    expect(page.locator("#front .tip strong")).to_have_text("Trial 5")
    page.mouse.click(x, y)
    expect(page.locator(".trial-title")).to_contain_text("Trial 5 ")
    page.wait_for_url("**trial=5*")


def test_the_front_is_operated_by_keys(page: Page, site: Site, filled: Filled) -> None:
    open_front(page, site, filled)
    page.focus("#front .canvas")
    page.keyboard.press("ArrowRight")
    number = text_of(page.locator("#front .tip strong")).split()[1]
    page.keyboard.press("Enter")
    page.wait_for_url(f"**trial={number}**")


def test_dragging_zooms_and_selects_an_area(page: Page, site: Site, filled: Filled) -> None:
    open_front(page, site, filled)
    x, y = place_of(page, 5)
    box = (x - 25, y - 25, x + 25, y + 25)

    def drag() -> None:
        page.mouse.move(*box[:2])
        page.mouse.down()
        page.mouse.move(x, y, steps=3)
        page.mouse.move(*box[2:], steps=3)
        page.mouse.up()

    page.click("#front button:has-text('Select area')")
    drag()
    expect(page.locator("main")).to_contain_text("trials of the marked area are ranked")
    page.click("[data-tab=trials]")
    expect(page.locator("#trials tbody th").get_by_text("5", exact=True)).to_have_count(1)
    expect(page.locator("#trials tbody tr:nth-child(8)")).to_have_count(0)
    page.click("button:has-text('All trials')")
    expect(page.locator("#trials tbody tr")).to_have_count(10)
    page.click("[data-tab=overview]")
    front_drawn(page)
    page.click("#front button:has-text('Select area')")
    drag()
    page.wait_for_url("**zoom=**")
    page.click("button:has-text('Whole range')")
    page.wait_for_function("() => !location.hash.includes('zoom')")


def test_an_address_opens_its_trial_also_an_old_one(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled, "/trials/5")
    expect(page.locator(".trial-title")).to_contain_text("Trial 5 ")
    page.click("[data-tab=trials]")
    expect(page.locator("#trials tr.selected th")).to_have_text("5")


def test_a_trial_shows_layers_quantizers_energies_and_its_learning_curve(
    page: Page, site: Site, filled: Filled
) -> None:
    open_job(page, site, filled)
    for part in ("conv2d_0", "bit", "pJ"):
        expect(page.locator("table.layers")).to_contain_text(part)
    expect(page.locator("#learning-curve .canvas")).to_have_attribute(
        "aria-label", "accuracy after 3 epochs: training 89.51 %, validation 87.51 %"
    )
    expect(page.locator("aside .choices")).to_contain_text("filters")


def test_a_file_can_be_downloaded(page: Page, site: Site, filled: Filled, tmp_path: Path) -> None:
    open_job(page, site, filled, "?trial=5")
    with page.expect_download() as waiting:
        page.click("aside a:has-text('model.keras')")
    waiting.value.save_as(tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == b"bytes of trial 5"


def test_the_table_is_sorted_by_its_heads(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled, "?tab=trials")
    page.click("#trials th button:has-text('Accuracy')")
    expect(page.locator("#trials th[aria-sort=descending]")).to_contain_text("Accuracy")
    cells = texts(page.locator("#trials tbody td:nth-child(3)"), 10)
    values = [float(cell.removesuffix(" %")) for cell in cells if "%" in cell]
    assert len(values) == 8
    assert values == sorted(values, reverse=True)


def test_statuses_are_hidden_in_front_and_table(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled, "?tab=trials")
    page.uncheck("input[value=done]")
    expect(page.locator("#trials tbody tr")).to_have_count(2)
    page.uncheck("input[value=running]")
    page.uncheck("input[value=failed]")
    expect(page.locator("#trials tbody")).to_contain_text("No trials")
    page.check("input[value=done]")
    page.check("input[value=running]")
    expect(page.locator("#trials tbody tr")).to_have_count(9)
    page.wait_for_url("**hide=failed*")


def test_trials_can_be_downloaded(page: Page, site: Site, filled: Filled, tmp_path: Path) -> None:
    open_job(page, site, filled, "?tab=trials")
    for link, lines in ((".downloads button:has-text('CSV')", 11), (".downloads a:has-text('CSV')", 11)):
        with page.expect_download() as waiting:
            page.click(link)
        waiting.value.save_as(tmp_path / "all.csv")
        assert len((tmp_path / "all.csv").read_text().splitlines()) == lines


def test_ten_thousand_trials_are_drawn_and_pointed_at(page: Page, site: Site, own: Filled) -> None:
    site.filler.copy_measured(own, 10_000, first=10)
    open_front(page, site, own)
    expect(page.locator("#front .legend")).to_have_attribute("data-dots", "10008")
    best = job_of(page, site, own)["best"]["number"]
    page.mouse.move(*place_of(page, best))
    expect(page.locator("#front .tip strong")).to_have_text(f"Trial {best}")
    page.click("[data-tab=trials]")
    page.wait_for_selector("#trials .virtual tbody tr:nth-child(5)")
    expect(page.locator("#trials tbody tr:nth-child(80)")).to_have_count(0)
    page.evaluate("document.querySelector('#trials .virtual').scrollTop = 100000")
    page.wait_for_function("() => document.querySelectorAll('#trials tbody tr.space').length === 2")


# --- verbs -----------------------------------------------------------------------------------------------------------


def test_a_job_can_be_cancelled(page: Page, fresh_site: Site, hostile: Filled) -> None:
    page.goto(f"{fresh_site.url}/#/jobs/{hostile.job_id}")
    page.click("button:has-text('Cancel')")
    page.click("dialog button[value=go]")
    page.wait_for_selector(".job-head .chip.cancelled")


def test_buttons_are_those_the_job_allows(page: Page, site: Site, own: Filled) -> None:
    open_job(page, site, own)
    page.click("button:has-text('Pause')")
    page.wait_for_selector(".job-head .chip.paused")
    expect(page.locator("button:text-is('Pause')")).to_have_count(0)
    page.click("button:has-text('Resume')")
    page.wait_for_selector(".job-head .chip.running")


def test_the_list_of_jobs_has_their_actions_and_limits(page: Page, site: Site, own: Filled) -> None:
    page.goto(f"{site.url}/#/?vs=")
    row = page.locator(f"tr:has(a[href*='{own.job_id}'])")
    row.locator(".menu summary").click()
    row.get_by_role("button", name="Pause").click()
    expect(row.locator(".chip")).to_have_text("paused")
    expect(row.locator(".menu[open]")).to_have_count(0)


def test_a_running_job_is_changed(page: Page, site: Site, own: Filled) -> None:
    open_job(page, site, own)
    page.click("button:has-text('Change')")
    page.fill("dialog input[name=priority]", "7")
    page.click("dialog button[value=go]")
    expect(page.locator(".job-head")).to_contain_text("priority 7")


def test_a_job_that_ended_is_extended_and_says_what_the_budget_then_is(
    page: Page, site: Site, own: Filled
) -> None:
    site.filler.end(own)
    open_job(page, site, own)
    page.click("button:has-text('Extend')")
    page.fill("dialog input[name=trials]", "7")
    expect(page.locator("dialog")).to_contain_text("Its budget was 20 trials; 9 of them were used")
    expect(page.locator("dialog")).to_contain_text("up to 27 trials: 18 more")
    page.click("dialog button[value=go]")
    page.wait_for_selector(".job-head .chip.running")
    assert job_of(page, site, own)["spec"]["budget"]["trials"] == 27


def test_a_job_is_removed_and_the_list_is_shown(page: Page, site: Site, own: Filled) -> None:
    site.filler.end(own)
    open_job(page, site, own)
    page.click("button:has-text('Delete')")
    page.click("dialog button[value=go]")
    page.wait_for_selector("section.jobs")
    assert page.request.get(f"{site.url}/v1/jobs/{own.job_id}").status == 404


# --- texts and widths ------------------------------------------------------------------------------------------------


def test_names_are_text_and_never_markup(page: Page, fresh_site: Site, hostile: Filled) -> None:
    page.goto(fresh_site.url)
    expect(page.locator("tbody th a")).to_have_text("<img src=x onerror=alert(1)><b>bold</b>")
    page.click("tbody th a")
    expect(page.locator(".job-head h1")).to_contain_text("<img src=x onerror=alert(1)><b>bold</b>")
    expect(page.locator("main img, main b")).to_have_count(0)


def test_a_job_without_measured_trials_says_so(page: Page, fresh_site: Site, hostile: Filled) -> None:
    fresh_site.filler.end(hostile, JobStatus.FAILED, "none of 0 trials could be measured")
    page.goto(f"{fresh_site.url}/#/jobs/{hostile.job_id}")
    page.wait_for_selector("#front .nothing")
    expect(page.locator(".job-head .fault")).to_contain_text("could be measured")


def test_an_unknown_job_is_said_to_be_unknown(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/#/jobs/0123456789abcdef")
    expect(page.locator(".empty")).to_contain_text("0123456789abcdef")


def test_narrow_screens_need_no_sideways_scrolling(page: Page, site: Site, filled: Filled) -> None:
    tabs = [
        f"#/jobs/{filled.job_id}?tab={tab}"
        for tab in ("overview", "trials", "learned", "workers", "definition")
    ]
    for path in ("#/", "#/new", "#/queue", "#/library", "#/account", *tabs, "docs"):
        page.set_viewport_size({"width": 390, "height": 800})
        page.goto(f"{site.url}/{path}")
        page.wait_for_selector("main .card, main table.rows")
        expect(page.get_by_text("Loading…")).to_have_count(0)
        for width in (390, 768):
            page.set_viewport_size({"width": width, "height": 800})
            page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)


def test_on_a_narrow_screen_the_selected_trial_is_in_sight(page: Page, site: Site, filled: Filled) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    open_job(page, site, filled, "?tab=trials")
    page.click("#trials tbody tr:nth-child(3) th button")
    number = text_of(page.locator("#trials tr.selected th"))
    expect(page.locator(".dock")).to_contain_text(f"Trial {number} ")
    expect(page.locator(".dock")).to_be_in_viewport()
    page.click(".dock button")
    expect(page.locator(".trial-title")).to_be_in_viewport()


def test_skip_to_content_stays_on_the_page(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#view")).to_be_focused()
    expect(page).to_have_url(re.compile(filled.job_id))


def test_the_reference_is_drawn_without_anything_from_elsewhere(page: Page, site: Site) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{site.url}/docs")
    expect(page.locator("main")).to_contain_text("/v1/jobs:validate")
    assert all(url.startswith(site.url) for url in asked)


def test_constraints_and_infeasible_trials_are_apart(page: Page, site: Site) -> None:
    job = site.filler.job(JOB | {"constraints": {"max_energy_pj": 9000.0}})
    ids = site.filler.queue(job, 3)
    for trial_id in ids[:2]:
        site.filler.measure(job, trial_id)
    site.filler.rule_out(ids[2])
    open_job(page, site, job, "?tab=trials")
    last = page.locator("#trials tbody tr").last
    expect(last).to_contain_text("infeasible")
    expect(last).to_contain_text("costs too much")
