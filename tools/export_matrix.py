"""Writes the tables of docs/exports.md: what each format takes, and how exact it was when it was measured.

    python -m tools.export_matrix                        # the tables, from the rules and docs/exports.json
    python -m tools.export_matrix --measure [FORMAT ...] # measure first, with every runtime that is found

A cell of a layer or quantizer is a small network (`tools.export_cells`) that is exported and run by the format's own
runtime in a fresh process.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from costmodel.layer import Layer
from costmodel.layer_classes import INPUT, KERAS_LAYERS, TRAINING_ONLY
from quantization.export.formats import FORMATS
from quantization.export.legality.base import QuantizedTensor
from quantization.specs.parse import KINDS, QuantizerSpec, parse_quantizer
from quantization.specs.per_channel import PER_CHANNEL_KIND

PAGE: Final = Path(__file__).parents[1] / "docs" / "exports.md"
MEASURED: Final = PAGE.with_name("exports.json")
START: Final = "<!-- tables: python -m tools.export_matrix -->"
END: Final = "<!-- end of tables -->"
REFUSED: Final = "-"
#: Table -> heading of its first column.
TABLES: Final = ("layer", "quantizer of a kernel", "quantizer of an activation", "network")

_DENSE: Final = Layer("dense", "Dense", {"name": "dense", "units": 3}, ("input",), ((4,),), (3,))
_WRITTEN: Final = {
    "quantized_bits": "quantized_bits(4,0,1,alpha=1.0)",
    "quantized_linear": "quantized_linear(4,0,1)",
}

#: Format -> table -> row -> result: "refused", or what a proof measured.
Measured = dict[str, dict[str, dict[str, Any]]]


def measured() -> Measured:
    """What was measured, by format, table and row."""
    return dict(json.loads(MEASURED.read_text())) if MEASURED.exists() else {}


def tables(names: Sequence[str]) -> str:
    """What each of these formats takes: layers, quantizers of kernels and activations, whole networks."""
    results = measured()
    parts = []
    for title in TABLES:
        rows = [
            (row, [_cell(results, name, title, row, taken) for name, taken in zip(names, takes, strict=True)])
            for row, takes in _rows(title, names, results)
        ]
        parts.append(_table(title, names, rows))
    return "\n\n".join(parts)


def _rows(title: str, names: Sequence[str], results: Measured) -> Iterator[tuple[str, list[bool]]]:
    """Each row of a table, and whether the rules of the formats take it."""
    if title == "network":
        rows = dict.fromkeys(row for entry in results.values() for row in entry.get(title, {}))
        for row in rows:
            yield row, [row in results.get(name, {}).get(title, {}) for name in names]
    elif title == "layer":
        for row in sorted(KERAS_LAYERS - {INPUT} - TRAINING_ONLY):
            classes = [FORMATS[name].legality.layers for name in names]
            yield row, [taken is None or row in taken for taken in classes]
    else:
        tensor = QuantizedTensor("kernel" if title.endswith("kernel") else "activation", _DENSE)
        for kind in sorted(KINDS):
            spec = default_spec(kind)
            if spec is not None:
                yield kind, [not FORMATS[name].legality.faults(tensor, spec) for name in names]


def _cell(results: Measured, name: str, title: str, row: str, taken: bool) -> str:
    """A cell: refused, taken but not measured here, or how the outputs compared."""
    entry = results.get(name, {}).get(title, {}).get(row)
    if not taken or entry == "refused":
        return REFUSED
    if entry is None:
        return "taken"
    if not entry["difference"]:
        return "exact"
    return f"close ({entry['difference']:.0e})"


def listed() -> tuple[str, ...]:
    """The formats that the page has columns for."""
    line = PAGE.read_text().partition(f"{START}\n\n")[2].partition("\n")[0]
    return tuple(cell.strip("` ") for cell in line.split("|")[2:-1])


def written() -> str:
    """The tables of the page."""
    return PAGE.read_text().partition(f"{START}\n\n")[2].partition(f"\n\n{END}")[0]


def default_spec(kind: str) -> QuantizerSpec | None:
    """A quantizer of a kind with its defaults; None where it has none that fit every layer."""
    if kind == PER_CHANNEL_KIND:
        return None
    try:
        return parse_quantizer(_WRITTEN.get(kind, f"{kind}()"))
    except ValueError:
        return None


def _table(title: str, names: Sequence[str], rows: Sequence[tuple[str, list[str]]]) -> str:
    columns = " | ".join(f"`{name}`" for name in names)
    lines = [f"| {title} | {columns} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows]
    return "\n".join(lines)


# ---- measuring -------------------------------------------------------------------------------------------------------


#: Cells that one process runs.
_AT_A_TIME: Final = 16


def measure(
    name: str, titles: Sequence[str] = TABLES, rows: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """Table -> row -> result of a format: every cell of these tables (and rows) exported, and run in fresh processes.

    A cell that is written and does not run is a fault: it is printed, and has no result.
    """
    from quantization.export.writers.scripted import in_one_process
    from tools.export_cells import cells

    results: dict[str, dict[str, Any]] = {}
    exports = []
    with tempfile.TemporaryDirectory(prefix="fewbits-matrix-") as scratch:
        with in_one_process():
            for number, (title, row, variants) in enumerate(cells()):
                if title not in titles or (rows and row not in rows):
                    continue
                made = _exported(name, variants, Path(scratch) / str(number))
                if made is None:
                    results.setdefault(title, {})[row] = "refused"
                else:
                    exports.append((title, row, *made))
        for start in range(0, len(exports), _AT_A_TIME):
            part = exports[start : start + _AT_A_TIME]
            for (title, row, *_), result in zip(part, _results(name, part), strict=True):
                if result is not None:
                    results.setdefault(title, {})[row] = result
    return results


def _results(name: str, part: Sequence[Any]) -> list[dict[str, Any] | None]:
    """The results of some cells, all run in one process; by halves where that fails."""
    from quantization.export.errors import NotExact, RunFailed
    from quantization.export.proof import compare
    from quantization.export.run import run_exports
    from tools.export_cells import inputs_of

    try:
        outputs = run_exports(
            name, [(export.folder, inputs_of(model)) for _, _, model, export in part], timeout_s=7200.0
        )
        results: list[dict[str, Any] | None] = []
        for (_, _, model, export), output in zip(part, outputs, strict=True):
            proof = compare(model, export, inputs_of(model), output, (True,) * len(model.outputs))
            relative = proof.largest_difference / max(proof.largest_output, 1e-30)
            results.append(
                {
                    "difference": float(f"{relative:.2g}"),
                    "equal_classes": None if proof.equal_classes is None else round(proof.equal_classes, 4),
                    "layers": sorted(proof.inexact),
                }
            )
        return results
    except (RunFailed, NotExact) as error:
        if len(part) > 1:
            half = len(part) // 2
            return [*_results(name, part[:half]), *_results(name, part[half:])]
        print(f"{name}: {part[0][0]} {part[0][1]}: {error}")
        return [None]


def _exported(name: str, variants: Sequence[Any], folder: Path) -> Any:
    """The first of the variants that a format takes, with its export; None: it takes none."""
    from quantization.export.context import ExportContext
    from quantization.export.errors import ExportRefused
    from quantization.export.export import export_model
    from tools.export_cells import inputs_of

    for index, variant in enumerate(variants):
        try:
            model = variant()
            context = ExportContext(inputs_of(model, seed=0))
            return model, export_model(model, name, folder / str(index), context)
        except ExportRefused as error:
            logging.debug("%s", error)
    return None


def main() -> None:
    """Measure what is named, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--measure", nargs="*", metavar="FORMAT", help="formats; none named: all whose runtime is found"
    )
    parser.add_argument(
        "--tables", nargs="*", choices=TABLES, help="measure these alone; each is kept once it is done"
    )
    parser.add_argument("--rows", nargs="*", metavar="ROW", help="and of these, these rows alone")
    arguments = parser.parse_args()
    for name in FORMATS if arguments.measure == [] else arguments.measure or ():
        if list(FORMATS[name].missing()):
            print(f"{name}: left out, {', '.join(FORMATS[name].missing())} is not installed")
            continue
        for title in arguments.tables or TABLES:
            results = measured()
            known = results.get(name, {})
            cells = measure(name, (title,), arguments.rows or ()).get(title, {})
            results[name] = {**known, title: {**(known.get(title, {}) if arguments.rows else {}), **cells}}
            results[name] = {entry: results[name][entry] for entry in TABLES if entry in results[name]}
            ordered = {entry: results[entry] for entry in FORMATS if entry in results}
            MEASURED.write_text(json.dumps(ordered, indent=1) + "\n")
            print(f"{name}: {title}: measured", flush=True)
    before, _, rest = PAGE.read_text().partition(START)
    PAGE.write_text(f"{before}{START}\n\n{tables(tuple(FORMATS))}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
