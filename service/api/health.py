"""Liveness of the process, readiness of the service, and metrics."""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text

from service.api.deps import OPERATES
from service.api.probes import OK
from service.api.responses import problem_responses
from service.observability.metrics import Metrics
from service.queue import Queue
from service.schemas.health import Alive, Readiness
from service.settings import Settings
from service.store import sweeps, workers
from service.store.blobs import free_bytes
from service.store.migrate import schema_fault
from service.store.session import Database
from service.store.waiting import without_worker

log = logging.getLogger(__name__)
router = APIRouter(tags=["health"])
operator_router = APIRouter(tags=["health"], dependencies=[OPERATES])


@router.get("/healthz")
async def alive() -> Alive:
    """Liveness: the process responds."""
    return Alive(version=version("fewbits"))


@router.get("/readyz", responses={503: {"model": Readiness, "description": "At least one part is not ready"}})
async def ready(request: Request, response: Response) -> Readiness:
    """Readiness: database, its schema, broker, disk, a live worker and its sweeps, each "ok" or what is wrong with it.

    Answered within four seconds, whatever does not respond.
    """
    state = request.app.state
    settings, database, queue = state.settings, state.database, state.queue
    checks = {
        "database": lambda: _database(database),
        "migrations": lambda: _migrations(database),
        "broker": lambda: _broker(queue),
        "worker": lambda: worker_state(database, settings),
        "disk": lambda: _disk(database, settings),
        "sweep": lambda: _sweep(database, settings),
    }
    # not in the threads of requests: those may all be waiting for the database
    parts = await asyncio.to_thread(state.probes.states, checks)
    is_ready = all(part == OK for part in parts.values())
    response.status_code = 200 if is_ready else 503
    response.headers["Cache-Control"] = "no-store"
    return Readiness(ready=is_ready, **parts)


@operator_router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses=problem_responses(_401="Authentication required", _403="The key is not an operator's"),
)
def read_metrics(request: Request) -> PlainTextResponse:
    """Metrics for Prometheus: requests of this process; jobs, trials, queue and workers of the whole service."""
    metrics: Metrics = request.app.state.metrics
    return PlainTextResponse(metrics.render(), media_type=CONTENT_TYPE_LATEST)


def _database(database: Database) -> str:
    with database.reading() as session:
        session.execute(text("SELECT 1"))
    return OK


def _migrations(database: Database) -> str:
    return schema_fault(database.engine) or OK


def _broker(queue: Queue) -> str:
    try:
        queue.check()
    except PermissionError:  # of the embedded broker
        return "the folder of the embedded broker is not writable"
    return OK


def worker_state(database: Database, settings: Settings) -> str:
    """OK if a worker has sent a heartbeat recently."""
    with database.reading() as session:
        return without_worker(session, settings.heartbeat) or OK


def _disk(database: Database, settings: Settings) -> str:
    free_mb = free_bytes(settings.blob_folder) >> 20
    if free_mb < settings.min_free_mb:
        return f"the disk of the artifacts has {free_mb} MB free: no trial begins below {settings.min_free_mb} MB"
    with database.reading() as session:
        count = len(workers.problems(session, settings.heartbeat))
    return OK if not count else f"{count} workers wait for room on their disks; their logs name them"


def _sweep(database: Database, settings: Settings) -> str:
    with database.reading() as session:
        is_late = sweeps.is_late(session, settings.sweep)
    return "no sweep has ended recently: trials of dead workers wait" if is_late else OK
