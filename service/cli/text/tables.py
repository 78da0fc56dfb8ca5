"""Tables in one style."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def new_table(*columns: str, **options: Any) -> Table:
    """An empty table; a leading > aligns a column to the right."""
    table = Table(header_style="bold", title_style="bold", title_justify="left", **options)
    for column in columns:
        add_column(table, column)
    return table


def add_column(table: Table, name: str) -> None:
    """Add a column; a leading > aligns it to the right."""
    is_right = name.startswith(">")
    table.add_column(name.lstrip(">"), justify="right" if is_right else "left", overflow="fold")
