"""The dashboard in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from search.history import JobStatus
from tests.browser.conftest import Site
from tests.service.filled import Filled

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def open_job(page: Page, site: Site, filled: Filled, rest: str = "") -> None:
    page.goto(f"{site.url}/#/jobs/{filled.job_id}{rest}")
    page.wait_for_selector("svg.over .mark.best")
    page.wait_for_selector("table.layers")


def test_without_jobs_the_page_says_how_to_start_one(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.wait_for_selector(".empty")
    assert "fewbits submit" in page.inner_text(".empty")


def test_the_list_leads_to_the_job(page: Page, site: Site, filled: Filled) -> None:
    page.goto(site.url)
    page.click("tbody th a")
    page.wait_for_selector("svg.over .mark.best")
    assert page.url.endswith(f"#/jobs/{filled.job_id}")


def test_every_measured_trial_is_plotted_and_the_front_is_marked(
    page: Page, site: Site, filled: Filled
) -> None:
    open_job(page, site, filled)
    front = page.request.get(f"{site.url}/v1/jobs/{filled.job_id}/pareto").json()["items"]
    best = page.request.get(f"{site.url}/v1/jobs/{filled.job_id}").json()["best"]["number"]
    expect(page.locator("canvas.dots")).to_have_attribute("data-dots", "8")
    assert page.locator("svg.over .mark.on-front").count() == len({item["number"] for item in front} - {best})
    assert page.locator("path.front").count() == 1
    assert page.locator(".reference line").count() == 1


def test_the_axes_have_ticks_and_units(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    assert page.locator("svg.under text.x:not(.name)").count() >= 3
    assert page.locator("svg.under text.y").count() >= 3
    assert "pJ" in page.locator("svg.under text.x.name").text_content()


def test_the_scale_can_be_linear(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    before = page.locator("path.front").get_attribute("d")
    page.uncheck("label:has-text('log scale') input")
    assert page.locator("path.front").get_attribute("d") != before
    assert page.locator("svg.under text.x:not(.name)").first.text_content() == "0"


def test_the_best_trial_is_shown_first(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    best = page.request.get(f"{site.url}/v1/jobs/{filled.job_id}").json()["best"]["number"]
    assert page.inner_text("aside h2").startswith(f"Trial {best}")
    assert "best score" in page.inner_text("aside h2")


def test_a_trial_picked_in_the_plot_is_shown_and_named_in_the_address(
    page: Page, site: Site, filled: Filled
) -> None:
    open_job(page, site, filled)
    mark = page.locator("svg.over .mark.on-front").last
    mark.hover(force=True)
    number = page.inner_text(".tip strong").split()[1]
    mark.click(force=True)
    expect(page.locator("aside h2")).to_contain_text(f"Trial {number} ")
    assert page.url.endswith(f"/trials/{number}")


def test_the_plot_is_operated_by_keys(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    page.focus("svg.over")
    page.keyboard.press("ArrowRight")
    number = page.inner_text(".tip strong").split()[1]
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/trials/{number}")


def test_an_address_opens_its_trial(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled, "/trials/5")
    expect(page.locator("aside h2")).to_contain_text("Trial 5 ")
    assert page.inner_text("tr.selected th") == "5"


def test_a_trial_shows_layers_quantizers_energies_and_its_learning_curve(
    page: Page, site: Site, filled: Filled
) -> None:
    open_job(page, site, filled)
    text = page.inner_text("table.layers")
    assert "conv2d_0" in text
    assert "bit" in text
    assert "pJ" in text
    assert page.locator("svg.curve polyline").count() == 2


def test_a_file_can_be_downloaded(page: Page, site: Site, filled: Filled, tmp_path: Path) -> None:
    open_job(page, site, filled, "/trials/5")
    expect(page.locator("aside h2")).to_contain_text("Trial 5 ")
    with page.expect_download() as waiting:
        page.click("aside a:has-text('model.keras')")
    waiting.value.save_as(tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == b"bytes of trial 5"


def test_a_failed_trial_shows_its_reason(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled, "/trials/8")
    expect(page.locator("aside")).to_contain_text("NaN in epoch 2")
    assert "NaN in epoch 2" in page.inner_text(".trials table")


def test_the_table_is_sorted_by_its_heads(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    page.click("button:has-text('Accuracy')")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Accuracy")
    page.wait_for_function(
        "() => { const shown = [...document.querySelectorAll('.trials tbody td:nth-child(3)')]"
        ".map((cell) => parseFloat(cell.textContent)).filter((value) => !isNaN(value));"
        " return shown.every((value, index) => index === 0 || value <= shown[index - 1]); }"
    )
    cells = page.locator(".trials tbody td:nth-child(3)").all_inner_texts()
    values = [float(cell.removesuffix(" %")) for cell in cells if "%" in cell]
    assert values == sorted(values, reverse=True)
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Accuracy")


def test_the_page_follows_a_running_job_to_its_end(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    for trial_id in site.filler.queue(filled, 2, first=10):
        site.filler.measure(filled, trial_id)
    expect(page.locator("canvas.dots")).to_have_attribute("data-dots", "10")
    site.filler.end(filled)
    page.wait_for_selector(".job-head .chip.done")
    assert page.locator("button:has-text('Cancel')").count() == 0


def test_a_job_can_be_cancelled(page: Page, site: Site, hostile: Filled) -> None:
    page.goto(f"{site.url}/#/jobs/{hostile.job_id}")
    page.wait_for_selector("button:has-text('Cancel')")
    page.evaluate("window.confirm = () => true")
    page.click("button:has-text('Cancel')")
    page.wait_for_selector(".job-head .chip.cancelled")


def test_names_are_text_and_never_markup(page: Page, site: Site, hostile: Filled) -> None:
    page.goto(site.url)
    page.wait_for_selector("tbody th a")
    assert page.inner_text("tbody th a") == "<img src=x onerror=alert(1)><b>bold</b>"
    page.click("tbody th a")
    page.wait_for_selector(".job-head h1")
    assert page.inner_text(".job-head h1") == "<img src=x onerror=alert(1)><b>bold</b>"
    assert page.locator("main img, main b").count() == 0


def test_a_job_without_measured_trials_says_so(page: Page, site: Site, hostile: Filled) -> None:
    site.filler.end(hostile, JobStatus.FAILED, "none of 0 trials could be measured")
    page.goto(f"{site.url}/#/jobs/{hostile.job_id}")
    page.wait_for_selector("text.nothing")
    assert "could be measured" in page.inner_text(".job-head .fault")


def test_an_unknown_job_is_said_to_be_unknown(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/#/jobs/0123456789abcdef")
    page.wait_for_selector(".empty")
    assert "0123456789abcdef" in page.inner_text(".empty")


def test_a_service_that_goes_away_is_said_to_be_away_and_noticed_when_back(
    page: Page, site: Site, filled: Filled
) -> None:
    open_job(page, site, filled)
    page.route("**/v1/**", lambda route: route.abort())
    page.wait_for_selector("#connection:not([hidden])")
    page.unroute("**/v1/**")
    page.wait_for_selector("#connection[hidden]", state="attached")


@pytest.mark.parametrize("width", [360, 768])
def test_narrow_screens_need_no_sideways_scrolling(
    page: Page, site: Site, filled: Filled, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for path in ("/", f"/#/jobs/{filled.job_id}"):
        page.goto(site.url + path)
        page.wait_for_selector("tbody tr")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_reference_is_drawn_without_anything_from_elsewhere(page: Page, site: Site) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{site.url}/docs")
    page.wait_for_selector("details")
    assert "/v1/jobs:validate" in page.inner_text("main")
    assert all(url.startswith(site.url) for url in asked)


# --- filters, verbs, news, many trials ---


def test_states_are_hidden_in_plot_and_table(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    page.uncheck("input[value=done]")
    expect(page.locator("canvas.dots")).to_have_attribute("data-dots", "0")
    expect(page.locator(".trials tbody tr")).to_have_count(2)
    page.uncheck("input[value=running]")
    page.uncheck("input[value=failed]")
    expect(page.locator(".trials tbody")).to_contain_text("No trials")
    page.check("input[value=done]")
    page.check("input[value=running]")
    expect(page.locator(".trials tbody tr")).to_have_count(9)


def test_buttons_are_those_the_job_allows(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    page.click("button:has-text('Pause')")
    page.wait_for_selector(".job-head .chip.paused")
    assert page.locator("button:text-is('Pause')").count() == 0
    page.click("button:has-text('Resume')")
    page.wait_for_selector(".job-head .chip.running")


def test_a_job_that_ended_is_extended_by_so_many_trials(page: Page, site: Site, filled: Filled) -> None:
    site.filler.end(filled)
    open_job(page, site, filled)
    page.click("button:has-text('Extend')")
    page.fill("dialog input", "7")
    page.click("dialog button[value=go]")
    page.wait_for_selector(".job-head .chip.running")
    job = page.request.get(f"{site.url}/v1/jobs/{filled.job_id}").json()
    assert job["spec"]["budget"]["trials"] == 27


def test_a_job_is_removed_and_the_list_is_shown(page: Page, site: Site, filled: Filled) -> None:
    site.filler.end(filled)
    open_job(page, site, filled)
    page.evaluate("window.confirm = () => true")
    page.click("button:has-text('Delete')")
    page.wait_for_selector(".empty")
    assert page.request.get(f"{site.url}/v1/jobs/{filled.job_id}").status == 404


def test_news_come_by_an_event_stream(page: Page, site: Site, filled: Filled) -> None:
    with page.expect_response(lambda answer: "/events" in answer.url) as told:
        open_job(page, site, filled)
    assert told.value.headers["content-type"].startswith("text/event-stream")
    site.filler.measure(filled, site.filler.queue(filled, 1, first=10)[0])
    expect(page.locator("canvas.dots")).to_have_attribute("data-dots", "9")


def test_without_an_event_stream_the_page_asks_again(page: Page, site: Site, filled: Filled) -> None:
    page.route("**/events*", lambda route: route.abort())
    open_job(page, site, filled)
    site.filler.measure(filled, site.filler.queue(filled, 1, first=10)[0])
    expect(page.locator("canvas.dots")).to_have_attribute("data-dots", "9")


def test_the_best_score_is_plotted_over_time(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    assert page.locator("path.record").count() == 1
    best = page.request.get(f"{site.url}/v1/jobs/{filled.job_id}").json()["best"]
    assert f"found by trial {best['number']}" in page.locator("svg.records").get_attribute("aria-label")


def test_all_trials_can_be_downloaded(page: Page, site: Site, filled: Filled, tmp_path: Path) -> None:
    open_job(page, site, filled)
    with page.expect_download() as waiting:
        page.click(".downloads a:has-text('CSV')")
    waiting.value.save_as(tmp_path / "all.csv")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 11


def test_ten_thousand_trials_are_drawn_and_pointed_at(page: Page, site: Site, filled: Filled) -> None:
    site.filler.copy_measured(filled, 10_000, first=10)
    open_job(page, site, filled)
    expect(page.locator("canvas.dots")).to_have_attribute("data-dots", "10008")
    page.locator("svg.over .mark.best").hover(force=True)
    assert page.inner_text(".tip strong").startswith("Trial ")
    assert page.locator(".trials tbody tr").count() == 25
