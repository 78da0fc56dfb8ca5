"""Quotas of tenants and rate limits of keys: what is refused, and how."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from search.history import JobStatus
from service.app import create_app
from service.auth import keys
from service.auth.keys import TenantLimits
from service.errors import QuotaReached
from service.settings import Settings
from service.store import jobs, quotas
from service.store.session import Database
from service.store.tenancy import LOCAL
from tests.security.conftest import Keys
from tests.service.conftest import URL
from tests.service.filled import Filled
from tests.service.store.conftest import new_job


def limited(app: FastAPI, **limits: Any) -> None:
    with app.state.database.transaction() as session:
        keys.set_limits(session, "acme", TenantLimits(**limits))


def submit(http: TestClient, api_keys: Keys, job: dict[str, Any], who: str = "submit") -> Any:
    return http.post("/v1/jobs", json=job, headers=api_keys[who])


@pytest.mark.parametrize(
    ("limits", "status", "quota"),
    [
        ({"max_running_jobs": 1}, 429, "running_jobs"),
        ({"max_trials": 39}, 403, "trials"),
        ({"max_stored_bytes": 1}, 403, "stored_bytes"),
        ({"max_compute_s": 0.0}, 403, "compute_s"),
    ],
)
def test_a_quota_that_is_used_up_is_named(
    http: TestClient,
    app: FastAPI,
    api_keys: Keys,
    filled: Filled,
    job: dict[str, Any],
    limits: dict[str, Any],
    status: int,
    quota: str,
) -> None:
    limited(app, **limits)
    answer = submit(http, api_keys, job)
    assert answer.status_code == status
    problem = answer.json()
    assert problem["quota"] == quota
    assert quota in problem["detail"]
    assert ("retry-after" in answer.headers) == (status == 429)
    assert submit(http, api_keys, job, "other").status_code == 202  # another tenant's is not touched


def test_a_job_that_just_fits_is_accepted(
    http: TestClient, app: FastAPI, api_keys: Keys, filled: Filled, job: dict[str, Any]
) -> None:
    limited(app, max_running_jobs=2, max_trials=40, max_stored_bytes=10**9, max_compute_s=1e9)
    assert submit(http, api_keys, job).status_code == 202


def test_a_job_that_has_ended_counts_with_the_trials_it_made(
    http: TestClient, app: FastAPI, api_keys: Keys, filled: Filled, job: dict[str, Any]
) -> None:
    with app.state.database.transaction() as session:
        jobs.end(session, filled.job_id, JobStatus.DONE, "done")
    limited(app, max_running_jobs=1, max_trials=22)
    assert submit(http, api_keys, job).status_code == 202


def test_the_settings_limit_tenants_that_have_no_limits(
    settings: Settings, api_keys: Keys, job: dict[str, Any]
) -> None:
    strict = create_app(settings.model_copy(update={"max_trials": 10}))
    with TestClient(strict, base_url=URL) as http:
        assert submit(http, api_keys, job).json()["quota"] == "trials"
        limited(strict, max_trials=20)
        assert submit(http, api_keys, job).status_code == 202


# --- rates ---


def test_a_key_that_exceeds_its_rate_gets_a_retry_after(settings: Settings, api_keys: Keys) -> None:
    slow = create_app(settings.model_copy(update={"requests_per_minute": 3}))
    with TestClient(slow, base_url=URL) as http:
        answers = [http.get("/v1/jobs", headers=api_keys["read"]) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
        last = answers[-1]
        assert last.json()["type"] == "urn:fewbits:problem:rate-limited"
        assert 1 <= int(last.headers["retry-after"]) <= 20
        assert last.headers["ratelimit-policy"] == "3;w=60"
        assert http.get("/v1/jobs", headers=api_keys["other"]).status_code == 200


def test_on_loopback_without_keys_rates_are_not_limited(settings: Settings) -> None:
    slow = create_app(settings.model_copy(update={"requests_per_minute": 1}))
    with TestClient(slow, base_url=URL) as http:
        assert [http.get("/v1/jobs").status_code for _ in range(3)] == [200, 200, 200]


def test_a_job_that_runs_again_or_gets_more_trials_is_a_job_like_any_other(
    http: TestClient, app: FastAPI, api_keys: Keys, filled: Filled
) -> None:
    path, headers = f"/v1/jobs/{filled.job_id}", api_keys["submit"]
    limited(app, max_trials=25)
    assert http.patch(path, json={"budget": {"trials": 26}}, headers=headers).status_code == 403
    assert http.patch(path, json={"budget": {"trials": 25}}, headers=headers).status_code == 200
    with app.state.database.transaction() as session:
        jobs.end(session, filled.job_id, JobStatus.FAILED, "the search broke")
    assert http.post(f"{path}:extend", json={"trials": 1}, headers=headers).status_code == 403
    limited(app, max_running_jobs=0)
    assert http.post(f"{path}:retry", headers=headers).status_code == 429
    limited(app, max_running_jobs=1, max_trials=25)
    assert http.post(f"{path}:retry", headers=headers).json()["status"] == "running"


def test_a_final_training_counts_and_needs_compute_time_and_bytes(
    http: TestClient, app: FastAPI, api_keys: Keys, filled: Filled
) -> None:
    path = f"/v1/jobs/{filled.job_id}/trials/0:finalize"
    for limits, quota in (({"max_compute_s": 0.0}, "compute_s"), ({"max_stored_bytes": 1}, "stored_bytes")):
        limited(app, **limits)
        answer = http.post(path, json={"epochs": 2}, headers=api_keys["submit"])
        assert (answer.status_code, answer.json()["quota"]) == (403, quota)
    assert http.get(path.replace(":finalize", "/final"), headers=api_keys["read"]).status_code == 404


def test_exports_and_final_trainings_that_wait_are_limited(
    http: TestClient, app: FastAPI, api_keys: Keys, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take compute time when they run: many that wait would exceed what is left of it."""
    monkeypatch.setattr("service.api.exports._check_taken", lambda *_: None)
    monkeypatch.setattr(quotas, "WORK_PER_JOB", 2)
    limited(app, max_running_jobs=1)
    path, headers = f"/v1/jobs/{filled.job_id}/trials/0", api_keys["submit"]

    def export(name: str) -> Any:
        return http.post(f"{path}/exports", json={"format": name}, headers=headers)

    assert [export(name).status_code for name in ("keras", "onnx", "keras", "qonnx")] == [202, 202, 202, 429]
    refused = http.post(f"{path}:finalize", json={"epochs": 2}, headers=headers)
    assert (refused.status_code, refused.json()["quota"]) == (429, "running_jobs")
    assert [item["name"] for item in http.get(f"{path}/exports", headers=headers).json()["items"]] == [
        "keras",
        "onnx",
    ]
    http.delete(f"{path}/exports/onnx", headers=api_keys["admin"])
    assert export("qonnx").status_code == 202


def test_of_jobs_that_arrive_at_once_no_more_are_accepted_than_the_quota_allows(
    database: Database, settings: Settings
) -> None:
    with database.transaction() as session:
        keys.set_limits(session, LOCAL, TenantLimits(max_running_jobs=2))

    def submitted(_: int) -> bool:
        try:
            with database.transaction() as session:
                quotas.check_submission(session, settings, LOCAL, 1)
                jobs.create(session, new_job())
        except QuotaReached:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(submitted, range(6))) == 2
