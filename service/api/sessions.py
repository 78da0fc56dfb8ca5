"""The caller's tenant and quotas; the dashboard's session, a cookie with the user's key that scripts cannot read."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from search.errors import Problem
from service.api.deps import COOKIE, READS, BodyDep, CallerDep, SettingsDep, WholeDatabaseDep, credentials_of
from service.api.responses import problem_responses
from service.errors import InvalidRequest
from service.json_document import parse_json
from service.schemas.jobs import QuotaView, SessionView
from service.store import quotas

router = APIRouter(prefix="/v1/session", tags=["session"])

_MAX_AGE_S: Final = 12 * 3600
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["key"],
                    "properties": {"key": {"type": "string", "description": "fewbits_..."}},
                }
            }
        },
    }
}
_REFUSED: Final = problem_responses(
    _400="The body is not JSON",
    _401="The key is not valid",
    _413="The body is too large",
    _415="The body is not application/json",
    _422="The body has no key",
    _429="Too many wrong keys came from this address",
)


@router.get("", dependencies=[READS], responses=problem_responses(_401="Authentication required"))
def read_session(caller: CallerDep, settings: SettingsDep, database: WholeDatabaseDep) -> SessionView:
    """The caller's tenant and scope, and the usage of the tenant's quotas."""
    with database.reading() as session:
        used = quotas.usage(session, settings, caller.tenant)
    return SessionView(
        tenant=caller.tenant,
        scope=caller.scope.value,
        key_id=caller.key_id,
        quotas={name: QuotaView(used=usage.used, limit=usage.limit) for name, usage in used.items()},
    )


async def _key(body: BodyDep) -> str:
    document = parse_json(body)
    key = document.get("key") if isinstance(document, dict) else None
    if not isinstance(key, str):
        raise InvalidRequest([Problem("/key", "is required, as a string")])
    return key.strip()


@router.post("", status_code=204, openapi_extra=_BODY, responses=_REFUSED)
async def open_session(request: Request, response: Response, key: Annotated[str, Depends(_key)]) -> None:
    """Store the key in a cookie of this browser for twelve hours. Other clients send the key itself."""
    await request.app.state.authenticator.identify(credentials_of(request, key))
    response.set_cookie(
        COOKIE,
        key,
        max_age=_MAX_AGE_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


@router.delete("", status_code=204)
async def close_session(request: Request, response: Response) -> None:
    """Delete the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https")
