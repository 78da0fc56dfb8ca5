"""Writes the tables of docs/exports.md from the rules of the formats: `python -m tools.export_matrix`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from costmodel.layer import Layer
from costmodel.layer_classes import INPUT, KERAS_LAYERS, TRAINING_ONLY
from quantization.export.formats import FORMATS
from quantization.export.legality.base import QuantizedTensor
from quantization.specs.parse import KINDS, QuantizerSpec, parse_quantizer

PAGE: Final = Path(__file__).parents[1] / "docs" / "exports.md"
START: Final = "<!-- tables: python -m tools.export_matrix -->"
END: Final = "<!-- end of tables -->"

_DENSE: Final = Layer("dense", "Dense", {"name": "dense", "units": 3}, ("input",), ((4,),), (3,))
#: Arguments without which a kind of quantizer has none, or depends on the data.
_WRITTEN: Final = {
    "quantized_bits": "quantized_bits(4,0,1,alpha=1.0)",
    "quantized_linear": "quantized_linear(4,0,1)",
}


def tables(names: Sequence[str]) -> str:
    """Which layers, and which quantizers of kernels and activations, each of these formats takes."""
    parts = (
        ("layer", list(_layers(names))),
        ("quantizer of a kernel", list(_quantizers(names, "kernel"))),
        ("quantizer of an activation", list(_quantizers(names, "activation"))),
    )
    return "\n\n".join(_table(title, names, rows) for title, rows in parts)


def listed() -> tuple[str, ...]:
    """The formats that the page has columns for."""
    return tuple(re.findall(r"`(\w+)`", PAGE.read_text().partition(f"{START}\n\n")[2].partition("\n")[0]))


def written() -> str:
    """The tables of the page."""
    return PAGE.read_text().partition(f"{START}\n\n")[2].partition(f"\n\n{END}")[0]


def _layers(names: Sequence[str]) -> Iterator[tuple[str, list[bool]]]:
    for name in sorted(KERAS_LAYERS - {INPUT} - TRAINING_ONLY):
        taken = [FORMATS[entry].legality.layers for entry in names]
        yield name, [classes is None or name in classes for classes in taken]


def _quantizers(names: Sequence[str], field: str) -> Iterator[tuple[str, list[bool]]]:
    tensor = QuantizedTensor(field, _DENSE)
    for kind in sorted(KINDS):
        spec = _spec(kind)
        if spec is not None:
            yield kind, [not FORMATS[name].legality.faults(tensor, spec) for name in names]


def _spec(kind: str) -> QuantizerSpec | None:
    """A quantizer of a kind with its defaults; None where it has no defaults."""
    try:
        return parse_quantizer(_WRITTEN.get(kind, f"{kind}()"))
    except ValueError:
        return None


def _table(title: str, names: Sequence[str], rows: Sequence[tuple[str, list[bool]]]) -> str:
    columns = " | ".join(f"`{name}`" for name in names)
    lines = [f"| {title} | {columns} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {name} | {' | '.join('yes' if taken else '-' for taken in row)} |" for name, row in rows]
    return "\n".join(lines)


def main() -> None:
    """Write the tables."""
    before, _, rest = PAGE.read_text().partition(START)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{START}\n\n{tables(tuple(FORMATS))}\n\n{END}{after}")


if __name__ == "__main__":
    main()
