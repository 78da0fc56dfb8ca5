"""Cells of a notebook, drawn by the page's modules: nothing is asked of any service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

import fewbits
from tests.browser.conftest import Site
from tests.service.filled import Filled

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_trial_front_and_job_are_drawn_in_cells(
    page: Page, site: Site, filled: Filled, tmp_path: Path
) -> None:
    with fewbits.SearchClient(site.url) as client:
        trial, front = client.trial(filled.job_id, 3), client.pareto(filled.job_id)
        views = {"trial": trial, "front": front, "job": client.job(filled.job_id)}
        for name, view in views.items():
            shown = view._repr_html_()
            assert shown is not None
            (tmp_path / f"{name}.html").write_text(f"<!doctype html><meta charset=utf-8><body>{shown}</body>")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    frame = page.frame_locator("iframe")
    page.goto(f"file://{tmp_path}/trial.html")
    expect(page.get_by_text("Trial 3 of a search: done")).to_be_visible()
    expect(frame.locator("table.layers tbody tr")).to_have_count(len(trial.layers))
    top = max(trial.layers, key=lambda layer: layer.included_pj or 0.0)
    expect(frame.locator("[data-answer=costliest]")).to_contain_text(f"{top.name} costs most")
    expect(frame.locator("#energy canvas, #curves canvas")).not_to_have_count(0)
    for name in ("front", "job"):
        page.goto(f"file://{tmp_path}/{name}.html")
        expect(frame.locator("#front .legend")).to_have_attribute("data-dots", str(len(front.items)))
    assert all(url.startswith(("file:", "data:", "about:")) for url in asked)
