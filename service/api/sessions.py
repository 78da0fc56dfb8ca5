"""The caller's tenant and quotas; the dashboard's session, whose id is in a cookie that scripts cannot read."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from search.errors import Problem
from service.api.deps import COOKIE, READS, BodyDep, CallerDep, SettingsDep, WholeDatabaseDep, credentials_of
from service.api.responses import problem_responses
from service.auth.sessions import LIFETIME
from service.errors import InvalidRequest
from service.json_document import parse_json
from service.schemas.jobs import QuotaView, SessionView
from service.store import quotas

router = APIRouter(prefix="/v1/session", tags=["session"])

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
    """Log this browser in for twelve hours: a cookie that no script can read. Other clients send the key itself."""
    session_id = await request.app.state.authenticator.open_session(credentials_of(request, key))
    if session_id is not None:
        response.set_cookie(
            COOKIE,
            session_id,
            max_age=int(LIFETIME.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=_is_over_tls(request),
            path=request.app.state.settings.root_path or "/",
        )


@router.delete("", status_code=204)
async def close_session(request: Request, response: Response) -> None:
    """Log this browser out: its session ends, also for whoever has copied the cookie."""
    session_id = request.cookies.get(COOKIE)
    if session_id is not None:
        await request.app.state.authenticator.close_session(session_id)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=_is_over_tls(request))


def _is_over_tls(request: Request) -> bool:
    """Whether the browser uses TLS, as the connection or any proxy says: who lies only locks out itself."""
    forwarded = f"{request.headers.get('x-forwarded-proto', '')} {request.headers.get('forwarded', '')}"
    return request.url.scheme == "https" or "https" in forwarded.lower()
