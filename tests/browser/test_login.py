"""A dashboard that needs a key: it asks for one, keeps it from scripts, and shows what the key may see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from service.auth import keys
from service.auth.scopes import KeyScope
from service.store.session import Database
from tests.browser.conftest import Site
from tests.browser.looking import text_of
from tests.service.filled import Filler

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def database_of(filler: Filler) -> Database:
    return filler.database


def test_the_dashboard_asks_for_a_key_and_then_shows_its_tenant_s_jobs(fresh_site: Site, page: Page) -> None:
    job_id = fresh_site.filler.job().job_id
    with database_of(fresh_site.filler).transaction() as session:
        _, token = keys.create(session, tenant="local", name="a browser", scope=KeyScope.READ)
    page.goto(fresh_site.url)
    page.wait_for_url("**/login**")
    page.get_by_label("Key").fill("nonsense")
    page.get_by_role("button", name="Open").click()
    page.get_by_role("alert").get_by_text("unknown").wait_for()
    page.get_by_label("Key").fill(str(token))
    page.get_by_role("button", name="Open").click()
    page.get_by_role("link", name="a search").first.wait_for()
    expect(page.locator(f"a[href*='{job_id}']")).not_to_have_count(0)
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0


def opened_with(fresh_site: Site, page: Page, scope: KeyScope, address: str) -> None:
    """Open an address with a key of this scope, which the page asks for."""
    with database_of(fresh_site.filler).transaction() as session:
        _, token = keys.create(session, tenant="local", name="a browser", scope=scope)
    page.goto(f"{fresh_site.url}/{address}")
    page.wait_for_url("**/login**")
    page.get_by_label("Key").fill(str(token))
    page.get_by_role("button", name="Open").click()


def test_after_the_login_the_address_is_the_one_that_was_asked_for(fresh_site: Site, page: Page) -> None:
    job = fresh_site.filler.job()
    fresh_site.filler.measure(job, fresh_site.filler.queue(job, 1)[0])
    opened_with(fresh_site, page, KeyScope.READ, f"#/jobs/{job.job_id}?trial=0&tab=trials")
    page.wait_for_selector("#trials")
    expect(page).to_have_url(re.compile(re.escape(f"#/jobs/{job.job_id}?trial=0&tab=trials") + "$"))


def test_a_key_that_reads_sees_no_verbs_and_who_it_is(fresh_site: Site, page: Page) -> None:
    job = fresh_site.filler.job()
    opened_with(fresh_site, page, KeyScope.READ, f"#/jobs/{job.job_id}")
    page.get_by_text("this key reads only").first.wait_for()
    expect(
        page.locator("button:has-text('Cancel'), button:has-text('Pause'), a:has-text('Clone')")
    ).to_have_count(0)
    page.locator(".who .chip").get_by_text("read").wait_for()
    page.click(".who")
    page.get_by_role("heading", name="Usage").wait_for()
    expect(page.get_by_role("heading", name="Keys of local")).to_have_count(0)
    page.click("button:has-text('Log out')")
    page.wait_for_url("**/login")


def test_the_login_leads_to_no_other_site(fresh_site: Site, page: Page) -> None:
    for target in ("//evil.example/", "https://evil.example/", "/\\evil.example"):
        with database_of(fresh_site.filler).transaction() as session:
            _, token = keys.create(session, tenant="local", name="a browser", scope=KeyScope.READ)
        page.context.clear_cookies()
        page.goto(f"{fresh_site.url}/login?to={quote(target)}")
        page.get_by_label("Key").fill(str(token))
        page.get_by_role("button", name="Open").click()
        page.get_by_role("heading", name="No jobs yet").wait_for()
        expect(page).to_have_url(re.compile("^" + re.escape(fresh_site.url)))


def test_an_admin_makes_and_revokes_keys(fresh_site: Site, page: Page) -> None:
    opened_with(fresh_site, page, KeyScope.ADMIN, "#/account")
    page.click("button:has-text('New key')")
    page.fill("dialog input[name=name]", "a colleague")
    page.select_option("dialog select", "read")
    page.click("dialog button[value=go]")
    token = text_of(page.locator("dialog .token"))
    page.click("dialog button.primary")
    answer = page.request.get(f"{fresh_site.url}/v1/session", headers={"authorization": f"Bearer {token}"})
    assert answer.json()["scope"] == "read"
    page.click("tr:has-text('a colleague') button:has-text('Revoke')")
    page.click("dialog button[value=go]")
    page.locator("tr:has-text('a colleague')").get_by_text("revoked").wait_for()
