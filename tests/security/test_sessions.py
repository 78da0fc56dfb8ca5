"""The dashboard's session: a cookie that scripts and other sites cannot use; and what it shows to its caller."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.auth import keys
from service.auth.keys import TenantLimits
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
