"""The tables of docs/exports.md say what the rules of the formats say."""

from __future__ import annotations

from quantization.export.formats import FORMATS
from tools import export_matrix


def test_the_tables_are_those_of_the_rules() -> None:
    names = export_matrix.listed()
    assert set(names) <= set(FORMATS)
    assert {"keras", "integers", "c"} <= set(names)
    assert export_matrix.written() == export_matrix.tables(names), "run python -m tools.export_matrix"


def test_every_format_stands_on_the_page() -> None:
    page = export_matrix.PAGE.read_text()
    assert [name for name in FORMATS if f"| `{name}` |" not in page] == []
