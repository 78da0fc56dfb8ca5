"""Backups: the database and all stored files in a folder, made while the service runs, and restored into an empty one.

    backup.json         version of fewbits, revision of the schema, kind of the database, counts
    database.sqlite     or database.dump, as pg_dump writes it in its custom format
    blobs/              content by its SHA-256; a later backup into the same folder copies what is new

Files are copied before and after the database: content is stored before its rows, and removed long after them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, inspect, select
from sqlalchemy.engine import URL, make_url

from service.store.blobs import BlobStore
from service.store.deferred_deletes import referenced
from service.store.migrate import newest, stored_revision, upgrade
from service.store.models import Job, Trial
from service.store.session import Database

_MANIFEST: Final = "backup.json"
_BLOBS: Final = "blobs"
_FILES: Final = {"sqlite": "database.sqlite", "postgresql": "database.dump"}


class BackupFault(RuntimeError):
    """A backup that cannot be made or restored, and the remedy."""


def make(database: Database, blobs: BlobStore, folder: Path) -> dict[str, Any]:
    """Write a backup; what it holds. BackupFault if a file that rows reference is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = _kind(database)
    (folder / _MANIFEST).unlink(missing_ok=True)  # a backup without it is not whole
    _copy_blobs(blobs, BlobStore(folder / _BLOBS))
    target = folder / _FILES[kind]
    if kind == "sqlite":
        _copy_sqlite(Path(make_url(database.url).database or ""), target)
        stored = Database(f"sqlite:///{target}")
    else:
        _run("pg_dump", database.url, "--format=custom", "--no-owner", f"--file={target}")
        stored = database
    _copy_blobs(blobs, BlobStore(folder / _BLOBS))
    with stored.reading() as session:
        addresses = referenced(session)
        counts = {"jobs": _count(session, Job), "trials": _count(session, Trial), "files": len(addresses)}
    revision = stored_revision(stored.engine)
    if stored is not database:
        stored.dispose()
        for ending in ("-wal", "-shm"):
            target.with_name(target.name + ending).unlink(missing_ok=True)
    _check_files(addresses, BlobStore(folder / _BLOBS))
    manifest = {
        "fewbits": version("fewbits"),
        "revision": revision,
        "database": kind,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **counts,
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest


def restore(database: Database, blobs: BlobStore, folder: Path) -> dict[str, Any]:
    """Restore a backup into a database without tables; what it holds. BackupFault says what is in the way."""
    manifest = _manifest(folder)
    kind = _kind(database)
    if manifest["database"] != kind:
        raise BackupFault(
            f"the backup is of {manifest['database']}, and the settings name a database of {kind}"
        )
    if not str(manifest["revision"]).isdigit() or int(manifest["revision"]) > int(newest()):
        raise BackupFault(
            f"the backup has revision {manifest['revision']}, which this version does not know (its newest is"
            f" {newest()}): restore it with fewbits {manifest['fewbits']} or newer"
        )
    if inspect(database.engine).get_table_names():
        raise BackupFault("the database has tables: name an empty one, or drop its schema first")
    source = folder / _FILES[kind]
    _copy_blobs(BlobStore(folder / _BLOBS), blobs)
    if kind == "sqlite":
        database.dispose()
        target = Path(make_url(database.url).database or "")
        for ending in ("-wal", "-shm"):
            target.with_name(target.name + ending).unlink(missing_ok=True)
        _copy_sqlite(source, target)
    else:
        _run("pg_restore", database.url, "--no-owner", "--exit-on-error", "--single-transaction", str(source))
    upgrade(database.engine)
    with database.reading() as session:
        _check_files(referenced(session), blobs)
    return manifest


def _kind(database: Database) -> str:
    return make_url(database.url).get_backend_name()


def _count(session: Any, table: type[Job | Trial]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        _ = manifest["database"], manifest["revision"], manifest["fewbits"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupFault(f"{folder} is no whole backup: its {_MANIFEST} is missing or unreadable") from error
    return dict(manifest)


def _copy_sqlite(source: Path, target: Path) -> None:
    """A copy of one moment, whoever writes meanwhile; it replaces `target` when it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".new-{target.name}")
    new.unlink(missing_ok=True)
    from_connection, to_connection = sqlite3.connect(f"file:{source}?mode=ro", uri=True), sqlite3.connect(new)
    try:
        from_connection.backup(to_connection)
    finally:
        from_connection.close()
        to_connection.close()
    os.replace(new, target)


def _copy_blobs(source: BlobStore, target: BlobStore) -> None:
    """Copy content that is not there yet; each file appears whole."""
    for address in list(source.addresses()):
        if not target.has(address):
            with contextlib.suppress(FileNotFoundError):  # removed since it was listed: nothing references it
                target.put(source.path(address))


def _check_files(addresses: set[str], blobs: BlobStore) -> None:
    missing = sorted(address for address in addresses if not blobs.has(address))
    if missing:
        raise BackupFault(f"{len(missing)} files that rows reference are missing, the first {missing[0]}")


def _run(program: str, url: str, *options: str) -> None:
    """A program of PostgreSQL on a database; passwords are not in its arguments, which everybody can list."""
    parsed: URL = make_url(url).set(drivername="postgresql")
    environment = {**os.environ, **({"PGPASSWORD": str(parsed.password)} if parsed.password else {})}
    address = parsed.set(password=None).render_as_string(hide_password=False)
    if shutil.which(program) is None:
        raise BackupFault(f"{program} is not installed: install PostgreSQL's client of the server's version")
    done = subprocess.run(
        [program, f"--dbname={address}", *options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupFault(f"{program} failed: {done.stderr.strip()}")
