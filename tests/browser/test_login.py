"""A dashboard that needs a key: it asks for one, keeps it from scripts, and shows what the key may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from service.auth import keys
from service.auth.scopes import KeyScope
from service.store.session import Database
from tests.browser.conftest import Site
from tests.service.filled import Filler

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def database_of(filler: Filler) -> Database:
    return filler.database


def test_the_dashboard_asks_for_a_key_and_then_shows_its_tenant_s_jobs(site: Site, page: Page) -> None:
    job_id = site.filler.job().job_id
    with database_of(site.filler).transaction() as session:
        _, token = keys.create(session, tenant="local", name="a browser", scope=KeyScope.READ)
    page.goto(site.url)
    page.wait_for_url("**/login")
    page.get_by_label("Key").fill("nonsense")
    page.get_by_role("button", name="Open").click()
    page.get_by_role("alert").get_by_text("unknown").wait_for()
    page.get_by_label("Key").fill(str(token))
    page.get_by_role("button", name="Open").click()
    page.get_by_role("link", name="a search").first.wait_for()
    assert job_id in page.content()
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0
