"""Keys of the caller's tenant, for its admins. Tenants and their quotas are the operator's: `fewbits keys`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path
from sqlalchemy.orm import Session

from search.errors import Problem
from service.api.deps import ADMINISTERS, BodyDep, CallerDep, WholeDatabaseDep
from service.api.responses import problem_responses
from service.auth import keys
from service.auth.scopes import KeyScope
from service.errors import Conflict, InvalidRequest, NotFound
from service.parsing import parse
from service.schemas.keys import CreatedKeyView, KeyList, KeyView, NewKeyBody
from service.store.key_models import ApiKey
from service.store.session import database_now

router = APIRouter(prefix="/v1/keys", tags=["keys"], dependencies=[ADMINISTERS])

KeyId = Annotated[str, Path(max_length=100, description="id of a key")]
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewKeyBody"}}},
    }
}


class KeyNotFound(NotFound):
    """The tenant has no key with this id."""

    type = "urn:fewbits:problem:key-not-found"


def _new_key(body: BodyDep) -> NewKeyBody:
    return parse(NewKeyBody, body).spec


@router.get("")
def list_keys(caller: CallerDep, database: WholeDatabaseDep) -> KeyList:
    """List the keys of the tenant, valid or not."""
    with database.reading() as session:
        moment = database_now(session)
        listed = keys.listed(session, caller.tenant)
        return KeyList(items=tuple(KeyView(**_fields(row, moment)) for row in listed))


@router.post(
    "",
    status_code=201,
    openapi_extra=_BODY,
    responses=problem_responses(
        _400="The body is not JSON", _415="The body is not application/json", _422="The body is not valid"
    ),
)
def create_key(
    new: Annotated[NewKeyBody, Depends(_new_key)], caller: CallerDep, database: WholeDatabaseDep
) -> CreatedKeyView:
    """Create a key of the tenant. No later response has its token. From the first key on, the service requires
    one of everybody.
    """
    lifetime = None if new.lifetime_days is None else timedelta(days=new.lifetime_days)
    with database.transaction() as session:
        try:
            row, token = keys.create(
                session, tenant=caller.tenant, name=new.name, scope=KeyScope(new.scope), lifetime=lifetime
            )
        except keys.InvalidKey as error:
            raise InvalidRequest([Problem("/name", str(error))]) from None
        return CreatedKeyView(**_fields(row, database_now(session)), token=str(token))


@router.delete(
    "/{key_id}",
    status_code=204,
    responses=problem_responses(_404="The tenant has no such key", _409="It is the key of this request"),
)
def revoke_key(key_id: KeyId, caller: CallerDep, database: WholeDatabaseDep) -> None:
    """Revoke a key of the tenant, permanently; not the one that the request is made with."""
    if key_id == caller.key_id:
        raise Conflict("a key cannot revoke itself: use another admin key")
    with database.transaction() as session:
        keys.revoke(session, _owned(session, key_id, caller.tenant).id)


def _owned(session: Session, key_id: str, tenant: str) -> ApiKey:
    for row in keys.listed(session, tenant):
        if row.id == key_id:
            return row
    raise KeyNotFound("the tenant has no key with this id")


def _fields(row: ApiKey, moment: datetime) -> dict[str, Any]:
    names = ("id", "name", "scope", "created_at", "expires_at", "revoked_at", "last_used_at")
    return {name: getattr(row, name) for name in names} | {"is_valid": keys.is_valid(row, moment)}
