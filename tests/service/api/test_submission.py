"""Submission of jobs over HTTP: validated, stored, cancelled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from search.history import JobStatus
from service.store import claims, workers
from service.store.leases import LeaseStatus
from tests.service.filled import LEASE, Filler


def test_a_submitted_job_is_stored_and_a_worker_is_woken(
    http: TestClient, job: dict[str, Any], messages: Path
) -> None:
    answer = http.post("/v1/jobs", json=job)
    assert answer.status_code == 202
    stored = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{stored['id']}"
    assert http.get(answer.headers["location"]).json()["id"] == stored["id"]
    (message,) = messages.iterdir()
    assert json.loads(message.read_text())["headers"]["task"] == "fewbits.advance_job"


def test_a_new_job_says_what_it_will_search(http: TestClient, job: dict[str, Any]) -> None:
    stored = http.post("/v1/jobs", json=job).json()
    assert stored["status"] == "queued"
    assert stored["progress"] == {"done": 0, "total": 20, "fraction": 0.0, "elapsed_s": None, "eta_s": None}
    assert stored["best"] is None
    assert stored["reference"]["energy_pj"] == stored["reference_cost"] > 0
    assert sum(layer["included_pj"] for layer in stored["reference"]["layers"]) > 0
    assert stored["spec"]["seed"] == 42


def test_the_dry_run_names_space_reference_and_candidates(http: TestClient, job: dict[str, Any]) -> None:
    answer = http.post("/v1/jobs:validate", json=job)
    assert answer.status_code == 200
    plan = answer.json()
    sizes = [len(choice["candidates"]) for choice in plan["slots"]]
    sizes += [len(choice["multipliers"]) for choice in plan["widths"]]
    product = 1
    for size in sizes:
        product *= size
    assert int(plan["space_size"]) == product
    assert plan["trials"] == 20
    assert "softmax" in plan["untouched"]
    assert plan["data"]["input_shape"] == [8, 8, 1]
    names = [layer["name"] for layer in plan["reference"]["layers"]]
    assert names[0] == "conv2d_0"
    assert any("DepthwiseConv2D" in warning for warning in plan["warnings"]) is False


def test_the_dry_run_warns_of_a_class_the_model_does_not_have(http: TestClient, job: dict[str, Any]) -> None:
    job["limits"]["by_class"]["DepthwiseConv2D"] = [4, 8, 4]
    plan = http.post("/v1/jobs:validate", json=job).json()
    assert any("DepthwiseConv2D" in warning for warning in plan["warnings"])


def test_the_dry_run_stores_and_sends_nothing(http: TestClient, job: dict[str, Any], messages: Path) -> None:
    http.post("/v1/jobs:validate", json=job)
    assert http.get("/v1/jobs").json() == {"items": [], "next_cursor": None}
    assert list(messages.iterdir()) == []


def test_a_job_accepts_what_the_dry_run_accepts(http: TestClient, job: dict[str, Any]) -> None:
    dry = http.post("/v1/jobs:validate", json=job).json()
    stored = http.post("/v1/jobs", json=job).json()
    assert stored["space_size"] == dry["space_size"]
    assert stored["reference"] == dry["reference"]
    assert stored["warnings"] == dry["warnings"]


def test_a_job_without_running_trials_is_cancelled_at_once(http: TestClient, filler: Filler) -> None:
    filled = filler.job()
    filler.queue(filled, 2)
    answer = http.post(f"/v1/jobs/{filled.job_id}:cancel")
    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    assert answer.json()["trials"]["cancelled"] == 2


def test_a_running_trial_sees_that_its_job_is_cancelled(http: TestClient, filler: Filler, app: Any) -> None:
    filled = filler.job()
    claim = filler.start(filler.queue(filled, 1)[0])
    assert http.post(f"/v1/jobs/{filled.job_id}:cancel").json()["status"] == "cancelling"
    with app.state.database.transaction() as session:
        assert claims.renew(session, claim, LEASE) is LeaseStatus.CANCELLED


def test_cancelling_twice_is_harmless(http: TestClient, filler: Filler) -> None:
    filled = filler.job()
    first = http.post(f"/v1/jobs/{filled.job_id}:cancel")
    second = http.post(f"/v1/jobs/{filled.job_id}:cancel")
    assert (first.status_code, second.status_code) == (200, 200)


def test_a_job_that_is_done_cannot_be_cancelled(http: TestClient, filler: Filler) -> None:
    filled = filler.job()
    filler.end(filled, JobStatus.DONE)
    answer = http.post(f"/v1/jobs/{filled.job_id}:cancel")
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:fewbits:problem:conflict"


def test_the_dry_run_names_the_ends_of_the_costs(http: TestClient, job: dict[str, Any]) -> None:
    plan = http.post("/v1/jobs:validate", json=job).json()
    cheapest, most_expensive = plan["cheapest"], plan["most_expensive"]
    assert 0 < cheapest["cost"]["value"] < most_expensive["cost"]["value"]
    assert plan["dearest"] == most_expensive  # its name in 0.1
    assert set(cheapest["choices"]) == {choice["name"] for choice in plan["slots"] + plan["widths"]}
    assert sum(layer["included_pj"] for layer in cheapest["cost"]["layers"]) > 0


def test_the_dry_run_estimates_the_time_from_trials_of_the_same_model(
    http: TestClient, job: dict[str, Any], filler: Filler, app: Any
) -> None:
    assert http.post("/v1/jobs:validate", json=job).json()["estimate"] is None
    filled = filler.job()
    for trial_id in filler.queue(filled, 2):
        filler.measure(filled, trial_id)  # 3 epochs in 1.5 s, and 0.3 s to build
    estimate = http.post("/v1/jobs:validate", json=job | {"training": {"epochs": 10}}).json()["estimate"]
    assert estimate["trial_s"] == pytest.approx(0.3 + 10 * 0.5)
    assert estimate["job_s"] == pytest.approx(20 * 5.3)
    assert (estimate["workers"], estimate["based_on"], estimate["same_data"]) == (1, 2, True)
    with app.state.database.transaction() as session:
        for name in ("host/1/0", "host/2/0", "host/3/0"):
            workers.heartbeat(session, name)
    limited = job | {"budget": {"trials": 20, "seconds": 7}, "data": {"kind": "digits", "train_samples": 100}}
    estimate = http.post("/v1/jobs:validate", json=limited).json()["estimate"]
    assert (estimate["workers"], estimate["job_s"], estimate["same_data"]) == (2, 7, False)


def test_the_dry_run_says_how_little_of_a_large_space_is_tried(http: TestClient, job: dict[str, Any]) -> None:
    warnings = http.post("/v1/jobs:validate", json=job).json()["warnings"]
    assert any("the budget tries 20 of them" in warning for warning in warnings)
