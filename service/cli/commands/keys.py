"""`fewbits keys`: API keys and the limits of tenants, changed in the database: no service has to run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service.cli.options import AsJson

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.auth.tokens import Token
    from service.store.key_models import ApiKey

app = typer.Typer(
    help="Manage API keys and the limits of tenants.\n\nWorks on the database directly: no service has to run.",
    no_args_is_help=True,
    add_completion=False,
)

_KeyId = Annotated[str, typer.Argument(metavar="ID", help="ID of a key, as `fewbits keys list` shows it.")]
_Days = Annotated[
    float | None,
    typer.Option("--days", min=0.001, help="Lifetime of the key, in days; default: it never expires."),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    scope: Annotated[
        Literal["read", "submit", "admin"],
        typer.Option(help="read: only read; submit: also run jobs and upload; admin: also delete."),
    ] = "submit",
    tenant: Annotated[str, typer.Option(help="Tenant the key belongs to; created if missing.")] = "local",
    days: _Days = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it. It is shown only once."""
    from service.auth import keys
    from service.auth.scopes import KeyScope

    with _transaction() as session:
        row, token = keys.create(
            session, tenant=tenant, name=name, scope=KeyScope(scope), lifetime=_lifetime(days)
        )
    _print_token(row, token, as_json=as_json)


@app.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only keys of this tenant; default: of all.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the keys, without their secrets."""
    from service.auth import keys

    with _transaction() as session:
        rows = keys.listed(session, tenant)
    if as_json:
        _print_json([_as_json(row) for row in rows])
    else:
        _print_table(rows)


@app.command()
def rotate(
    key_id: _KeyId,
    grace_hours: Annotated[
        float, typer.Option("--grace-hours", min=0, help="Hours for which the old key stays valid.")
    ] = 24.0,
    days: _Days = None,
    as_json: AsJson = False,
) -> None:
    """Replace a key and print the new one; the old one stays valid for a while."""
    from service.auth import keys

    with _transaction() as session:
        row, token = keys.rotate(
            session, key_id, grace=timedelta(hours=grace_hours), lifetime=_lifetime(days)
        )
    _print_token(row, token, as_json=as_json)


@app.command()
def revoke(key_id: _KeyId) -> None:
    """Revoke a key for good. A running service rejects it after FEWBITS_KEY_CACHE (10 s) at the latest."""
    from service.auth import keys

    with _transaction() as session:
        keys.revoke(session, key_id)
    typer.echo(f"key {key_id} is revoked")


@app.command()
def off(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all keys, so that a service on loopback serves everybody on this machine again, as admin.

    Revoking or expiry never does that: once a key was created, one is required.
    """
    from service.auth import keys

    if not yes:
        typer.confirm("Delete all keys, so that everybody on this machine is admin?", abort=True)
    with _transaction() as session:
        count = keys.remove_all(session)
    typer.echo(f"{count} keys are deleted; a service on loopback requires none now")


@app.command()
def limit(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Tenant to limit; created if missing.")],
    running_jobs: Annotated[int | None, typer.Option(min=0, help="Jobs that have not ended.")] = None,
    trials: Annotated[int | None, typer.Option(min=0, help="Trials, over all jobs.")] = None,
    stored_bytes: Annotated[
        int | None, typer.Option(min=0, help="Size of models, data and files, in bytes.")
    ] = None,
    compute_seconds: Annotated[
        float | None, typer.Option(min=0, help="Time that workers spend on trials, in seconds.")
    ] = None,
) -> None:
    """Set the limits of a tenant. A limit without an option is that of the settings (FEWBITS_MAX_...)."""
    from service.auth import keys

    with _transaction() as session:
        limits = keys.TenantLimits(running_jobs, trials, stored_bytes, compute_seconds)
        keys.set_limits(session, tenant, limits)
    typer.echo(f"the limits of tenant {tenant} are set")


@app.command()
def weight(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Tenant; created if missing.")],
    share: Annotated[
        float, typer.Argument(metavar="WEIGHT", min=0.01, max=100, help="Its share; 1 unless set.")
    ],
) -> None:
    """Set the share of the workers that a tenant gets while others want them too: 2 is twice that of 1."""
    from service.auth import keys

    with _transaction() as session:
        keys.set_weight(session, tenant, share)
    typer.echo(f"the weight of tenant {tenant} is {share:g}")


@contextmanager
def _transaction() -> Iterator[Session]:
    """A transaction on the migrated database of the settings; InvalidKey ends the command with exit code 2."""
    from search.process import keep_private
    from service.auth.keys import InvalidKey
    from service.settings import Settings
    from service.store.migrate import upgrade
    from service.store.session import Database

    keep_private()
    database = Database(Settings().database)
    try:
        upgrade(database.engine)
        with database.transaction() as session:
            yield session
    except InvalidKey as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    finally:
        database.dispose()


def _lifetime(days: float | None) -> timedelta | None:
    return None if days is None else timedelta(days=days)


def _print_token(row: ApiKey, token: Token, *, as_json: bool) -> None:
    if as_json:
        _print_json({**_as_json(row), "key": str(token)})
        return
    typer.echo(
        f"key {row.id} of tenant {row.tenant}, scope {row.scope}. Store it now: it is not shown again.",
        err=True,
    )
    typer.echo(str(token))


def _as_json(row: ApiKey) -> dict[str, str | None]:
    """A key without its secret. `state` is the former name of `status`."""
    status = _status(row)
    return {
        "id": row.id,
        "tenant": row.tenant,
        "name": row.name,
        "scope": row.scope,
        "status": status,
        "state": status,
        "replaced_by": row.replaced_by,
        "created_at": _iso(row.created_at),
        "expires_at": _iso(row.expires_at),
        "revoked_at": _iso(row.revoked_at),
        "last_used_at": _iso(row.last_used_at),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _status(row: ApiKey) -> str:
    from service.auth.keys import is_valid
    from service.store.models import now

    if row.revoked_at is not None:
        return "revoked"
    if not is_valid(row, now()):
        return "expired"
    return "good" if row.replaced_by is None else "being replaced"


def _print_json(value: object) -> None:
    import json

    typer.echo(json.dumps(value, indent=2))


def _print_table(rows: list[ApiKey]) -> None:
    from rich.table import Table
    from rich.text import Text

    from service.cli.output import output_console

    table = Table("id", "tenant", "name", "scope", "status", "expires", "last used")
    for row in rows:
        moments = [
            "" if moment is None else f"{moment:%Y-%m-%d %H:%M}Z"
            for moment in (row.expires_at, row.last_used_at)
        ]
        table.add_row(row.id, row.tenant, Text(row.name), row.scope, _status(row), *moments)
    output_console().print(table)
