"""`fewbits keys`: API keys and tenants' limits, kept in the database directly: no service needs to run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.auth.tokens import Token
    from service.store.key_models import ApiKey

app = typer.Typer(
    help="Make, list, rotate and revoke API keys; limit what tenants may use. Works on the database directly.",
    no_args_is_help=True,
)

_AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
_KeyId = Annotated[str, typer.Argument(metavar="ID", help="Id of a key; `fewbits keys list` shows it.")]
_Days = Annotated[
    float | None, typer.Option("--days", min=0.001, help="Days until the key expires; default: never.")
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for, for people.")],
    scope: Annotated[
        Literal["read", "submit", "admin"],
        typer.Option(help="read: look; submit: also run jobs and upload; admin: also delete."),
    ] = "submit",
    tenant: Annotated[str, typer.Option(help="Whose jobs it sees; made if there is none.")] = "local",
    days: _Days = None,
    as_json: _AsJson = False,
) -> None:
    """Make a key and print it. It is printed once and cannot be read again."""
    from service.auth import keys
    from service.auth.scopes import KeyScope

    with _database() as session:
        row, token = keys.create(
            session, tenant=tenant, name=name, scope=KeyScope(scope), lifetime=_lifetime(days)
        )
    _hand_out(row, token, as_json=as_json)


@app.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None, as_json: _AsJson = False
) -> None:
    """List the keys, without their secrets."""
    from service.auth import keys

    with _database() as session:
        rows = keys.listed(session, tenant)
    if as_json:
        _print_json([_told(row) for row in rows])
    else:
        _draw(rows)


@app.command()
def rotate(
    key_id: _KeyId,
    grace_hours: Annotated[
        float, typer.Option("--grace-hours", min=0, help="How long the old key stays good.")
    ] = 24.0,
    days: _Days = None,
    as_json: _AsJson = False,
) -> None:
    """Replace a key: print a new one; the old one stays good for a while."""
    from service.auth import keys

    with _database() as session:
        row, token = keys.rotate(
            session, key_id, grace=timedelta(hours=grace_hours), lifetime=_lifetime(days)
        )
    _hand_out(row, token, as_json=as_json)


@app.command()
def revoke(key_id: _KeyId) -> None:
    """End a key for good. A running service notices within FEWBITS_KEY_CACHE (10 s)."""
    from service.auth import keys

    with _database() as session:
        keys.revoke(session, key_id)
    typer.echo(f"key {key_id} is revoked")


@app.command()
def limit(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Whom to limit; made if there is none.")],
    running_jobs: Annotated[int | None, typer.Option(min=0, help="Jobs that have not ended.")] = None,
    trials: Annotated[int | None, typer.Option(min=0, help="Trials over all jobs.")] = None,
    stored_bytes: Annotated[int | None, typer.Option(min=0, help="Bytes of models, data and files.")] = None,
    compute_seconds: Annotated[
        float | None, typer.Option(min=0, help="Seconds workers spend on its trials.")
    ] = None,
) -> None:
    """Set what a tenant may use; what is not given is as the settings say (FEWBITS_MAX_...)."""
    from service.auth import keys

    with _database() as session:
        limits = keys.TenantLimits(running_jobs, trials, stored_bytes, compute_seconds)
        keys.set_limits(session, tenant, limits)
    typer.echo(f"the limits of tenant {tenant} are set")


@contextmanager
def _database() -> Iterator[Session]:
    """A transaction on the migrated database of the settings; faults end the command with exit code 2."""
    from service.auth.keys import InvalidKey
    from service.settings import Settings
    from service.store.migrate import upgrade
    from service.store.session import Database

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


def _hand_out(row: ApiKey, token: Token, *, as_json: bool) -> None:
    if as_json:
        _print_json({**_told(row), "key": str(token)})
        return
    typer.echo(
        f"key {row.id} of tenant {row.tenant}, scope {row.scope}. Keep it now: it is not shown again.",
        err=True,
    )
    typer.echo(str(token))


def _told(row: ApiKey) -> dict[str, str | None]:
    moments = {
        name: None if moment is None else moment.isoformat()
        for name, moment in (
            ("created_at", row.created_at),
            ("expires_at", row.expires_at),
            ("revoked_at", row.revoked_at),
            ("last_used_at", row.last_used_at),
        )
    }
    return {
        "id": row.id,
        "tenant": row.tenant,
        "name": row.name,
        "scope": row.scope,
        "state": _state(row),
        "replaced_by": row.replaced_by,
        **moments,
    }


def _state(row: ApiKey) -> str:
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


def _draw(rows: list[ApiKey]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from service.cli.session import output

    table = Table("id", "tenant", "name", "scope", "state", "expires", "last used")
    for row in rows:
        moments = [
            "" if moment is None else f"{moment:%Y-%m-%d %H:%M}Z"
            for moment in (row.expires_at, row.last_used_at)
        ]
        table.add_row(row.id, row.tenant, escape(row.name), row.scope, _state(row), *moments)
    output().print(table)
