"""Which layers of an ONNX model can compute other numbers than Keras, and why."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from quantization.export.writers.onnx_graph import functions
from quantization.export.writers.reading import class_of, function_name, is_replaced, specs_of
from quantization.graph import Call

#: Layers that are a function with a slope or an exponential, which runtimes round in their own way.
_ROUNDED: Final = frozenset({"ELU", "PReLU", "LeakyReLU"})


def inexact(call: Call, *, linear: bool = False) -> str | None:
    """Why the numbers of a call can differ from Keras'; None: they are the same. `linear`: its function is left out."""
    layer = call.layer
    specs = specs_of(layer)
    spec = specs.get("activation")
    if class_of(layer) == "BatchNormalization" and not set(specs) - {"activation"}:
        return "a normalization in float, which every runtime rounds in its own way; fold or quantize it"
    if spec is not None and functions.rounds(spec) is not None:
        return functions.rounds(spec)
    name = "softmax" if class_of(layer) == "Softmax" else function_name(call)
    if linear or is_replaced(layer) or (name in functions.EXACT and class_of(layer) not in _ROUNDED):
        return _inexact_sum(call)
    return f"{name} is rounded by every runtime in its own way"


def _inexact_sum(call: Call) -> str | None:
    """A float32 sum depends on the order of its summands where their scales are no powers of two."""
    layer = call.layer
    specs = specs_of(layer)
    for slot in _products(layer):
        if slot not in specs:
            return f"its {slot} has no quantizer, so that sums are rounded; quantize it"
        scales = np.asarray(layer.quantized_weights()[slot][1], np.float64)
        if np.any(np.frexp(scales[scales > 0])[0] != 0.5):
            return f"the scales of its {slot} are no powers of two, so that sums are rounded"
    if class_of(layer).startswith(("Average", "GlobalAverage")):
        return (
            "a mean of a number of elements that is no power of two is rounded"
            if _is_odd_mean(call)
            else None
        )
    return None


def _products(layer: Any) -> list[str]:
    """The slots of a layer whose values are multiplied with its input."""
    slots = getattr(layer, "slots", ()) or (("kernel",) if hasattr(layer, "kernel_size") else ())
    return [slot for slot in slots if slot.endswith("kernel")]


def _is_odd_mean(call: Call) -> bool:
    layer, shape = call.layer, call.input_shape
    size = getattr(layer, "pool_size", None) or shape[1:-1]
    sizes = size if isinstance(size, list | tuple) else (size,) * (len(shape) - 2)
    count = math.prod(int(length or 3) for length in sizes) if len(shape) > 2 else len(call.sources)
    padded = getattr(layer, "padding", "valid") == "same"
    return bool(count & (count - 1)) or padded
