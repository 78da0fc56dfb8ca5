"""The tables of docs/exports.md say what the rules of the formats say, and what was measured.

`python -m tools.export_matrix --measure` measures; where FEWBITS_TEST_EXPORTS is set, every format whose runtime is
found is measured again here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from quantization.engine import logits
from quantization.export.context import ExportContext
from quantization.export.errors import ExportRefused
from quantization.export.export import export_model
from quantization.export.formats import FORMATS
from quantization.export.proof import compare
from quantization.export.run import Outputs
from tools import export_matrix
from tools.export_cells import Cell, cells, inputs_of

_MEASURED = export_matrix.measured()
_CELLS = {(title, row): variants for title, row, variants in cells()}
#: Cells that are measured in every run of the tests.
_SOME = [key for number, key in enumerate(_CELLS) if number % 16 == 3 and key[0] != "network"]


def test_the_tables_are_those_of_the_rules_and_figures() -> None:
    assert export_matrix.listed() == tuple(FORMATS)
    assert export_matrix.written() == export_matrix.tables(tuple(FORMATS)), (
        "run python -m tools.export_matrix"
    )


def test_every_format_stands_on_the_page() -> None:
    page = export_matrix.PAGE.read_text()
    assert [name for name in FORMATS if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("name", _MEASURED)
def test_every_cell_of_a_measured_format_has_a_result(name: str) -> None:
    results = _MEASURED[name]
    assert {(title, row) for title, rows in results.items() for row in rows} == set(_CELLS)
    taken = FORMATS[name].legality.layers
    written = {row for row, result in results["layer"].items() if result != "refused"}
    assert taken is None or written <= taken
    assert sum(result != "refused" for result in results["network"].values()) >= 1


@pytest.mark.parametrize("name", [name for name in _MEASURED if FORMATS[name].exact])
def test_a_format_that_promises_equality_names_the_layers_that_differ(name: str) -> None:
    results = [result for rows in _MEASURED[name].values() for result in rows.values() if result != "refused"]
    assert all(result["layers"] for result in results if result["difference"])
    assert sum(not result["difference"] for result in results) > len(results) / 2


@pytest.mark.parametrize(("title", "row"), _SOME)
def test_a_cell_of_the_integers_is_still_as_it_was_measured(title: str, row: str, tmp_path: Path) -> None:
    result = _integers(_CELLS[title, row], tmp_path)
    recorded = _MEASURED["integers"][title][row]
    assert (result == "refused") == (recorded == "refused")
    if result != "refused":
        assert (result.largest_difference > 0) == (recorded["difference"] > 0)


def _integers(variants: Cell, folder: Path) -> Any:
    """The proof of the first variant that is taken, in this process; or "refused"."""
    for index, variant in enumerate(variants):
        model = variant()
        try:
            export = export_model(
                model, "integers", folder / str(index), ExportContext(inputs_of(model, seed=0))
            )
        except ExportRefused:
            continue
        outputs = Outputs((logits(export.folder, inputs_of(model)),), {})
        return compare(model, export, inputs_of(model), outputs, (True,))
    return "refused"


@pytest.mark.skipif(not os.environ.get("FEWBITS_TEST_EXPORTS"), reason="FEWBITS_TEST_EXPORTS is not set")
@pytest.mark.parametrize("name", _MEASURED)
def test_a_format_is_still_as_it_was_measured(name: str) -> None:
    if missing := list(FORMATS[name].missing()):
        pytest.skip(f"not installed: {', '.join(missing)}")
    results = export_matrix.measure(name)
    for title, rows in results.items():
        for row, result in rows.items():
            recorded = _MEASURED[name][title][row]
            assert (result == "refused") == (recorded == "refused"), (title, row)
            if result != "refused":
                assert bool(result["difference"]) == bool(recorded["difference"]), (title, row)
