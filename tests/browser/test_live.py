"""News come by one stream for all tabs; without it the page asks; nothing that is open closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site, new_context, new_page
from tests.browser.looking import open_front, open_job, text_of
from tests.service.filled import Filled

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


def test_the_page_follows_a_running_job_to_its_end(page: Page, site: Site, own: Filled) -> None:
    open_front(page, site, own)
    expect(page.locator(".live")).to_have_text("live")
    points: list[str] = []
    page.on("request", lambda request: points.append(request.url) if "/points" in request.url else None)
    for trial_id in site.filler.queue(own, 2, first=10):
        site.filler.measure(own, trial_id)
    expect(page.locator("#front .legend")).to_have_attribute("data-dots", "10")
    assert points == []  # events were applied, nothing was read again
    site.filler.end(own)
    page.wait_for_selector(".job-head .chip.done")
    expect(page.locator("button:has-text('Cancel')")).to_have_count(0)


def test_without_shared_workers_the_page_asks_again(page: Page, site: Site, own: Filled) -> None:
    page.add_init_script("delete window.SharedWorker")
    open_front(page, site, own)
    expect(page.locator(".live")).to_contain_text("asks every")
    site.filler.measure(own, site.filler.queue(own, 1, first=10)[0])
    expect(page.locator("#front .legend")).to_have_attribute("data-dots", "9")


def test_eight_tabs_share_one_stream(browser: Browser, site: Site, own: Filled) -> None:
    others = [site.filler.job() for _ in range(3)]
    context = new_context(browser)
    try:
        tabs = []
        for index in range(8):
            tab = new_page(context)
            job = [own, *others][index % 4]
            tab.goto(f"{site.url}/#/jobs/{job.job_id}")
            tab.wait_for_selector(".job-head")
            tabs.append(tab)
        for tab in tabs:
            expect(tab.locator(".live")).to_have_text("live")
        site.filler.measure(own, site.filler.queue(own, 1, first=10)[0])
        for tab in (tabs[0], tabs[4]):
            tab.bring_to_front()
            expect(tab.locator("#front .legend")).to_have_attribute("data-dots", "9")
        tabs[7].click("button:has-text('Cancel')")  # a connection is left for it
        tabs[7].click("dialog button[value=go]")
        tabs[7].wait_for_selector(".job-head .chip.cancelled, .job-head .chip.cancelling")
    finally:
        context.close()


def test_news_leave_focus_and_what_is_open_alone(page: Page, site: Site, own: Filled) -> None:
    open_job(page, site, own, "?tab=trials")
    page.click("aside details summary:has-text('Attempts')")
    page.focus("#trials tbody tr:nth-child(2) th button")
    focused = page.locator("#trials tbody tr:nth-child(2) th button")
    number = text_of(focused)
    expect(focused).to_be_focused()
    for trial_id in site.filler.queue(own, 2, first=10):
        site.filler.measure(own, trial_id)
    expect(page.locator("#trials tbody tr")).to_have_count(12)
    expect(page.locator("#trials tbody th button:focus")).to_have_text(number)
    expect(page.locator("aside details[open] summary:has-text('Attempts')")).to_have_count(1)


def test_a_service_that_goes_away_is_said_to_be_away_and_noticed_when_back(
    page: Page, site: Site, own: Filled
) -> None:
    open_job(page, site, own)
    page.route("**/v1/**", lambda route: route.abort())
    page.wait_for_selector("#connection:not([hidden])")
    page.unroute("**/v1/**")
    page.wait_for_selector("#connection[hidden]", state="attached")


def test_a_job_that_no_worker_takes_says_so_with_the_remedy(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    expect(page.locator(".job-head [role=alert]")).to_contain_text("fewbits worker")
