"""A quantized Keras model as a LiteRT model: the grid of every tensor, then its operators."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import keras
import numpy as np
from keras import ops

from costmodel.layer_classes import INPUT, TRAINING_ONLY
from quantization.export.context import BATCH, Floats
from quantization.export.errors import NotExpressible
from quantization.export.legality.tflite import activation_fault
from quantization.export.proof import before_ends
from quantization.export.writers.reading import (
    class_of,
    function_name,
    is_end,
    is_replaced,
    passed_float,
    specs_of,
)
from quantization.export.writers.tflite_model.flatbuffer import HIGHEST, LOWEST, Grid, LiteModel, Value
from quantization.export.writers.tflite_model.layers import (
    LAYERS,
    SAME_GRID,
    Writing,
    fitted_grid,
    grid_of,
    shape_of,
)
from quantization.graph import Call, ModelGraph, NoGraph
from quantization.models.convert import caching_weights

_NO_QUANTIZER: Final = "its output has no quantizer, and is rounded to the 8 bits that hold the examples"
_POSITIVE: Final = ("relu",)
#: Layers that are a function, or nothing, of numbers that have a grid.
_FUNCTIONS: Final = frozenset({INPUT, "Activation", "ReLU", "Softmax"})


class NotInTflite(NotExpressible):
    """A layer of the model cannot be written for LiteRT: `layer`, `reason`."""

    written = "for LiteRT"


@dataclass(frozen=True)
class Document:
    """The flatbuffer, and layer -> why its numbers differ from the model's."""

    data: bytes
    inexact: dict[str, str]


def tflite_model(model: keras.Model, samples: Floats, *, packs: bool = True) -> Document:
    """The model in 8-bit integers, a last softmax or sigmoid left out. Raises `NotInTflite`.

    `samples`: inputs, whose numbers the grids of tensors without a quantizer hold. `packs`: weights of few bits to 4.
    """
    try:
        calls = ModelGraph(model)
    except NoGraph as error:
        raise NotInTflite(model.name, str(error)) from error
    for call in calls:
        _check(call)
    grids = Grids(model, calls, samples)
    writing = Writing(LiteModel(model.name), grids.grids, packs, grids.inexact)
    values: dict[str, Value] = {}
    with caching_weights(model):
        for call in calls:
            if call.is_input:
                wide = replace(grids.grids[call.name], low=LOWEST, high=HIGHEST)
                values[call.name] = writing.model.value(call.name, shape_of(call), wide)
            else:
                sources = [values[name] for name in call.sources]
                values[call.name] = LAYERS[class_of(call.layer)](writing, call, sources)
    ends = [[values[name] for name in names] for names in (calls.inputs, calls.outputs)]
    return Document(writing.model.bytes(*ends), writing.inexact)


def _check(call: Call) -> None:
    if call.is_input:
        return
    if not isinstance(call.layer, keras.layers.Layer) or class_of(call.layer) not in LAYERS:
        raise NotInTflite(
            call.name, f"{class_of(call.layer)} has no form here; there are {', '.join(LAYERS)}"
        )
    slot = passed_float(call.layer)
    if slot is not None:
        raise NotInTflite(call.name, f"the quantizer of {slot} lets part of the float values pass")
    spec = specs_of(call.layer).get("activation")
    fault = None if spec is None else activation_fault(spec)
    if fault is not None:
        raise NotInTflite(call.name, f"{spec}: {fault}")


class Grids:
    """The grid of every call's output: its quantizer's, that of what reads it, or one that holds the examples."""

    def __init__(self, model: keras.Model, calls: ModelGraph, samples: Floats) -> None:
        self.grids: dict[str, Grid] = {}
        self.inexact: dict[str, str] = {}
        self._calls = calls
        open_calls = [call for call in calls if self._given(call) is None and not _passes(call)]
        values = dict(zip(_names(open_calls), _values(model, calls, open_calls, samples), strict=True))
        for call in calls:  # in order, so that the grids of what it reads are known
            self.grids[call.name] = self._given(call) or self._found(call, values.get(call.name))

    def _found(self, call: Call, values: np.ndarray | None) -> Grid:
        """That of what it reads, one that holds what a merge can give, or one that holds the examples."""
        sources = [self.grids[name] for name in call.sources]
        if values is None:
            return sources[0]
        merged = _merged(class_of(call.layer), sources)
        if merged is not None:
            return merged
        self.inexact[call.name] = _NO_QUANTIZER
        return self._fitted(call, values)

    def _given(self, call: Call) -> Grid | None:
        """That of the quantizer of the output, or of the only one that reads it."""
        if call.is_input:
            specs = {specs_of(reader.layer).get("activation") for reader in self._calls.readers(call.name)}
            readers = {class_of(reader.layer) for reader in self._calls.readers(call.name)}
            only = next(iter(specs)) if len(specs) == 1 and readers <= {INPUT, "Activation"} else None
            return None if only is None else grid_of(only)
        spec = specs_of(call.layer).get("activation")
        if spec is not None:
            return _bent(call, grid_of(spec))
        if class_of(call.layer) in (*SAME_GRID, *_FUNCTIONS):
            return None
        return self._of_reader(call) if function_name(call) == "linear" else None

    def _of_reader(self, call: Call) -> Grid | None:
        readers = self._calls.readers(call.name)
        if len(readers) != 1 or call.name in self._calls.outputs:
            return None
        reader = readers[0]
        spec = specs_of(reader.layer).get("activation")
        if class_of(reader.layer) in (*TRAINING_ONLY, "MaxPooling2D", "Flatten", "Reshape") and spec is None:
            return self._of_reader(reader)
        if class_of(reader.layer) in ("Activation", "ReLU", INPUT) and spec is not None:
            return _bent(reader, grid_of(spec))
        return None

    def _fitted(self, call: Call, values: np.ndarray) -> Grid:
        is_relu = class_of(call.layer) == "ReLU" or function_name(call) in _POSITIVE
        return fitted_grid(values, positive=is_relu and not is_end(call, self._calls))


def _passes(call: Call) -> bool:
    """Whether a call leaves its input's grid as it is."""
    return not call.is_input and class_of(call.layer) in (*SAME_GRID, *_FUNCTIONS)


def _names(calls: list[Call]) -> list[str]:
    return [call.name for call in calls]


def _merged(class_name: str, sources: list[Grid]) -> Grid | None:
    """The grid of a sum or a join, exact: that of the finest input, if all are multiples of it and 8 bits hold it."""
    if class_name not in ("Add", "Subtract", "Concatenate") or not sources:
        return None
    scale = min(grid.scale for grid in sources)
    ratios = [grid.scale / scale for grid in sources]
    if any(ratio != int(ratio) for ratio in ratios):
        return None
    spans = [
        (int(ratio) * (grid.low - grid.zero), int(ratio) * (grid.high - grid.zero))
        for ratio, grid in zip(ratios, sources, strict=True)
    ]
    if class_name == "Subtract":
        spans[1:] = [(-high, -low) for low, high in spans[1:]]
    lows, highs = zip(*spans, strict=True)
    is_sum = class_name != "Concatenate"
    low, high = (sum(lows), sum(highs)) if is_sum else (min(lows), max(highs))
    if high - low > HIGHEST - LOWEST:
        return None
    zero = 0 if low >= LOWEST and high <= HIGHEST else LOWEST - low
    return Grid(scale, zero, low + zero, high + zero, implied=True)


def _bent(call: Call, grid: Grid) -> Grid:
    """A grid behind a ReLU."""
    is_relu = (class_of(call.layer) == "ReLU" or function_name(call) in _POSITIVE) and not is_replaced(
        call.layer
    )
    return replace(grid, low=max(grid.low, grid.zero)) if is_relu else grid


def _values(model: keras.Model, calls: ModelGraph, fitted: list[Call], samples: Floats) -> list[np.ndarray]:
    """What calls give for examples; of ends what is before their function."""
    if not fitted:
        return []
    examples = samples[:BATCH]
    logits = before_ends(model)(examples) if any(is_end(call, calls) for call in fitted) else None
    flat = [] if logits is None else keras.tree.flatten(logits)
    inner = [call for call in fitted if not (call.is_input or is_end(call, calls))]
    tensors = [call.outputs[0] for call in inner]
    sources = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    outputs: Any = keras.Model(sources, tensors)(examples, training=False) if tensors else []
    by_name = {call.name: value for call, value in zip(inner, keras.tree.flatten(outputs), strict=True)}
    by_name |= {call.name: examples for call in fitted if call.is_input}
    by_name |= {name: value for name, value in zip(calls.outputs, flat, strict=False) if name not in by_name}
    return [np.asarray(ops.convert_to_numpy(by_name[call.name])) for call in fitted]
