"""Health as the API shows it."""

from __future__ import annotations

from pydantic import Field

from service.schemas.jobs import View


class Alive(View):
    """The process responds."""

    status: str = "alive"
    version: str


class Readiness(View):
    """Readiness of the service and of its parts: each is "ok", or what is wrong with it."""

    ready: bool
    database: str
    migrations: str
    broker: str
    worker: str
    disk: str = Field(
        "ok", description="whether trials have room for their files, here and where workers run"
    )
    sweep: str = Field(
        "ok", description="whether somebody has looked for dead workers and lost messages of late"
    )
