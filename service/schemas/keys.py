"""Keys of a tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from search.spec.base import Frozen
from service.schemas.jobs import View

#: As `service.auth.scopes.KeyScope`.
Scope = Literal["read", "submit", "admin"]


class NewKeyBody(Frozen):
    """A key to create."""

    name: str = Field(min_length=1, max_length=200, description="for people")
    scope: Scope = Field("submit", description="what it may do; each scope includes those before it")
    lifetime_days: float | None = Field(
        None, gt=0, le=3650, description="days until it expires; null: it does not"
    )


class KeyView(View):
    """A key, without its secret."""

    id: str
    name: str
    scope: Scope
    is_valid: bool = Field(description="it is neither expired nor revoked")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="to the minute")


class CreatedKeyView(KeyView):
    """A new key. Its token is in no later response."""

    token: str


class KeyList(View):
    """The keys of the caller's tenant, the oldest first."""

    items: tuple[KeyView, ...]
