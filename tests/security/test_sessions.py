"""The dashboard's session: a cookie that scripts and other sites cannot use; and what it shows to its caller."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from starlette.testclient import TestClient

from service.auth import keys, sessions
from service.auth.keys import TenantLimits
from service.store.key_models import BrowserSession
from service.store.models import now
from tests.security.conftest import Keys
from tests.service.conftest import URL
from tests.service.filled import Filled


def test_a_session_keeps_the_key_out_of_scripts_and_other_sites(http: TestClient, api_keys: Keys) -> None:
    answer = http.post("/v1/session", json={"key": api_keys.by_name["read"]})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert http.get("/v1/jobs").status_code == 200
    assert http.delete("/v1/session").status_code == 204
    assert http.get("/v1/jobs").status_code == 401


def test_the_cookie_is_not_the_key_and_worth_nothing_after_logout(http: TestClient, api_keys: Keys) -> None:
    key = api_keys.by_name["read"]
    http.post("/v1/session", json={"key": key})
    copied = dict(http.cookies)
    assert key not in " ".join(copied.values())
    http.delete("/v1/session")
    http.cookies.update(copied)
    assert http.get("/v1/jobs").status_code == 401


def test_a_session_ends_with_its_key_and_after_its_time(
    app: FastAPI, api_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = api_keys.by_name["read"]
    with app.state.database.transaction() as session:
        row = sessions.open_session(session, key.split("_")[1])
        assert sessions.key_of(session, row) is not None
        monkeypatch.setattr(sessions, "database_now", lambda _: now() + sessions.LIFETIME)
        assert sessions.key_of(session, row) is None
        other = sessions.open_session(session, key.split("_")[1])
        assert session.scalar(select(func.count()).select_from(BrowserSession)) == 1, "the old one is deleted"
        keys.revoke(session, key.split("_")[1])
    assert asyncio.run(app.state.authenticator._of_session(other)) is None


@pytest.mark.parametrize(
    "headers", [{"x-forwarded-proto": "https"}, {"forwarded": "for=192.0.2.1;proto=https"}]
)
def test_behind_any_proxy_with_tls_the_cookie_is_for_https_only(
    http: TestClient, api_keys: Keys, headers: dict[str, str]
) -> None:
    answer = http.post("/v1/session", json={"key": api_keys.by_name["read"]}, headers=headers)
    assert "secure" in answer.headers["set-cookie"].lower()


def test_over_https_the_cookie_is_for_https_only(http: TestClient, api_keys: Keys) -> None:
    answer = http.post(URL.replace("http:", "https:") + "/v1/session", json={"key": api_keys.by_name["read"]})
    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"key": "nonsense"}, 401),
        ({"key": 7}, 422),
        ({}, 422),
        ([], 422),
        ({"key": "fewbits_" + "0" * 61}, 401),
    ],
)
def test_an_invalid_key_opens_no_session(http: TestClient, api_keys: Keys, body: Any, status: int) -> None:
    answer = http.post("/v1/session", json=body)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers


def test_a_session_changes_nothing_for_another_site_s_page(
    http: TestClient, api_keys: Keys, job: dict[str, Any]
) -> None:
    http.post("/v1/session", json={"key": api_keys.by_name["submit"]})
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert http.post("/v1/jobs", json=job, headers=headers).status_code == 403
    same_site = {"origin": URL, "sec-fetch-site": "same-origin"}
    assert http.post("/v1/jobs", json=job, headers=same_site).status_code == 202


def test_no_other_site_may_read_answers(http: TestClient, api_keys: Keys) -> None:
    answer = http.get("/v1/jobs", headers=api_keys["read"] | {"origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    preflight = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    assert http.options("/v1/jobs", headers=preflight).status_code == 405


def test_a_session_shows_tenant_scope_and_quotas(
    http: TestClient, app: FastAPI, api_keys: Keys, filled: Filled
) -> None:
    with app.state.database.transaction() as session:
        keys.set_limits(session, "acme", TenantLimits(max_trials=100))
    caller = http.get("/v1/session", headers=api_keys["submit"]).json()
    assert (caller["tenant"], caller["scope"]) == ("acme", "submit")
    assert caller["key_id"] == api_keys.by_name["submit"].split("_")[1]
    quotas = caller["quotas"]
    assert quotas["trials"] == {"used": 20, "limit": 100}  # what an open job may still make counts
    assert quotas["running_jobs"] == {"used": 1, "limit": None}
    assert quotas["stored_bytes"]["used"] > 0
    assert http.get("/v1/session", headers=api_keys["other"]).json()["quotas"]["trials"]["used"] == 0


def test_before_anybody_is_known_a_body_has_at_most_a_kilobyte(http: TestClient, api_keys: Keys) -> None:
    body = {"key": api_keys.by_name["read"], "more": "x" * 1024}

    assert http.post("/v1/session", json=body).status_code == 413
