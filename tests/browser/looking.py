"""What tests do on the pages of the dashboard."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

from tests.browser.conftest import Site
from tests.service.filled import Filled

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def open_job(page: Page, site: Site, filled: Filled, query: str = "") -> None:
    """Open a job and wait until its chart and the selected trial are there."""
    page.goto(f"{site.url}/#/jobs/{filled.job_id}{query}")
    page.wait_for_selector(".trial[aria-busy=false]")


def open_front(page: Page, site: Site, filled: Filled, query: str = "") -> None:
    """Open a job's overview and wait until the front is drawn."""
    open_job(page, site, filled, query)
    front_drawn(page)


def front_drawn(page: Page) -> None:
    """Wait until the dots of the front have their places."""
    page.wait_for_function("() => document.querySelector('#front .canvas')?.pixelOf !== undefined")


def texts(rows: Locator, count: int) -> list[str]:
    """What rows say, once there are as many as expected."""
    expect(rows).to_have_count(count)
    return rows.all_inner_texts()


def text_of(element: Locator) -> str:
    """What an element says, once it says something."""
    expect(element).not_to_be_empty()
    return element.inner_text()


def yaml_of(page: Page, *parts: str) -> str:
    """The definition of a new job, once it is valid and has these parts."""
    page.wait_for_selector("[data-valid=yes]")
    for part in parts:
        expect(page.locator("#yaml")).to_have_value(re.compile(re.escape(part)))
    return page.locator("#yaml").input_value()


def api(page: Page, site: Site, path: str) -> Any:
    """What the API answers."""
    answer = page.request.get(f"{site.url}{path}")
    assert answer.ok, answer.text()
    return answer.json()


def job_of(page: Page, site: Site, filled: Filled) -> Any:
    """The job, as the API answers it."""
    return api(page, site, f"/v1/jobs/{filled.job_id}")


def place_of(page: Page, number: int) -> tuple[float, float]:
    """Where a trial's dot is, in pixels of the window."""
    page.locator("#front .canvas").scroll_into_view_if_needed()
    x, y = page.evaluate(
        "number => { const element = document.querySelector('#front .canvas');"
        " const box = element.getBoundingClientRect();"
        " const [x, y] = element.pixelOf(number); return [box.left + x, box.top + y]; }",
        number,
    )
    return x, y


def slide(page: Page, name: str, value: float) -> None:
    """Move a slider of "What if"."""
    page.evaluate(
        "([name, value]) => { const slider = document.querySelector(`#slider-${name}`); slider.value = value;"
        " slider.dispatchEvent(new Event('input', { bubbles: true })); }",
        [name, value],
    )
