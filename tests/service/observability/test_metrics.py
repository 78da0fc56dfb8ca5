"""The metrics for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.store import workers
from service.store.models import Base
from tests.service.filled import Filler


def samples(http: TestClient) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample, by its name and the values of its labels."""
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_status(http: TestClient) -> None:
    for job_id in ("0" * 16, "1" * 16):
        http.get(f"/v1/jobs/{job_id}")
    http.get("/v1/jobs")
    http.get("/no/such/path")
    metrics = samples(http)
    assert metrics["fewbits_requests_total", ("GET", "/v1/jobs/{job_id}", "404")] == 2
    assert metrics["fewbits_requests_total", ("GET", "/v1/jobs", "200")] == 1
    assert metrics["fewbits_requests_total", ("GET", "other", "404")] == 1
    assert metrics["fewbits_request_duration_seconds_count", ("GET", "/v1/jobs/{job_id}")] == 2
    assert not [name for name in metrics if "0" * 16 in str(name)]


def test_jobs_trials_queue_and_workers_are_read_from_the_rows(
    http: TestClient, app: FastAPI, filler: Filler
) -> None:
    job = filler.job()
    ids = filler.queue(job, 4)
    filler.measure(job, ids[0])
    filler.fail(ids[1], "loss became NaN")
    with app.state.database.transaction() as session:
        workers.heartbeat(session, "host/1/0")
    metrics: dict[Any, float] = samples(http)
    assert metrics["fewbits_trials", ("done", "done")] == 1
    assert metrics["fewbits_trials", ("failed", "failed")] == 1
    assert metrics["fewbits_trials", ("queued", "queued")] == 2
    assert metrics["fewbits_queue_length", ()] == 2
    assert metrics["fewbits_queue_age_seconds", ()] >= 0
    assert metrics["fewbits_worker_heartbeat_age_seconds", ()] >= 0
    assert metrics["fewbits_database_up", ()] == 1
    assert sum(value for (name, _), value in metrics.items() if name == "fewbits_jobs") == 1


def test_before_the_first_heartbeat_there_is_no_age(http: TestClient) -> None:
    assert not [name for name, _ in samples(http) if name == "fewbits_worker_heartbeat_age_seconds"]


def test_without_a_database_only_its_metrics_are_missing(http: TestClient, app: FastAPI) -> None:
    http.get("/v1/jobs")
    Base.metadata.tables["trials"].drop(app.state.database.engine)
    metrics = samples(http)
    assert metrics["fewbits_database_up", ()] == 0
    assert metrics["fewbits_requests_total", ("GET", "/v1/jobs", "200")] == 1
