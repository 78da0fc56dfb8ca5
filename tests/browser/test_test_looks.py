"""The page says which look at the test data a figure comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from search.results.test_looks import LookKind
from service.store import test_looks
from tests.browser.conftest import Site
from tests.browser.looking import open_job
from tests.service.filled import Filled

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_trial_shows_its_figures_on_test_data_and_marks_those_that_are_too_good(
    page: Page, site: Site, own: Filled
) -> None:
    with site.filler.database.transaction() as session:
        for trial, kind in ((4, LookKind.REPORT), (5, LookKind.FINAL_TRAINING)):
            test_looks.add(session, own.job_id, trial, kind, {"metric": 0.75})
    open_job(page, site, own, "?trial=4")
    expect(page.locator("aside dl.facts >> nth=0")).to_contain_text("75.00 % 1st look at the test data")
    open_job(page, site, own, "?trial=5")
    expect(page.locator(".trial-title")).to_contain_text("Trial 5 ")
    expect(page.locator("aside dl.facts .fault").first).to_have_text(
        "2nd look at the test data: the figure is optimistic"
    )
