"""Write docs/supported-layers.md out of the table of layers, or check that it is current.

python -m tools.supported_layers            # writes the page
python -m tools.supported_layers --check    # exits with 1 if the page is not what would be written
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from costmodel.descriptions.distribution import REPLACED
from costmodel.descriptions.layers import REASONS
from costmodel.descriptions.nesting import MODEL_MODULES
from costmodel.descriptions.operators import OPERATORS
from costmodel.input_steps import RESCALING
from costmodel.layer_classes import KERAS_LAYERS, LAYER_CLASSES, TRAINING_ONLY, LayerClass

PAGE: Final = Path(__file__).parents[1] / "docs" / "supported-layers.md"
_INTRODUCTION: Final = """# Supported layers

Layers of Keras 3 that a network may hold, out of the table of layers (`costmodel/layer_classes.py`); `make layers`
writes this page. What else a network may hold: [networks.md](networks.md).

- **quantized**: the tensors and functions that can have a quantizer, with the field of `quantizers` and `limits` their
  candidates come from; those in italics are left alone by a search.
- **width**: the field that `filters` searches.

Which layers run in integers: [fixed-point.md](fixed-point.md).
"""
_HEAD: Final = "| layer | quantized | width | |\n|---|---|---|---|"


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            _INTRODUCTION,
            "## At inference\n",
            _HEAD,
            *(_line(name) for name in sorted(KERAS_LAYERS - TRAINING_ONLY)),
            "",
            "## In training only\n",
            "They act while trials train, cost nothing, and do nothing at inference:"
            f" {_listed(sorted(TRAINING_ONLY))}.",
            "",
            "## Taken apart\n",
            f"- {_listed(sorted(MODEL_MODULES))} inside a model become their layers.",
            f"- `TimeDistributed` of {_listed(REPLACED)} and of models becomes the layer that does the same to all"
            " steps.",
            f"- Operators that are read as layers: {_listed(OPERATORS)}.",
            "",
            "## Refused\n",
            "| layer | why |\n|---|---|",
            *(f"| `{name}` | {reason} |" for name, reason in sorted(REASONS.items())),
            "",
            "Every other layer is refused by name, as are custom ones.",
            "",
        ]
    )


def _listed(names: object) -> str:
    assert isinstance(names, list | tuple)
    return ", ".join(f"`{name}`" for name in names)


def _line(name: str) -> str:
    row = LAYER_CLASSES[name]
    return f"| `{name}` | {_slots(row)} | {_width(row)} | {_note(name, row)} |"


def _slots(row: LayerClass) -> str:
    return ", ".join(_slot_texts(row)) or "-"


def _slot_texts(row: LayerClass) -> Iterator[str]:
    for slot in row.slots:
        if slot.field is None or not (row.searched or slot.field == "output"):
            yield f"*{slot.name}*"
        else:
            yield slot.name if slot.field == slot.name else f"{slot.name} (`{slot.field}`)"


def _width(row: LayerClass) -> str:
    return f"`{row.width}`" if row.tunable and row.width else ""


def _note(name: str, row: LayerClass) -> str:
    notes = [f"`{field}`: {remedy}" for field, remedy in row.unpriced.items()]
    if name in RESCALING:
        notes.append("preprocessing of the examples where it stands first")
    if row.folded:
        notes.append("a BatchNormalization behind it is folded in")
    return "; ".join(notes)


def main() -> None:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 if the page is not current")
    if not parser.parse_args().check:
        PAGE.write_text(page())
    elif PAGE.read_text() != page():
        raise SystemExit(f"{PAGE.name} is not current: run make layers")


if __name__ == "__main__":
    main()
