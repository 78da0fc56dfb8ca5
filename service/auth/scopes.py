"""Callers and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.store.tenancy import LOCAL


class KeyScope(StrEnum):
    """What a key may do; each scope includes those before it."""

    READ = "read"  #: read jobs, trials and files; validate; price networks
    SUBMIT = "submit"  #: also submit and control jobs, upload models and data
    ADMIN = "admin"  #: also delete, and make keys of the tenant

    def allows(self, needed: KeyScope) -> bool:
        """True if this scope includes the one that is needed."""
        order = list(KeyScope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant and key of a request; `key_id` is None on an embedded service, which needs no key."""

    tenant: str
    scope: KeyScope
    key_id: str | None = None


#: Any caller of an embedded service on loopback.
OWNER = Caller(LOCAL, KeyScope.ADMIN)
