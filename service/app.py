"""The HTTP application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from service.api import (
    analysis,
    catalog,
    cost,
    events,
    export,
    finals,
    health,
    jobs,
    middleware,
    observed,
    openapi,
    pages,
    points,
    problems,
    rescoring,
    sessions,
    trials,
    uploads,
    validation,
    verbs,
)
from service.auth.authenticator import Authenticator
from service.auth.buckets import buckets
from service.deps import READS
from service.metrics import Metrics
from service.queue import Queue
from service.settings import Settings
from service.store.blobs import BlobStore
from service.store.session import Database
from service.watching import Watch


def create_app(settings: Settings) -> FastAPI:
    """The service on these settings. It opens nothing before the first request; the schema must be migrated."""
    app = FastAPI(
        title="fewbits",
        version=version("fewbits"),
        summary="Finds the quantizer, bit width and filter count of every layer of a Keras model",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.database = Database(settings.database)
    app.state.queue = Queue(settings)
    app.state.blobs = BlobStore(settings.blob_folder)
    app.state.buckets = buckets(settings.broker_url)
    app.state.authenticator = Authenticator(app.state.database, settings, app.state.buckets)
    app.state.watch = Watch(app.state.database)
    app.state.metrics = Metrics(app.state.database)
    for part in (
        validation,
        jobs,
        verbs,
        events,
        trials,
        points,
        analysis,
        rescoring,
        finals,
        export,
        cost,
        uploads,
    ):
        app.include_router(part.router, dependencies=[READS])
    app.include_router(finals.verbs)
    for router in (health.router, health.operator_router, pages.router, sessions.router, catalog.open_router):
        app.include_router(router)  # these say themselves who may ask
    app.mount("/static", StaticFiles(directory=pages.FOLDER), name="static")
    problems.install(app)
    openapi.install(app)
    app.add_middleware(middleware.Gate, settings=settings)
    app.add_middleware(observed.Observed, metrics=app.state.metrics)
    app.add_middleware(middleware.AnswerHeaders)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.database.dispose()
    app.state.queue.close()
    app.state.buckets.close()
