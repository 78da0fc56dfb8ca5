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


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrate the database up to `revision`; safe to call again, and by several processes at once."""
    if revision == "head" and is_current(engine):
        return
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
