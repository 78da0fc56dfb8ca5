"""The HTTP application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from threading import Thread

from fastapi import APIRouter, FastAPI

from service.api import (
    analysis,
    catalog,
    classes,
    cost,
    event_stream,
    events,
    export,
    exports,
    final_trainings,
    health,
    history,
    job_actions,
    jobs,
    keys,
    middleware,
    openapi,
    pages,
    points,
    problems,
    rescoring,
    sessions,
    trials,
    upload_content,
    uploads,
    validation,
    weights,
)
from service.api.compression import Compression
from service.api.compute import ComputeProcesses, ComputeSlots
from service.api.event_hub import EventHub, Listeners
from service.api.prefix import PathPrefix
from service.api.probes import Probes
from service.api.static_files import StaticFolder
from service.auth.authenticator import Authenticator
from service.auth.buckets import make_buckets
from service.observability.metrics import Metrics
from service.observability.middleware import RequestObserver
from service.queue import Queue
from service.settings import Settings
from service.store.blob_stores import open_blobs
from service.store.session import Database


def create_app(settings: Settings) -> FastAPI:
    """The service with these settings. It connects to nothing before the first request; the schema must be migrated."""
    app = FastAPI(
        title="fewbits",
        version=version("fewbits"),
        summary="Finds the quantizer, bit width and filter count of every layer of a Keras model",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.database = Database(settings.database, settings.database_timeout.total_seconds())
    app.state.queue = Queue(settings)
    app.state.blobs = open_blobs(settings)
    app.state.buckets = make_buckets(settings.broker_url, settings.namespace)
    app.state.authenticator = Authenticator(app.state.database, settings, app.state.buckets)
    app.state.compute_slots = ComputeSlots(settings.compute_processes or 2)
    app.state.compute = ComputeProcesses(settings)
    app.state.events = EventHub(app.state.database)
    app.state.listeners = Listeners(settings.streams_per_key)
    app.state.metrics = Metrics(app.state.database, settings.heartbeat)
    app.state.probes = Probes()
    app.state.files = StaticFolder(pages.FOLDER, settings.root_path)
    _mount(
        app,
        *(part.router for part in (validation, jobs, job_actions, events, trials, points, analysis)),
        *(part.router for part in (rescoring, final_trainings, export, exports, cost, uploads)),
        upload_content.router,
        *(
            event_stream.router,
            history.router,
            history.queue_router,
            keys.router,
            weights.router,
            classes.router,
        ),
        *(final_trainings.verbs, health.router, health.operator_router),
        *(pages.router, sessions.router, catalog.open_router),
    )
    app.mount("/static", app.state.files, name="static")
    problems.install(app)
    openapi.install(app)
    app.add_middleware(Compression)
    app.add_middleware(middleware.RequestGuard, settings=settings)
    app.add_middleware(RequestObserver, metrics=app.state.metrics, internal_error=problems.internal)
    app.add_middleware(middleware.ResponseHeaders)
    app.add_middleware(middleware.HeadRequests)
    app.add_middleware(PathPrefix, prefix=settings.root_path)
    return app


def _mount(app: FastAPI, *routers: APIRouter) -> None:
    """Add the routes of routers as they are; each requires a scope itself.

    `include_router` would rebuild every route at the first request, which takes a tenth of a second.
    """
    for router in routers:
        app.router.routes.extend(router.routes)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.compute.start()
    Thread(target=app.state.files.prepare, name="pages", daemon=True).start()
    yield
    app.state.compute.close()
    app.state.database.dispose()
    app.state.queue.close()
    app.state.buckets.close()
