"""Migrates the database to a revision of its schema; the revisions are Alembic's, in the package `migrations`."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, inspect, text

if TYPE_CHECKING:
    from alembic.config import Config

_SCRIPTS: Final = "migrations"  #: the package of the revisions


def newest() -> str:
    """The newest revision: the file of a revision begins with its number."""
    names = (path.name for path in _versions().iterdir())
    return max(name for name in names if name[0].isdigit()).partition("_")[0]


def _versions() -> Traversable:
    return files(_SCRIPTS) / "versions"


def stored_revision(engine: Engine) -> str | None:
    """The revision that the database is at; None before the first migration."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def is_current(engine: Engine) -> bool:
    """True if the database is at the newest revision."""
    return stored_revision(engine) == newest()


def schema_fault(engine: Engine) -> str | None:
    """What is wrong with the schema of the database, and the remedy; None if it is at the newest revision."""
    revision = stored_revision(engine)
    if revision == newest():
        return None
    if revision is None and _has_tables(engine):
        return "the database has tables of another program: name an empty one in FEWBITS_DATABASE_URL"
    if revision is not None and not (revision.isdigit() and int(revision) <= int(newest())):
        return (
            f"the schema is at revision {revision[:20]!r}, unknown to this version (its newest is {newest()}): "
            "a newer fewbits or another program has migrated the database; upgrade fewbits, or name another database"
        )
    return "the schema is not at the newest revision: run `fewbits migrate`"


def _has_tables(engine: Engine) -> bool:
    with engine.connect() as connection:
        inspector = inspect(connection)
        return not inspector.has_table("alembic_version") and bool(inspector.get_table_names())


class CannotMigrate(RuntimeError):
    """The database is not one that this version can migrate: upgrade fewbits, or name another database."""


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrate the database up to `revision`; safe to call again, and by several processes at once.

    CannotMigrate for a database of a newer version or of another program.
    """
    fault = schema_fault(engine)
    if revision == "head" and fault is None:
        return
    if fault is not None and "fewbits migrate" not in fault:
        raise CannotMigrate(fault)
    from alembic import command  # a quarter of a second of imports, saved if the database is current

    with engine.begin() as connection:
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Migrate the database down to `revision`; "base" removes every table."""
    from alembic import command

    with engine.begin() as connection:
        command.downgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", f"{_SCRIPTS}:")
    config.attributes["connection"] = connection
    return config
