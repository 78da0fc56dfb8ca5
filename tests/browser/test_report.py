"""A report on its own: the dashboard's charts from a file, without a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from fewbits.progress import result_html
from service.cli import report
from service.client import SearchClient
from tests.browser.conftest import Site
from tests.browser.looking import place_of, slide
from tests.service.filled import JOB, Filled

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_report_and_a_notebook_s_cell_draw_with_the_page_s_modules(
    page: Page, site: Site, filled: Filled, tmp_path: Path
) -> None:
    with SearchClient(site.url) as client:
        collected = report.collect(client, filled.job_id)
        best = client.best(filled.job_id, 2, delta_p=0.0)
    (tmp_path / "report.html").write_text(report.page(collected))
    cell = result_html(collected.job, collected.front, collected.best[0].number, site.url)
    (tmp_path / "cell.html").write_text(f"<!doctype html><body>{cell}</body>")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{tmp_path}/report.html")
    page.wait_for_function("() => document.querySelector('#front .canvas')?.pixelOf !== undefined")
    expect(page.locator("#front .legend")).to_have_attribute("data-dots", "8")
    slide(page, "dp", 0)
    expect(page.locator(".ranking tbody th").first).to_have_text(str(best[0].number))
    page.mouse.click(*place_of(page, collected.front[0].number))
    expect(page.locator("[data-answer=costliest]")).to_contain_text(f"trial {collected.front[0].number}")
    expect(page.locator("figure canvas")).not_to_have_count(0)
    page.goto(f"file://{tmp_path}/cell.html")
    frame = page.frame_locator("iframe")
    expect(frame.locator("#front .legend")).to_have_attribute("data-dots", str(len(collected.front)))
    assert all(url.startswith(("file:", "data:", "about:")) for url in asked)


def test_names_in_the_numbers_of_a_report_are_text(page: Page, site: Site, tmp_path: Path) -> None:
    job = site.filler.job(JOB | {"name": "</script><img src=x onerror=alert(1)>"})
    site.filler.measure(job, site.filler.queue(job, 1)[0])
    with SearchClient(site.url) as client:
        (tmp_path / "report.html").write_text(report.page(report.collect(client, job.job_id)))
    page.goto(f"file://{tmp_path}/report.html")
    expect(page.locator("#front .legend")).to_have_attribute("data-dots", "1")
    expect(page.locator("h1")).to_have_text("</script><img src=x onerror=alert(1)>")
    expect(page.locator("body img")).to_have_count(0)
