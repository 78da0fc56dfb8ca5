"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.store.tenancy import LOCAL


class Scope(StrEnum):
    """What a key may do; each scope includes those before it."""

    READ = "read"  #: look at jobs, trials and files; validate; price networks
    SUBMIT = "submit"  #: also submit and steer jobs, upload models and data
    ADMIN = "admin"  #: also delete

    def allows(self, needed: Scope) -> bool:
        """True if this scope includes the one that is needed."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is; `key_id` is None on an embedded service, which asks for no key."""

    tenant: str
    scope: Scope
    key_id: str | None = None


#: Whoever reaches an embedded service on loopback.
OWNER = Caller(LOCAL, Scope.ADMIN)
