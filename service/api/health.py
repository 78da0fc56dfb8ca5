"""Whether the process lives, and whether the service can run jobs."""

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
from service.store import workers
from service.store.migrate import is_current
from service.store.session import Database

log = logging.getLogger(__name__)
router = APIRouter(tags=["health"])
operator_router = APIRouter(tags=["health"], dependencies=[OPERATES])

OK: Final = "ok"


@router.get("/healthz")
def alive() -> Alive:
    """The process answers."""
    return Alive(version=version("fewbits"))


@router.get("/readyz", responses={503: {"model": Readiness, "description": "A part is missing"}})
def ready(
    response: Response, settings: SettingsDep, database: WholeDatabaseDep, queue: QueueDep
) -> Readiness:
    """Database, its schema, broker and a live worker: "ok" or what is wrong with each."""
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
    responses=problem_responses(_401="The service needs a key", _403="Not an operator's key"),
)
def read_metrics(request: Request) -> PlainTextResponse:
    """Figures for Prometheus: requests of this process; jobs, trials, queue and workers of the whole service."""
    metrics: Metrics = request.app.state.metrics
    return PlainTextResponse(metrics.render(), media_type=CONTENT_TYPE_LATEST)


def _checked(check: Callable[[], str]) -> str:
    """What the check says; its exception goes to the log, where addresses and passwords may stand."""
    try:
        return check()
    except Exception as error:  # whatever a driver raises, the part does not work
        log.warning("readiness: %s", type(error).__name__, exc_info=True)
        return f"does not answer ({type(error).__name__})"


def _database(database: Database) -> str:
    with database.reading() as session:
        session.execute(text("SELECT 1"))
    return OK


def _migrations(database: Database) -> str:
    return OK if is_current(database.engine) else "not at the newest revision: run `fewbits migrate`"


def _broker(queue: Queue) -> str:
    try:
        queue.check()
    except PermissionError:  # of the embedded one
        return "its folder cannot be written"
    return OK


def worker_state(database: Database, settings: Settings) -> str:
    """OK if any worker was heard of lately."""
    with database.reading() as session:
        seen = workers.last_seen(session)
    if seen is None or seen < workers.dead_before(settings.heartbeat):
        return "none was heard of lately: run `fewbits worker`"
    return OK
