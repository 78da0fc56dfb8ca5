"""Dependencies of endpoints, as annotated types."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, Final

import structlog
from fastapi import Depends, Path, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from service.auth.authenticator import Authenticator, Credentials
from service.auth.scopes import Caller, KeyScope
from service.errors import InsufficientScope, InvalidParameter, JobNotFound, NotJson, RateLimited
from service.queue import Queue
from service.settings import Settings
from service.store.blobs import BlobStore
from service.store.session import Database
from service.store.tenancy import LOCAL
from service.store.upload_parts import UploadParts

#: The cookie with the session of the dashboard's user.
COOKIE: Final = "fewbits_session"

_BEARER: Final = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="Created by `fewbits keys create`. An embedded service on loopback needs none.",
)
_JOB_ID: Final = re.compile(r"[0-9a-f]{16}")


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _caller(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
) -> Caller:
    authenticator: Authenticator = request.app.state.authenticator
    caller = await authenticator.identify(credentials_of(request, bearer.credentials if bearer else None))
    request.state.caller = caller
    structlog.contextvars.bind_contextvars(tenant=caller.tenant, key=caller.key_id)
    rate = await authenticator.limit(caller)
    if rate is not None:
        if rate.is_exceeded:
            raise RateLimited(f"the key is limited to {rate.limit} requests per minute", rate.headers)
        request.state.response_headers = rate.headers
    return caller


def credentials_of(request: Request, key: str | None) -> Credentials:
    """What identifies the request: the key it sends, or the session in the page's cookie."""
    return Credentials(
        key=key,
        address=request.client.host if request.client else "",
        is_forwarded=_is_forwarded(request),
        session_id=request.cookies.get(COOKIE),
    )


#: What proxies add.
_BY_PROXIES: Final = (
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-real-ip",
    "via",
)


def _is_forwarded(request: Request) -> bool:
    """Whether a proxy sent the request. One without any setting, as nginx's bare `proxy_pass`, speaks HTTP/1.0."""
    return request.scope.get("http_version") == "1.0" or any(name in request.headers for name in _BY_PROXIES)


#: The caller. Unauthorized unless the request has a valid key, or the service needs none.
CallerDep = Annotated[Caller, Depends(_caller)]


#: The scope that each dependency made here requires: tests walk the routes and look it up.
_SCOPES: Final[dict[object, KeyScope]] = {}


def requires(scope: KeyScope) -> Callable[[Caller], Awaitable[None]]:
    """A dependency that refuses callers without this scope."""

    async def check(caller: CallerDep) -> None:
        if not caller.scope.allows(scope):
            raise InsufficientScope(
                f"this requires a key of scope {scope}; the scope of this key is {caller.scope}"
            )

    _SCOPES[check] = scope
    return check


def scope_of(dependency: object) -> KeyScope | None:
    """The scope that a dependency requires; None for other dependencies."""
    return _SCOPES.get(dependency)


async def _operator(caller: CallerDep) -> None:
    if caller.tenant != LOCAL or not caller.scope.allows(KeyScope.ADMIN):
        raise InsufficientScope(f"this concerns all tenants: it requires an admin key of tenant {LOCAL!r}")


_SCOPES[_operator] = KeyScope.ADMIN

#: For `dependencies=` of a router or a route.
READS: Final = Depends(requires(KeyScope.READ))
SUBMITS: Final = Depends(requires(KeyScope.SUBMIT))
ADMINISTERS: Final = Depends(requires(KeyScope.ADMIN))
#: What concerns all tenants is for admin keys of the tenant `local`, the operator's.
OPERATES: Final = Depends(_operator)


async def _whole_database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _database(request: Request, caller: CallerDep) -> Database:
    database: Database = request.app.state.database
    return database.for_tenant(caller.tenant)


async def _queue(request: Request) -> Queue:
    queue: Queue = request.app.state.queue
    return queue


async def _blobs(request: Request) -> BlobStore:
    blobs: BlobStore = request.app.state.blobs
    return blobs


SettingsDep = Annotated[Settings, Depends(_settings)]
#: The database as the caller's tenant sees it.
DatabaseDep = Annotated[Database, Depends(_database)]
#: The whole database: for routes about the service itself, never for resources of tenants.
WholeDatabaseDep = Annotated[Database, Depends(_whole_database)]
QueueDep = Annotated[Queue, Depends(_queue)]
BlobsDep = Annotated[BlobStore, Depends(_blobs)]


async def _incoming(settings: SettingsDep, blobs: BlobsDep) -> UploadParts:
    return UploadParts(settings.incoming_folder, blobs)


#: Uploads in progress.
UploadPartsDep = Annotated[UploadParts, Depends(_incoming)]


def _reading(database: DatabaseDep) -> Iterator[Session]:
    with database.reading() as session:
        yield session


#: A read-only session, open until the response is made.
SessionDep = Annotated[Session, Depends(_reading)]


async def _body(request: Request) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise NotJson(f"the body must be application/json, not {media_type or 'undeclared'}")
    return await request.body()


#: The bytes of a JSON body.
BodyDep = Annotated[bytes, Depends(_body)]


async def _job_id(job_id: Annotated[str, Path(description="id of a job")]) -> str:
    if not _JOB_ID.fullmatch(job_id):  # also keeps NUL and the like away from the database
        raise JobNotFound(f"no job has the id {job_id[:40]!r}")
    structlog.contextvars.bind_contextvars(job=job_id)
    return job_id


JobId = Annotated[str, Depends(_job_id)]
TrialNumber = Annotated[int, Path(ge=0, le=2**31 - 1, description="number of a trial, from 0")]
Limit = Annotated[int, Query(ge=1, le=1000, description="maximum number of items")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next_cursor` of the previous page")]


def encode_cursor(*values: str | float | None) -> str:
    """The end of a page as an opaque string."""
    text = json.dumps(values, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type[Any]) -> list[Any]:
    """The values that `encode_cursor` encoded; InvalidParameter unless they have these types, if any are given."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or (types and [type(value) for value in values] != list(types)):
        raise InvalidParameter("cursor", "must be the next_cursor of a page")
    return values
