"""A job that its user pauses, resumes, stops, extends and cancels, over real HTTP with a real worker."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.acceptance.server import Server, until
from tests.acceptance.test_main_job import read, submit, trials, wait

pytestmark = pytest.mark.timeout(600)


def post(server: Server, job_id: str, verb: str, **body: Any) -> dict[str, Any]:
    answer = server.http.post(f"/v1/jobs/{job_id}:{verb}", json=body or None)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_job_is_paused_resumed_stopped_and_extended(server: Server, job: dict[str, Any]) -> None:
    job_id = submit(server, job | {"budget": {"trials": 500}, "parallel_trials": 1})
    until(lambda: any(t["status"] == "done" for t in trials(server, job_id)), "a first measured trial")

    post(server, job_id, "pause")
    until(lambda: all(t["status"] != "running" for t in trials(server, job_id)), "the running trial to end")
    before = [(t["number"], t["status"]) for t in trials(server, job_id)]
    last = read(server, f"/v1/jobs/{job_id}/events?limit=1000")["last"]
    news = read(
        server, f"/v1/jobs/{job_id}/events?after={last}&wait_s=4"
    )  # sweeps and resent messages pass by
    assert news["items"] == []
    assert [(t["number"], t["status"]) for t in trials(server, job_id)] == before

    assert post(server, job_id, "resume")["status"] == "running"
    measured = [status for _, status in before].count("done")
    until(lambda: len([t for t in trials(server, job_id) if t["status"] == "done"]) > measured, "another one")

    post(server, job_id, "stop")
    stopped = wait(server, job_id)
    assert (stopped["status"], stopped["cause"]) == ("done", "user")
    refused = server.http.post(f"/v1/jobs/{job_id}:pause")
    assert refused.status_code == 409
    assert refused.json()["allowed"] == stopped["allowed"]
    clone = server.http.post(f"/v1/jobs/{job_id}:clone", json={"budget": {"trials": 1}})
    again = wait(server, clone.json()["id"])
    assert (again["status"], again["trials"]["done"]) == ("done", 1)
    post(server, again["id"], "extend", trials=1)
    again = wait(server, again["id"])
    assert (again["status"], again["cause"], again["trials"]["done"]) == ("done", "trials", 2)


def test_a_running_trial_ends_within_seconds_of_the_cancellation(server: Server, job: dict[str, Any]) -> None:
    """Also in the midst of an epoch of very many batches."""
    long = job | {"data": "digits", "training": {"epochs": 1000, "batch_size": 1}, "parallel_trials": 1}
    job_id = submit(server, long)
    until(lambda: any(t["epochs_done"] for t in trials(server, job_id)), "a trial in the midst of training")
    start = time.monotonic()
    post(server, job_id, "cancel")
    assert wait(server, job_id)["status"] == "cancelled"
    print(f"cancelled after {time.monotonic() - start:.1f} s")
    (trial,) = [t for t in trials(server, job_id) if t["started_at"]]
    assert trial["status"] == "cancelled"
    assert server.http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert server.http.get(f"/v1/jobs/{job_id}").status_code == 404


def test_a_stream_tells_a_job_to_its_end(server: Server, job: dict[str, Any]) -> None:
    job_id = submit(server, job | {"budget": {"trials": 1}})
    with server.http.stream(
        "GET", f"/v1/jobs/{job_id}/events", headers={"accept": "text/event-stream"}, timeout=240
    ) as answer:
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    types = [event["type"] for event in events if event["type"] != "job.warning"]
    assert types[:4] == ["job.created", "job.status", "trial.queued", "trial.claimed"]
    assert types[-4:] == ["trial.ended", "job.status", "job.finalized", "job.status"]
    assert types.count("trial.epoch") == 2
    assert events == read(server, f"/v1/jobs/{job_id}/events?limit=1000")["items"]
