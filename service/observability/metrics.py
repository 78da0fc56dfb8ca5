"""Metrics for Prometheus at /metrics: requests of this process, and figures from the database at each scrape."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from search.history import JobStatus, TrialStatus
from service.store import sweeps, workers
from service.store.lifecycle import CLAIMABLE
from service.store.models import Job, Trial
from service.store.session import Database, database_now

log = logging.getLogger(__name__)

_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one application, in their own registry; `heartbeat`: the interval of workers'."""

    def __init__(self, database: Database, heartbeat: timedelta) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "fewbits_requests", "Requests served", ("method", "route", "status"), registry=self._registry
        )
        self._durations = Histogram(
            "fewbits_request_duration_seconds",
            "Time from the request to the end of the response",
            ("method", "route"),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(_Rows(database, heartbeat))

    def observe(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).inc()
        self._durations.labels(method, route).observe(duration_s)

    def render(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Rows(Collector):
    """Gauges of the whole service, over all tenants; absent while the database does not respond."""

    def __init__(self, database: Database, heartbeat: timedelta) -> None:
        self._database, self._heartbeat = database, heartbeat

    def describe(self) -> list[Any]:
        """Nothing in advance: the database is read at each scrape only."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        up = GaugeMetricFamily("fewbits_database_up", "1 if the database responds")
        try:
            with self._database.reading() as session:
                gauges = list(_gauges(session, self._heartbeat))
        except SQLAlchemyError:
            log.warning("metrics: the database does not respond")
            gauges = []
        up.add_metric([], 1.0 if gauges else 0.0)
        yield up
        yield from gauges


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family


def _gauges(session: Session, heartbeat: timedelta) -> Iterator[GaugeMetricFamily]:
    yield _by_status("fewbits_jobs", "Jobs by status", Job, list(JobStatus), session)
    yield _by_status("fewbits_trials", "Trials by status", Trial, list(TrialStatus), session)
    moment = database_now(session)
    # not `enqueued_at`: the sweep sends messages again, and notes it there
    since = func.min(func.coalesce(Trial.started_at, Trial.created_at))
    waits = select(func.count(), since).join(Job, Job.id == Trial.job_id)
    count, waiting = session.execute(
        waits.where(Trial.status == TrialStatus.QUEUED, Job.status.in_(CLAIMABLE))
    ).one()
    yield _gauge("fewbits_queue_length", "Trials waiting for a worker, but for those of paused jobs", count)
    yield _gauge(
        "fewbits_queue_age_seconds",
        "Time since the oldest waiting trial was proposed, or last begun",
        0.0 if waiting is None else max(0.0, (moment - waiting).total_seconds()),
    )
    yield _gauge("fewbits_workers", "Worker processes that are alive", workers.alive(session, heartbeat))
    yield _gauge(
        "fewbits_workers_blocked",
        "Worker processes that are alive and begin nothing: a disk has no room",
        len(workers.problems(session, heartbeat)),
    )
    seen = workers.last_seen(session)
    beat = GaugeMetricFamily(
        "fewbits_worker_heartbeat_age_seconds",
        "Time since the last heartbeat of any worker; absent before the first",
    )
    if seen is not None:
        beat.add_metric([], max(0.0, (moment - seen).total_seconds()))
    yield beat
    swept = sweeps.last_ended(session)
    age = GaugeMetricFamily(
        "fewbits_sweep_age_seconds",
        "Time since somebody last looked for dead workers; absent before the first time",
    )
    if swept is not None:
        age.add_metric([], max(0.0, (moment - swept).total_seconds()))
    yield age


def _by_status(name: str, text: str, table: Any, statuses: list[Any], session: Session) -> GaugeMetricFamily:
    """A gauge for each status, also of those that no row has.

    The label `state` repeats `status`: it is the name of 0.1, deprecated, and goes after one minor version.
    """
    counted = select(table.status, func.count()).group_by(table.status)
    counts: dict[str, int] = {str(status): count for status, count in session.execute(counted)}
    family = GaugeMetricFamily(name, text, labels=("status", "state"))
    for status in {status.value for status in statuses} | set(counts):
        family.add_metric([status, status], counts.get(status, 0))
    return family
