"""Tenancy: a session of a tenant reads, changes and creates rows of that tenant only.

The filter applies to every ORM statement over a table of owned rows (`Owned`), so that no caller can forget it. Rows
that belong to an owned row (trials of a job, files of a trial) are reached through it. Sessions without a tenant, those
of the workers and of `fewbits keys`, see everything.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, mapped_column, with_loader_criteria

#: The tenant of an embedded service, and of rows created without one.
LOCAL: Final = "local"


class Owned:
    """A row of one tenant."""

    tenant: Mapped[str] = mapped_column(default=LOCAL, server_default=LOCAL)


class TenantSession(Session):
    """A session that sees the rows of `tenant`; None: of all tenants."""

    def __init__(self, *arguments: Any, tenant: str | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.tenant = tenant


def tenant_of(session: Session) -> str | None:
    """The tenant whose rows the session sees; None: all tenants."""
    return session.tenant if isinstance(session, TenantSession) else None


@event.listens_for(TenantSession, "do_orm_execute")
def _filter_by_tenant(state: ORMExecuteState) -> None:
    tenant = tenant_of(state.session)
    if tenant is not None and not state.is_column_load and not state.is_relationship_load:
        state.statement = state.statement.options(
            with_loader_criteria(Owned, lambda cls: cls.tenant == tenant, include_aliases=True)
        )


@event.listens_for(TenantSession, "before_flush")
def _mark_new(session: Session, *_: Any) -> None:
    tenant = tenant_of(session)
    if tenant is not None:
        for row in session.new:
            if isinstance(row, Owned):
                row.tenant = tenant
