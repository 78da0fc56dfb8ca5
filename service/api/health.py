"""Liveness of the process, readiness of the service, and metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text

from service.api.deps import OPERATES, QueueDep, SettingsDep, WholeDatabaseDep
from service.api.responses import problem_responses
from service.observability.metrics import Metrics
from service.queue import Queue
from service.schemas.jobs import Alive, Readiness
from service.settings import Settings
from service.store.migrate import is_current
from service.store.session import Database
from service.store.waiting import without_worker

log = logging.getLogger(__name__)
router = APIRouter(tags=["health"])
operator_router = APIRouter(tags=["health"], dependencies=[OPERATES])

OK: Final = "ok"


@router.get("/healthz")
def alive() -> Alive:
    """Liveness: the process responds."""
    return Alive(version=version("fewbits"))


@router.get("/readyz", responses={503: {"model": Readiness, "description": "At least one part is not ready"}})
def ready(
    response: Response, settings: SettingsDep, database: WholeDatabaseDep, queue: QueueDep
) -> Readiness:
    """Readiness: database, its schema, broker and a live worker, each "ok" or what is wrong with it."""
    parts = {
        "database": _checked(lambda: _database(database)),
        "migrations": _checked(lambda: _migrations(database)),
        "broker": _checked(lambda: _broker(queue)),
        "worker": _checked(lambda: worker_state(database, settings)),
    }
    is_ready = all(state == OK for state in parts.values())
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


def _checked(check: Callable[[], str]) -> str:
    """The result of a check; an exception is only logged, because it may have addresses and passwords."""
    try:
        return check()
    except Exception as error:  # a driver may raise anything
        log.warning("readiness: %s", type(error).__name__, exc_info=True)
        return f"does not respond ({type(error).__name__})"


def _database(database: Database) -> str:
    with database.reading() as session:
        session.execute(text("SELECT 1"))
    return OK


def _migrations(database: Database) -> str:
    return (
        OK
        if is_current(database.engine)
        else "the schema is not at the newest revision: run `fewbits migrate`"
    )


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
