"""Databases for tests: the statements of the migrations are recorded once and sent again to each further database."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Engine, event, inspect

from service.store.migrate import upgrade

#: What the migrations sent to a database of this kind, in order.
_STATEMENTS: Final[dict[str, list[tuple[str, Any]]]] = {}


def migrate(engine: Engine) -> None:
    """Bring a database to the newest revision; an empty one without looking for what to do."""
    if inspect(engine).get_table_names():
        upgrade(engine)
        return
    if engine.dialect.name not in _STATEMENTS:
        _STATEMENTS[engine.dialect.name] = _recorded(engine)
        return
    with engine.begin() as connection:
        for statement, parameters in _STATEMENTS[engine.dialect.name]:
            connection.exec_driver_sql(statement, parameters or None)


class Changed(Exception):
    """A test has changed the schema itself."""


def columns(engine: Engine) -> int:
    """How many columns the tables and indexes of a schema of PostgreSQL have."""
    with engine.connect() as connection:
        count = connection.exec_driver_sql(
            "SELECT count(*) FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid"
            " WHERE relnamespace = current_schema()::regnamespace AND NOT attisdropped"
        )
        return int(count.scalar_one())


def empty(engine: Engine, expected: int) -> None:
    """Take a schema of PostgreSQL back to what the migrations left: no rows, and counters that begin again.

    Ten times as fast as another schema. `expected`: its `columns`; `Changed` where it has others. Needs the rights of a
    superuser; raises where a connection still locks rows.
    """
    if columns(engine) != expected:
        raise Changed
    with engine.begin() as connection:
        run = connection.exec_driver_sql
        run("SET LOCAL lock_timeout = '2s'")
        run("SET LOCAL session_replication_role = replica")  # rows may go in any order
        schema = {"schema": run("SELECT current_schema()").scalar_one()}
        tables = run("SELECT tablename FROM pg_tables WHERE schemaname = %(schema)s", schema).scalars()
        for table in [name for name in tables if name != "alembic_version"]:
            run(f'DELETE FROM "{table}"')
        run(
            "SELECT setval(format('%%I.%%I', schemaname, sequencename), 1, false)"
            " FROM pg_sequences WHERE schemaname = %(schema)s",
            schema,
        )


def _recorded(engine: Engine) -> list[tuple[str, Any]]:
    statements: list[tuple[str, Any]] = []

    def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith(("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")):
            statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", record)
    upgrade(engine)
    event.remove(engine, "before_cursor_execute", record)
    return statements
