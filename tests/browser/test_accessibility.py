"""axe-core finds nothing serious on any page, light or dark, wide or narrow; forced colours and paper show all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site, new_context, new_page
from tests.browser.looking import open_front, open_job
from tests.service.filled import Filled

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
TABS = ("overview", "trials", "compare", "learned", "workers", "definition")


#: The rule that light and dark differ in.
COLOURS = {"runOnly": ["color-contrast"]}


def findings(page: Page, options: dict[str, Any] | None = None) -> list[str]:
    """What axe calls serious or critical."""
    page.evaluate(f"() => {{ if (!window.axe) {{ {AXE} }} }}")
    answer: Any = page.evaluate(
        "options => axe.run(document, { resultTypes: ['violations'], ...options })", options or {}
    )
    return [
        f"{violation['id']}: {node['html'][:200]} ({node.get('failureSummary', '')[:300]})"
        for violation in answer["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"][:3]
    ]


#: Of the reference only some operations stay: they are all drawn alike, and axe takes seconds for all.
FEW = "() => [...document.querySelectorAll('details.card')].slice(12).forEach(element => element.remove())"

PAGES = ("#/", "#/new", "#/queue", "#/library", "#/account")


def findings_everywhere(page: Page) -> dict[str, list[str]]:
    """The findings of the page that is shown, light and dark, wide and narrow."""
    listed = {"light": findings(page)}
    page.emulate_media(color_scheme="dark")
    listed["dark"] = findings(page, COLOURS)
    page.set_viewport_size({"width": 390, "height": 900})
    listed["narrow, dark"] = findings(page)
    page.emulate_media(color_scheme="light")
    listed["narrow"] = findings(page, COLOURS)
    page.set_viewport_size({"width": 1400, "height": 900})
    return {state: items for state, items in listed.items() if items}


def test_no_page_has_a_serious_finding(page: Page, site: Site, filled: Filled) -> None:
    listed = {}
    for path in (*PAGES, "docs", "login"):
        page.goto(f"{site.url}/{path}")  # within the page only the part behind # changes
        page.wait_for_selector("main .card, main table.rows, main form")
        expect(page.get_by_text("Loading…")).to_have_count(0)
        page.evaluate(FEW)
        listed[path] = findings_everywhere(page)
    assert {path: items for path, items in listed.items() if items} == {}


def test_no_tab_of_a_job_has_a_serious_finding(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    listed = {}
    for tab in TABS:
        page.goto(f"{site.url}/#/jobs/{filled.job_id}?tab={tab}&vs=2,5")
        expect(page.locator(f"#tab-panel[aria-labelledby=tab-{tab}] .card")).not_to_have_count(0)
        listed[tab] = findings_everywhere(page)
    assert {tab: items for tab, items in listed.items() if items} == {}


def test_forced_colours_keep_bars_and_dots(browser: Browser, site: Site, filled: Filled) -> None:
    context = new_context(browser, forced_colors="active")
    page = new_page(context)
    open_front(page, site, filled)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    bars = page.locator("table.layers .stack i.operations_pj").first.evaluate(
        "bar => getComputedStyle(bar).backgroundColor"
    )
    assert bars not in (ground, "rgba(0, 0, 0, 0)")
    context.close()


def test_paper_shows_the_front_in_light_colours(browser: Browser, site: Site, filled: Filled) -> None:
    context = new_context(browser, color_scheme="dark")
    page = new_page(context)
    open_front(page, site, filled)
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.locator("#front img.on-paper")).to_be_visible()
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    corner = page.locator("#front img.on-paper").evaluate(
        "async picture => { await picture.decode(); const canvas = document.createElement('canvas');"
        " canvas.width = picture.naturalWidth; canvas.height = picture.naturalHeight;"
        " const pen = canvas.getContext('2d'); pen.drawImage(picture, 0, 0);"
        " return [...pen.getImageData(2, 2, 1, 1).data]; }"
    )
    assert corner == [255, 255, 255, 255]
    page.emulate_media(media="screen", color_scheme="dark")
    expect(page.locator("#front img.on-paper")).to_have_count(0)
    context.close()


def test_the_reader_s_choice_of_colours_stays(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    page.select_option("#theme", "dark")
    body = page.locator("body")
    expect(body).not_to_have_css("background-color", "rgb(255, 255, 255)")
    dark = body.evaluate("body => getComputedStyle(body).backgroundColor")
    page.reload()
    page.wait_for_selector(".job-head")
    expect(body).to_have_css("background-color", dark)
    expect(page.locator("#theme")).to_have_value("dark")


def test_tabs_are_walked_by_arrow_keys(page: Page, site: Site, filled: Filled) -> None:
    open_job(page, site, filled)
    page.focus("[data-tab=overview]")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-tab=trials]")).to_have_attribute("aria-selected", "true")
    expect(page.locator("[data-tab=trials]")).to_be_focused()
