"""What the dashboard reads besides jobs and trials: attempts, choices, queue, changed points, one stream of events."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete
from starlette.testclient import TestClient

from service.api.pages import FOLDER
from service.store import workers
from service.store.models import Event
from tests.service.clients import served
from tests.service.filled import Filled, Filler


@pytest.fixture
def filled(filler: Filler) -> Filled:
    """A job with three measured trials and a failed one."""
    job = filler.job()
    ids = filler.queue(job, 4)
    for trial_id in ids[:3]:
        filler.measure(job, trial_id)
    filler.fail(ids[3], "loss became NaN")
    return job


def test_attempts_are_columns_whose_durations_add_up(http: TestClient, filled: Filled) -> None:
    answer = http.get(f"/v1/jobs/{filled.job_id}/attempts").json()
    assert answer["trial"] == [0, 1, 2, 3]
    assert answer["outcome"] == ["done", "done", "done", "failed"]
    assert answer["reason"][3] == "loss became NaN"
    spent = [end - start for start, end in zip(answer["started_s"], answer["ended_s"], strict=True)]
    assert answer["compute_s"] == pytest.approx(sum(spent))
    assert min(spent) >= 0


def test_choices_are_those_of_the_trials(http: TestClient, filled: Filled) -> None:
    path = f"/v1/jobs/{filled.job_id}"
    answer = http.get(f"{path}/choices", params={"numbers": "2,0"}).json()
    assert answer["number"] == [0, 2]
    for row, number in enumerate(answer["number"]):
        chosen = http.get(f"{path}/trials/{number}").json()["choices"]
        columns = {column["name"]: column["labels"][column["codes"][row]] for column in answer["choices"]}
        assert columns == chosen
    kernel = next(column for column in answer["choices"] if column["name"].endswith("kernel"))
    assert all(bits is not None and bits >= 1 for bits in kernel["bits"])
    assert http.get(f"{path}/choices").json()["number"] == [0, 1, 2]  # the measured ones


def test_of_very_many_choices_the_newest_trials_are_sent(
    http: TestClient, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/v1/jobs/{filled.job_id}/choices"
    each = len(http.get(path).json()["choices"])
    for labels, numbers in ((2 * each, [1, 2]), (2 * each - 1, [2]), (1, [2])):
        monkeypatch.setattr("service.api.history.MAX_LABELS", labels)
        assert http.get(path).json()["number"] == numbers
        assert http.get(path, params={"numbers": "0,1,2"}).json()["number"] == numbers


@pytest.mark.parametrize("numbers", ["a", "1,,2", "-1", ",".join(["1"] * 2001)])
def test_numbers_of_trials_are_checked(http: TestClient, filled: Filled, numbers: str) -> None:
    answer = http.get(f"/v1/jobs/{filled.job_id}/choices", params={"numbers": numbers})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "numbers"


def test_the_queue_shows_live_workers_and_waiting_jobs(
    app: FastAPI, http: TestClient, filler: Filler
) -> None:
    job = filler.job()
    ids = filler.queue(job, 3)
    filler.start(ids[0])
    with app.state.database.transaction() as session:
        workers.heartbeat(session, "host/1/0")
        workers.heartbeat(session, "host/2/0")
    answer = http.get("/v1/queue").json()
    assert [(worker["name"], worker["job_id"], worker["trial"]) for worker in answer["workers"]] == [
        ("host/1/0", job.job_id, 0),
        ("host/2/0", None, None),
    ]
    (waiting,) = answer["jobs"]
    assert (waiting["job_id"], waiting["queued"], waiting["running"]) == (job.job_id, 2, 1)
    filler.end(job)
    assert http.get("/v1/queue").json()["jobs"] == []


def test_points_after_a_version_are_those_that_changed(
    http: TestClient, filler: Filler, filled: Filled
) -> None:
    path = f"/v1/jobs/{filled.job_id}/points"
    fields = {"fields": "number,status,metric,front"}
    before = http.get(path, params=fields).json()
    assert before["after"] == 0
    (trial_id,) = filler.queue(filled, 1, first=4)
    filler.measure(filled, trial_id)
    changed = http.get(path, params=fields | {"after": before["version"]}).json()
    everything = http.get(path, params=fields).json()
    assert changed["number"] == [4]
    assert changed["after"] == before["version"]
    assert changed["version"] == everything["version"]
    assert [changed[name][0] for name in ("status", "metric", "front")] == [
        everything[name][4] for name in ("status", "metric", "front")
    ]
    assert http.get(path, params=fields | {"after": everything["version"]}).json()["number"] == []


def test_all_points_are_sent_where_events_are_stored_no_more(
    app: FastAPI, http: TestClient, filled: Filled
) -> None:
    path = f"/v1/jobs/{filled.job_id}/points"
    with app.state.database.transaction() as session:
        session.execute(delete(Event).where(Event.job_id == filled.job_id, Event.id < 5))
    answer = http.get(path, params={"after": 2}).json()
    assert (answer["after"], answer["number"]) == (0, [0, 1, 2, 3])


# --- one stream ------------------------------------------------------------------------------------------------------


def messages(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    return (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))


def test_one_stream_has_the_events_of_several_jobs(app: FastAPI, filler: Filler) -> None:
    jobs = [filler.job(), filler.job()]
    with served(app) as url, httpx.Client(base_url=url) as client:
        versions = {job.job_id: client.get(f"/v1/jobs/{job.job_id}").json()["version"] for job in jobs}
        named = [("job", f"{job_id}:{version}") for job_id, version in versions.items()]
        named.append(("job", "f" * 16 + ":0"))
        with client.stream("GET", "/v1/events", params=named) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert "content-encoding" not in answer.headers
            seen = messages(answer.iter_lines())
            assert next(seen) == {"job_id": "f" * 16, "over": True}  # a job that does not exist
            for job in jobs:
                filler.queue(job, 1)
                message = next(seen)
                assert (message["job_id"], message["event"]["type"]) == (job.job_id, "trial.queued")
                assert message["event"]["id"] > versions[job.job_id]
            for job in jobs:
                filler.end(job)
            rest = list(seen)
        over = [message["job_id"] for message in rest if message.get("over")]
        assert sorted(over) == sorted(job.job_id for job in jobs)


@pytest.mark.parametrize("named", ["", "x", "0123456789abcdef", "0123456789abcdef:-1"])
def test_a_stream_names_its_jobs(http: TestClient, named: str) -> None:
    assert http.get("/v1/events", params={"job": named}).status_code == 422


# --- files and compression -------------------------------------------------------------------------------------------


def test_files_of_the_page_are_stored_for_ever_under_their_digest(http: TestClient) -> None:
    page = http.get("/").text
    paths = re.findall(r'src="(/static/[^"]*\.js)"', page)
    assert [path.split("/", 3)[3] for path in paths] == ["lib/ahead.js", "bundle.js"]
    for path in paths:
        answer = http.get(path, headers={"accept-encoding": "gzip"})
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.content == http.get(f"/static/{path.split('/', 3)[3]}").content
    assert b'd("view")' in answer.content, "the bundle holds the page's module"
    plain = http.get("/static/app.js", headers={"accept-encoding": "identity"})
    assert plain.headers["cache-control"] == "no-cache"
    assert plain.content == (FOLDER / "app.js").read_bytes()
    known = http.get("/static/app.js", headers={"if-none-match": plain.headers["etag"]})
    assert known.status_code == 304


@pytest.mark.parametrize(
    "path", ["/static/", "/static/nothing.js", "/static/../app.py", "/static/%2e%2e/app.py"]
)
def test_only_files_of_the_folder_are_sent(http: TestClient, path: str) -> None:
    assert http.get(path).status_code == 404


def test_documents_are_compressed_and_files_of_trials_are_not(http: TestClient, filled: Filled) -> None:
    asked = {"accept-encoding": "gzip"}
    with http.stream("GET", f"/v1/jobs/{filled.job_id}", headers=asked) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed))["id"] == filled.job_id
    artifact = f"/v1/jobs/{filled.job_id}/trials/0/artifacts/report.json"
    assert "content-encoding" not in http.get(artifact, headers=asked).headers
