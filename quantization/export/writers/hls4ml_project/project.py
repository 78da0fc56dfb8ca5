"""The layers of an hls4ml project, with every type chosen so that nothing is cut: what `make_project.py` reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from quantization.export.writers.hls4ml_project.types import Span

#: A rounding half to even, and saturation.
QUANTIZED = ",RND_CONV,SAT"


@dataclass(frozen=True)
class Signal:
    """What a layer gives: the name of the hls4ml layer, the shape without the batch, and its numbers."""

    name: str
    shape: tuple[int, ...]
    span: Span


@dataclass
class Project:
    """Layers in order, precisions of each, and their constants."""

    layers: list[dict[str, Any]] = field(default_factory=list)
    precisions: dict[str, dict[str, str]] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    inexact: dict[str, str] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def add(
        self,
        class_name: str,
        label: str,
        inputs: list[Signal],
        shape: tuple[int, ...],
        span: Span,
        *,
        precision: str | None = None,
        types: dict[str, str] | None = None,
        arrays: dict[str, np.ndarray] | None = None,
        **attributes: Any,
    ) -> Signal:
        """A layer, and what it gives. `precision`: the type of its results, by default all that `span` has."""
        name = self.name(label)
        entry = {"class_name": class_name, "name": name, **attributes}
        if inputs:
            entry["inputs"] = [signal.name for signal in inputs]
        for key, array in (arrays or {}).items():
            self.arrays[f"{name}/{key}"] = array
            entry[key] = {"array": f"{name}/{key}"}
        self.layers.append(entry)
        self.precisions[name] = {"result": precision or span.precision(), **(types or {})}
        return Signal(name, shape, span)

    def name(self, label: str) -> str:
        """A name of C++ that is not taken yet."""
        base = label.replace("#", "_call_")
        number, name = 1, base
        while name in self._names:
            number += 1
            name = f"{base}_{number}"
        self._names.add(name)
        return name

    def document(self, inputs: list[Signal], outputs: list[Signal]) -> dict[str, Any]:
        """All but the arrays, as JSON."""
        return {
            "inputs": [signal.name for signal in inputs],
            "outputs": [signal.name for signal in outputs],
            "output_shapes": [list(signal.shape) for signal in outputs],
            "layers": self.layers,
            "precisions": self.precisions,
        }
