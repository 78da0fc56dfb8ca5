"""Actions on jobs over HTTP: pause, resume, stop, retry, extend, clone, change, delete; and idempotency keys."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from search.history import Cause, JobStatus
from service.api.merge_patch import merged
from service.app import create_app
from service.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from service.settings import Settings
from service.store import idempotency, jobs
from service.store.idempotency import KeyClaim, KeyedRequest
from service.store.models import IdempotencyKey, Job, now
from service.store.session import Database
from tests.service.filled import Filled, Filler
from tests.service.store.conftest import new_job

LATER = timedelta(hours=25)


def post(http: TestClient, filled: Filled, verb: str, **body: Any) -> Any:
    return http.post(f"/v1/jobs/{filled.job_id}:{verb}", json=body or None)


def sent(messages: Path) -> list[str]:
    """The tasks of the messages that were sent, in no order."""
    return sorted(json.loads(path.read_text())["headers"]["task"] for path in messages.iterdir())


def finished(filler: Filler, **changes: Any) -> Filled:
    """A job that has ended with two measured trials."""
    from tests.service.filled import JOB

    filled = filler.job(JOB | {"budget": {"trials": 2}} | changes)
    for trial_id in filler.queue(filled, 2):
        filler.measure(filled, trial_id)
    filler.end(filled)
    return filled


# --- verbs ---


def test_a_job_is_paused_and_resumed(http: TestClient, filler: Filler, messages: Path) -> None:
    filled = filler.job()
    filler.queue(filled, 2)
    paused = post(http, filled, "pause").json()
    assert (paused["status"], paused["cause"]) == ("paused", "user")
    assert paused["allowed"] == ["resume", "stop", "cancel", "clone", "patch"]
    for message in messages.iterdir():
        message.unlink()
    assert post(http, filled, "resume").json()["status"] == "running"
    assert sent(messages) == ["fewbits.advance_job", "fewbits.run_trial", "fewbits.run_trial"]


def test_a_stopped_job_has_a_worker_report_its_best(http: TestClient, filler: Filler, messages: Path) -> None:
    filled = filler.job()
    filler.queue(filled, 1)
    stopped = post(http, filled, "stop").json()
    assert (stopped["status"], stopped["trials"]["cancelled"]) == ("stopping", 1)
    assert sent(messages) == ["fewbits.advance_job"]


@pytest.mark.parametrize("verb", ["pause", "resume", "stop", "extend", "cancel"])
def test_what_the_state_does_not_allow_is_a_conflict_that_says_what_it_allows(
    http: TestClient, filler: Filler, verb: str
) -> None:
    filled = filler.job() if verb == "extend" else finished(filler)
    answer = post(http, filled, verb, **({"trials": 1} if verb == "extend" else {}))
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["type"] == "urn:fewbits:problem:conflict"
    assert problem["allowed"] == http.get(f"/v1/jobs/{filled.job_id}").json()["allowed"]
    assert verb not in problem["allowed"]


def test_failed_trials_are_retried_also_in_a_job_that_has_ended(
    http: TestClient, filler: Filler, messages: Path
) -> None:
    filled = filler.job()
    filler.fail(filler.queue(filled, 1)[0], "no memory")
    filler.end(filled, JobStatus.FAILED, "none of 1 trials could be measured")
    assert "retry" in http.get(f"/v1/jobs/{filled.job_id}").json()["allowed"]
    again = post(http, filled, "retry").json()
    assert (again["status"], again["reason"], again["finished_at"]) == ("running", None, None)
    assert again["trials"] | {"queued": 1, "failed": 0} == again["trials"]
    assert sent(messages) == ["fewbits.advance_job", "fewbits.run_trial"]


def test_every_attempt_at_a_trial_is_shown(http: TestClient, filler: Filler) -> None:
    filled = filler.job()
    (trial_id,) = filler.queue(filled, 1)
    filler.fail(trial_id, "no memory")
    post(http, filled, "retry")
    filler.start(trial_id)
    attempts = http.get(f"/v1/jobs/{filled.job_id}/trials/0").json()["attempts"]
    assert [(attempt["attempt"], attempt["outcome"], attempt["reason"]) for attempt in attempts] == [
        (1, "failed", "no memory"),
        (2, None, None),
    ]


# --- extend, patch ---


def test_a_job_that_has_ended_is_extended(http: TestClient, filler: Filler, messages: Path) -> None:
    filled = finished(filler)
    more = post(http, filled, "extend", trials=3)
    assert more.status_code == 200
    assert (more.json()["status"], more.json()["spec"]["budget"]["trials"]) == ("running", 5)
    assert sent(messages) == ["fewbits.advance_job"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"trials": 0}, "/trials"),
        ({"trials": 100_000}, "/budget/trials"),
        ({"epochs": 5}, "/epochs"),
        ({"seconds": 5}, "/seconds"),
        ({"hours": 1}, "/hours"),
        ({"trials": "many"}, "/trials"),
    ],
)
def test_an_extension_that_extends_nothing_is_refused(
    http: TestClient, filler: Filler, body: dict[str, Any], pointer: str
) -> None:
    filled = finished(filler)
    answer = http.post(f"/v1/jobs/{filled.job_id}:extend", json=body)
    assert answer.status_code == 422
    assert pointer in {fault["pointer"] for fault in answer.json()["errors"]}
    assert http.get(f"/v1/jobs/{filled.job_id}").json()["status"] == "done"


def test_an_extension_that_leaves_another_budget_used_up_is_refused(
    http: TestClient, filler: Filler, app: FastAPI
) -> None:
    filled = finished(filler, budget={"trials": 2, "seconds": 60.0})
    with app.state.database.transaction() as session:
        job = jobs.get(session, filled.job_id)
        job.started_at = job.created_at - timedelta(minutes=2)
    answer = post(http, filled, "extend", trials=2)
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/seconds"]
    assert post(http, filled, "extend", trials=2, seconds=600).status_code == 200


def test_trials_that_a_schedule_has_divided_cannot_be_added_to(http: TestClient, filler: Filler) -> None:
    schedule = {"kind": "per_block", "blocks": ["conv.*|act.*|bn.*", ".*"]}
    filled = finished(filler, schedule=schedule)
    answer = post(http, filled, "extend", trials=2)
    assert answer.status_code == 422
    assert "clone" in answer.json()["detail"]


def test_budget_parallelism_and_priority_change_while_the_job_runs(
    http: TestClient, filler: Filler, messages: Path
) -> None:
    filled = filler.job()
    changes = {"budget": {"trials": 7, "seconds": 60}, "parallel_trials": 5, "priority": 3}
    patched = http.patch(f"/v1/jobs/{filled.job_id}", json=changes).json()
    assert patched["spec"]["budget"] == {"trials": 7, "epochs": None, "seconds": 60}
    assert (patched["spec"]["parallel_trials"], patched["priority"]) == (5, 3)
    assert patched["progress"]["total"] == 7
    without = http.patch(f"/v1/jobs/{filled.job_id}", json={"budget": {"seconds": None}}).json()
    assert without["spec"]["budget"] == {"trials": 7, "epochs": None, "seconds": None}
    assert sent(messages) == ["fewbits.advance_job"] * 2


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"seed": 3}, "/seed"),
        ({"budget": {"trials": 0}}, "/budget/trials"),
        ({"budget": {"hours": 1}}, "/budget/hours"),
        ({"parallel_trials": 1000}, "/parallel_trials"),
        ({"priority": 101}, "/priority"),
    ],
)
def test_what_cannot_change_is_named(
    http: TestClient, filler: Filler, body: dict[str, Any], pointer: str
) -> None:
    answer = http.patch(f"/v1/jobs/{filler.job().job_id}", json=body)
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


def test_a_body_of_another_type_is_refused(http: TestClient, filler: Filler) -> None:
    path = f"/v1/jobs/{filler.job().job_id}"
    assert http.patch(path, content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    assert http.patch(path, json=[1]).status_code == 422
    merge = {"content-type": "application/merge-patch+json"}
    assert http.patch(path, content=b'{"priority": 1}', headers=merge).json()["priority"] == 1


# --- clone, delete ---


def test_a_clone_is_a_new_job_with_changes(http: TestClient, filler: Filler) -> None:
    filled = finished(filler)
    changes = {"seed": 7, "oracle": {"kind": "grid"}, "filters": None}
    answer = post(http, filled, "clone", **changes)
    assert answer.status_code == 202
    clone = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{clone['id']}"
    assert (clone["status"], clone["spec"]["seed"]) == ("queued", 7)
    assert (clone["spec"]["oracle"]["kind"], clone["spec"]["filters"]["by"]) == ("grid", "none")
    first = http.get(f"/v1/jobs/{clone['id']}/events").json()["items"][0]
    assert first["data"]["cloned_from"] == filled.job_id


def test_a_clone_without_changes_needs_no_body(http: TestClient, filler: Filler) -> None:
    filled = finished(filler)
    spec = http.post(f"/v1/jobs/{filled.job_id}:clone").json()["spec"]
    assert spec == http.get(f"/v1/jobs/{filled.job_id}").json()["spec"]


def test_a_clone_that_cannot_run_is_refused(http: TestClient, filler: Filler) -> None:
    answer = post(http, finished(filler), "clone", limits={"by_name": {"no_such_layer": [4]}}, seed=-1)
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/seed"]


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        # and a kind's fields go with it
        ({"kind": "grid", "x": 1}, {"kind": "random"}, {"kind": "random"}),
        ({"kind": "grid", "x": 1}, {"y": 2}, {"kind": "grid", "x": 1, "y": 2}),
    ],
)
def test_documents_are_merged_as_the_standard_says(document: Any, patch: Any, expected: Any) -> None:
    assert merged(document, patch) == expected


def test_a_deleted_job_is_gone_with_its_trials(http: TestClient, filler: Filler) -> None:
    filled = finished(filler)
    assert http.delete(f"/v1/jobs/{filled.job_id}").status_code == 204
    for path in ("", "/trials", "/trials/0", "/events", "/best"):
        assert http.get(f"/v1/jobs/{filled.job_id}{path}").status_code == 404
    assert http.delete(f"/v1/jobs/{filled.job_id}").status_code == 404


def test_an_active_job_is_not_deleted(http: TestClient, filler: Filler) -> None:
    filled = filler.job()
    answer = http.delete(f"/v1/jobs/{filled.job_id}")
    assert answer.status_code == 409
    assert "cancel" in answer.json()["allowed"]


# --- requests that are sent twice ---


def with_key(http: TestClient, job: dict[str, Any], key: str = "one") -> Any:
    return http.post("/v1/jobs", json=job, headers={"Idempotency-Key": key})


def test_a_request_sent_again_with_its_key_is_not_carried_out_again(
    http: TestClient, job: dict[str, Any], messages: Path
) -> None:
    first, again = with_key(http, job), with_key(http, dict(reversed(job.items())))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.headers["location"] == again.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(http.get("/v1/jobs").json()["items"]) == 1
    assert sent(messages) == ["fewbits.advance_job"]
    assert with_key(http, job, "two").headers["location"] != first.headers["location"]


def test_a_key_with_another_body_is_refused(http: TestClient, job: dict[str, Any]) -> None:
    with_key(http, job)
    answer = with_key(http, job | {"seed": 43})
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:fewbits:problem:idempotency-key-reused"


def test_a_key_whose_request_was_refused_can_be_used_again(http: TestClient, job: dict[str, Any]) -> None:
    refused = with_key(http, job | {"limits": {"by_name": {"no_such_layer": [4]}}})
    assert refused.status_code == 422
    assert with_key(http, job).status_code == 202


def test_a_key_belongs_to_one_route(http: TestClient, filler: Filler) -> None:
    filled, other = finished(filler), finished(filler)
    headers = {"Idempotency-Key": "one"}
    clones = [
        http.post(f"/v1/jobs/{source.job_id}:clone", headers=headers).json()["id"]
        for source in (filled, other)
    ]
    assert len(set(clones)) == 2
    again = http.post(f"/v1/jobs/{filled.job_id}:clone", headers=headers)
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (clones[0], "true")


@pytest.mark.parametrize("key", ["", "x" * 256, "two words"])
def test_an_invalid_key_is_refused(http: TestClient, job: dict[str, Any], key: str) -> None:
    answer = with_key(http, job, key)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "Idempotency-Key"


def test_of_two_equal_requests_at_once_one_makes_a_job(
    database: Database, tmp_path: Path, job: dict[str, Any]
) -> None:
    app = create_app(Settings(home=tmp_path, database_url=database.url))
    with TestClient(app, base_url="http://127.0.0.1:8765") as http, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: with_key(http, job), range(4)))
        ids = {answer.json()["id"] for answer in answers if answer.status_code == 202}
        assert {answer.status_code for answer in answers} <= {202, 409}
        assert len(ids) == 1
        assert [item["id"] for item in http.get("/v1/jobs").json()["items"]] == list(ids)


def taken(database: Database, request: KeyedRequest) -> KeyClaim:
    with database.transaction() as session:
        claim = idempotency.claim(session, request)
    assert isinstance(claim, KeyClaim)
    return claim


REQUEST = KeyedRequest("POST /v1/jobs", "one", "aa")


def test_a_request_that_is_not_answered_yet_is_not_carried_out_again(database: Database) -> None:
    taken(database, REQUEST)
    with pytest.raises(IdempotencyKeyInUse), database.transaction() as session:
        idempotency.claim(session, REQUEST)
    with pytest.raises(IdempotencyKeyReused), database.transaction() as session:
        idempotency.claim(session, KeyedRequest("POST /v1/jobs", "one", "bb"))


def test_an_interrupted_request_is_taken_over_and_then_creates_no_job(database: Database) -> None:
    first = taken(database, REQUEST)
    with database.transaction() as session:
        row = session.query(IdempotencyKey).one()
        row.created_at = now() - 2 * idempotency.PATIENCE
    second = taken(database, REQUEST)
    with pytest.raises(IdempotencyKeyInUse), database.transaction() as session:
        idempotency.complete(session, first, jobs.create(session, new_job()).id)
    with database.transaction() as session:
        job_id = jobs.create(session, new_job()).id
        idempotency.complete(session, second, job_id)
    with database.transaction() as session:
        assert idempotency.claim(session, REQUEST) == job_id
        assert session.scalars(select(Job.id)).all() == [job_id]


def test_keys_are_forgotten_after_their_time(database: Database) -> None:
    taken(database, REQUEST)
    with database.transaction() as session:
        idempotency.prune(session, now() - LATER)
        assert session.query(IdempotencyKey).count() == 1
        idempotency.prune(session, now() + LATER)
        assert session.query(IdempotencyKey).count() == 0


def test_a_job_that_has_ended_has_a_cause(http: TestClient, filler: Filler, app: FastAPI) -> None:
    filled = filler.job()
    with app.state.database.transaction() as session:
        jobs.end(session, filled.job_id, JobStatus.FAILED, "nothing", cause=Cause.NO_RESULT)
    assert http.get(f"/v1/jobs/{filled.job_id}").json()["cause"] == "no_result"
