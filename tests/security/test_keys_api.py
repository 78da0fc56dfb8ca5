"""Keys over REST: an admin's, of the own tenant."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.security.conftest import Keys
from tests.service.filled import JOB


def test_a_key_is_created_listed_and_revoked(http: TestClient, api_keys: Keys) -> None:
    admin = api_keys["admin"]
    body = {"name": "a colleague", "scope": "read", "lifetime_days": 30}
    created = http.post("/v1/keys", json=body, headers=admin)
    assert created.status_code == 201
    token = created.json().pop("token")
    bearer = {"authorization": f"Bearer {token}"}
    assert http.get("/v1/session", headers=bearer).json()["scope"] == "read"
    listed = {item["id"]: item for item in http.get("/v1/keys", headers=admin).json()["items"]}
    assert listed[created.json()["id"]]["is_valid"]
    assert "token" not in listed[created.json()["id"]]
    assert http.delete(f"/v1/keys/{created.json()['id']}", headers=admin).status_code == 204
    listed = {item["id"]: item for item in http.get("/v1/keys", headers=admin).json()["items"]}
    assert listed[created.json()["id"]]["revoked_at"] is not None


def test_an_admin_sees_and_revokes_keys_of_the_own_tenant_only(http: TestClient, api_keys: Keys) -> None:
    mine = {item["id"] for item in http.get("/v1/keys", headers=api_keys["admin"]).json()["items"]}
    operators = {item["id"] for item in http.get("/v1/keys", headers=api_keys["operator"]).json()["items"]}
    assert mine
    assert operators
    assert not mine & operators
    for key_id in (*operators, "nothing"):
        answer = http.delete(f"/v1/keys/{key_id}", headers=api_keys["admin"])
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:fewbits:problem:key-not-found"


def test_a_key_cannot_revoke_itself(http: TestClient, api_keys: Keys) -> None:
    key_id = http.get("/v1/session", headers=api_keys["admin"]).json()["key_id"]
    assert http.delete(f"/v1/keys/{key_id}", headers=api_keys["admin"]).status_code == 409


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "x", "scope": "all"}, "/scope"),
        ({"name": "x", "lifetime_days": 0}, "/lifetime_days"),
        ({"name": "\x07"}, "/name"),
        ({"name": "x", "tenant": "other"}, "/tenant"),
    ],
)
def test_what_is_wrong_with_a_key_is_told(
    http: TestClient, api_keys: Keys, body: dict[str, object], pointer: str
) -> None:
    answer = http.post("/v1/keys", json=body, headers=api_keys["admin"])
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_job_names_the_key_that_it_was_submitted_with(http: TestClient, api_keys: Keys) -> None:
    submitted = http.post("/v1/jobs", json=JOB, headers=api_keys["submit"])
    assert submitted.json()["submitted_by"] == "submit"
    clone = http.post(f"/v1/jobs/{submitted.json()['id']}:clone", json={}, headers=api_keys["admin"])
    assert clone.json()["submitted_by"] == "admin"
    listed = http.get("/v1/jobs?fields=submitted_by,budget", headers=api_keys["read"]).json()["items"]
    budget = {"trials": 20, "epochs": None, "seconds": None}
    assert listed == [{"submitted_by": name, "budget": budget} for name in ("admin", "submit")]
