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


def _recorded(engine: Engine) -> list[tuple[str, Any]]:
    statements: list[tuple[str, Any]] = []

    def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith(("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")):
            statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", record)
    upgrade(engine)
    event.remove(engine, "before_cursor_execute", record)
    return statements
