"""Keras' operations under the names of ONNX', so that quantizers of activations are written once for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from keras import ops

from quantization.export.context import Floats


def _clip(x: Any, low: Any, high: Any) -> Any:
    x = x if low is None else ops.maximum(x, low)
    return x if high is None else ops.minimum(x, high)


def _hard_sigmoid(x: Any, alpha: float, beta: float) -> Any:
    return ops.clip(x * alpha + beta, 0.0, 1.0)


_OPERATIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "Add": ops.add,
        "Sub": ops.subtract,
        "Mul": ops.multiply,
        "Div": ops.divide,
        "Round": ops.round,
        "Ceil": ops.ceil,
        "Relu": ops.relu,
        "LeakyRelu": lambda x, alpha: ops.leaky_relu(x, alpha),
        "HardSigmoid": _hard_sigmoid,
        "Tanh": ops.tanh,
        "Sigmoid": ops.sigmoid,
    }
)


class KerasOperations:
    """What `writers.onnx_graph.functions` writes with; a tensor is a symbolic one of Keras, not a name."""

    def add(self, op_type: str, label: str, inputs: Sequence[Any], **attributes: Any) -> Any:
        """The result of an operation."""
        return _OPERATIONS[op_type](*inputs, **attributes)

    def constant(self, label: str, value: Any) -> Any:
        """A number, as float32 holds it."""
        return float(np.float32(value))

    def scaled(self, label: str, x: Any, factor: float) -> Any:
        """x times a number."""
        return x if factor == 1.0 else x * self.constant(label, factor)

    def clipped(self, label: str, x: Any, low: float | None, high: float | None) -> Any:
        """x within bounds."""
        return _clip(x, low, high)

    def grid(self, label: str, x: Any, step: float, low: int, high: int) -> Any:
        """step * clip(round(x / step), low, high), rounding half to even."""
        unit = self.constant(label, step)
        return ops.clip(ops.round(x / unit), float(low), float(high)) * unit

    def sign(self, label: str, x: Any, scale: float) -> Any:
        """-scale below zero, +scale from zero on."""
        return self.chosen(label, x, -scale, scale)

    def chosen(self, label: str, x: Any, below: float, above: float, border: float = 0.0) -> Any:
        """`above` from the border on, else `below`."""
        levels = (self.constant(label, above), self.constant(label, below))
        return ops.where(ops.greater_equal(x, self.constant(label, border)), *levels)

    def stepped(self, label: str, x: Any, thresholds: Floats, levels: Floats) -> Any:
        """The level of every number: `levels[i]` from `thresholds[i - 1]` on."""
        reached = ops.greater_equal(ops.expand_dims(x, -1), np.asarray(thresholds, np.float32))
        index = ops.sum(ops.cast(reached, "int32"), axis=-1)
        return ops.take(np.asarray(levels, np.float32), index, axis=0)
