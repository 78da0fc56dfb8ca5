"""`fewbits admin`: what operators look at and do, in the database and the files themselves: no service has to run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.options import AsJson

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.session import Database

app = typer.Typer(
    help="Operate the service: workers, leases, sweeps, files, backups.\n\nWorks on the database and the files of the"
    " settings directly: no service has to run.",
    no_args_is_help=True,
    add_completion=False,
)

_Backup = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the backup.", file_okay=False)]


@app.command()
def workers(as_json: AsJson = False) -> None:
    """List the worker processes: alive, drained or silent, what they run, and what keeps them from working."""
    from service.store import draining, overview

    with _database() as (settings, database), database.reading() as session:
        drained = draining.drained(session)
        states = overview.worker_states(session, settings.heartbeat)
    rows = [{"status": _status(state.alive, state.host in drained), **asdict(state)} for state in states]
    _show(rows, ("status", "name", "running", "silent_s", "problem"), as_json=as_json)


@app.command()
def leases(as_json: AsJson = False) -> None:
    """List what workers do now: each trial, final training, export and report, and the time its lease still has."""
    from service.store import overview

    with _database() as (_, database), database.reading() as session:
        rows = [asdict(lease) for lease in overview.leased(session)]
    _show(rows, ("kind", "job", "trial", "attempt", "remaining_s", "worker"), as_json=as_json)


@app.command()
def sweep() -> None:
    """Sweep now: requeue what dead workers had, send lost messages again, remove what is out of date."""
    import subprocess

    from search.installation import module_command

    if subprocess.run(module_command("worker", "--sweep-once"), check=False).returncode:
        raise typer.Exit(1)
    typer.echo("swept")


@app.command()
def gc(
    hours: Annotated[
        float,
        typer.Option(
            "--older-than", min=1, metavar="HOURS", help="Only files stored before this many hours."
        ),
    ] = 24.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
) -> None:
    """Remove stored files that no row references: what was left by processes that died while they stored.

    Files of deleted jobs and uploads are removed by the sweep, not by this.
    """
    from datetime import timedelta

    from service.store import deferred_deletes
    from service.store.blob_stores import open_blobs
    from service.store.models import now

    before = now() - timedelta(hours=hours)
    with _database() as (settings, database), database.reading() as session:
        blobs = open_blobs(settings)
        orphans = deferred_deletes.orphans(session, blobs, before)
        if dry_run:
            typer.echo(f"{len(orphans)} files would be removed")
            return
        removed = sum(blobs.remove_stale(address, before) for address in orphans)
        unfinished = blobs.remove_unfinished(before)
    typer.echo(f"{removed} files and {unfinished} unfinished ones are removed")


@app.command()
def migrate() -> None:
    """Upgrade the database to the newest schema, as `fewbits migrate` does."""
    from service.cli.serving import migrate_database

    migrate_database()


@app.command()
def backup(folder: _Backup, as_json: AsJson = False) -> None:
    """Write the database and all stored files to a folder, while the service runs.

    A second backup into the same folder copies only new files. Data files in FEWBITS_DATA_DIR are not part of it.
    """
    from service.store import backups
    from service.store.blob_stores import open_blobs

    with _faults(), _database() as (settings, database):
        _tell("backed up", backups.make(database, open_blobs(settings), folder), as_json=as_json)


@app.command()
def restore(folder: _Backup, as_json: AsJson = False) -> None:
    """Restore a backup into an empty database and the folder of files; older schemas are upgraded."""
    from service.store import backups
    from service.store.blob_stores import open_blobs

    with _faults(), _database() as (settings, database):
        _tell("restored", backups.restore(database, open_blobs(settings), folder), as_json=as_json)


@app.command()
def drain(
    host: Annotated[
        str,
        typer.Argument(metavar="HOST", help="Machine, as `fewbits admin workers` names it before the slash."),
    ],
    undo: Annotated[bool, typer.Option("--undo", help="Let its workers begin again.")] = False,
    wait_s: Annotated[
        float,
        typer.Option(
            "--wait",
            min=0,
            metavar="SECONDS",
            help="Wait until nothing runs there; exit with 1 if something still does.",
        ),
    ] = 0.0,
) -> None:
    """Have the workers of a machine end what they do and begin nothing new, before it is shut down."""
    from service.store import draining

    with _database() as (_, database):
        with database.transaction() as session:
            was_drained = draining.resume(session, host) if undo else True
            if not undo:
                draining.drain(session, host)
        if undo:
            typer.echo(f"workers of {host} begin again" if was_drained else f"{host} was not drained")
            return
        running = _wait_until_idle(database, host, wait_s)
    typer.echo(f"workers of {host} begin nothing new; {running} still run")
    if running and wait_s:
        raise typer.Exit(1)


def _wait_until_idle(database: Database, host: str, wait_s: float) -> int:
    from service.store import draining

    deadline = time.monotonic() + wait_s
    while True:
        with database.reading() as session:
            running = draining.running(session, host)
        if not running or time.monotonic() >= deadline:
            return running
        time.sleep(1.0)


@contextmanager
def _database() -> Iterator[tuple[Settings, Database]]:
    """The settings, and their database."""
    from search.process import keep_private
    from service.settings import Settings
    from service.store.session import Database

    keep_private()
    settings = Settings()
    database = Database(settings.database)
    try:
        yield settings, database
    finally:
        database.dispose()


@contextmanager
def _faults() -> Iterator[None]:
    """A backup that cannot be made or restored ends the command with exit code 1 and the reason."""
    from service.store.backups import BackupFault

    try:
        yield
    except BackupFault as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _status(alive: bool, is_drained: bool) -> str:
    if not alive:
        return "silent"
    return "drained" if is_drained else "alive"


def _tell(done: str, manifest: dict[str, Any], *, as_json: bool) -> None:
    import json

    if as_json:
        typer.echo(json.dumps(manifest, indent=2))
        return
    typer.echo(f"{done}: {manifest['jobs']} jobs, {manifest['trials']} trials, {manifest['files']} files")


def _show(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    import json

    from rich.table import Table
    from rich.text import Text

    from service.cli.output import output_console

    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text("" if row[column] is None else str(row[column])) for column in columns))
    output_console().print(table)
