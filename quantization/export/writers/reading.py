"""What every writer reads of a built layer: its class, function, weights and windows."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from keras import ops

from quantization.export.context import Floats
from quantization.graph import Call, ModelGraph
from quantization.layers import QUANTIZED_LAYERS
from quantization.models.convert import plain_class
from quantization.quantizers import BaseQuantizer

#: Functions that do not change which score is the largest.
_ENDS: Final = frozenset({"softmax", "sigmoid"})


def class_of(layer: Any) -> str:
    """The class of the Keras layer that a layer, quantized or not, folded or not, stands for."""
    return plain_class(type(layer).__name__).removesuffix("BatchNormalization") or "BatchNormalization"


def specs_of(layer: Any) -> dict[str, Any]:
    """Slot -> specification as it runs; empty for plain layers."""
    return dict(getattr(layer, "effective_specs", {}))


def output_quantizer(layer: Any) -> BaseQuantizer[Any] | None:
    """The quantizer of a layer's function or output."""
    return layer.quantizer("activation") if specs_of(layer).get("activation") is not None else None


def is_replaced(layer: Any) -> bool:
    """Whether a quantizer that is a function itself takes the place of the layer's."""
    quantizer = output_quantizer(layer)
    return quantizer is not None and quantizer.is_activation


def function_name(call: Call) -> str:
    """Keras' name of the function in a layer's configuration."""
    function = getattr(call.layer, "activation", None)
    return "linear" if function is None else str(getattr(function, "__name__", function))


def is_end(call: Call, calls: ModelGraph) -> bool:
    """Whether a call gives an output of the model by a softmax or sigmoid that no quantizer follows."""
    is_softmax = class_of(call.layer) == "Softmax"
    plain = specs_of(call.layer).get("activation") is None
    return call.name in calls.outputs and plain and (is_softmax or function_name(call) in _ENDS)


def passed_float(layer: Any) -> str | None:
    """The slot whose quantizer lets part of the float values pass; None: there is none."""
    for slot, quantizer in getattr(layer, "_slot_quantizers", ()):
        if float(ops.convert_to_numpy(quantizer.noise_factor)) != 1.0:
            return str(slot)
    return None


# ---- weights ---------------------------------------------------------------------------------------------------------


def has_bias(layer: Any) -> bool:
    """Whether it adds a bias; folded layers always do."""
    return bool(getattr(layer, "use_bias", False)) or hasattr(layer, "batchnorm")


def float_value(layer: Any, slot: str) -> Floats:
    """The float value of a slot, of a plain layer too."""
    if hasattr(layer, "weight_of"):
        value = layer.weight_of(slot)
    else:
        twin: Any = QUANTIZED_LAYERS.get(type(layer).__name__)
        path = slot if twin is None else twin.SLOTS.get(slot, slot)
        value = functools.reduce(getattr, path.split("."), layer)
    return np.asarray(ops.convert_to_numpy(value), np.float32)


def coded(layer: Any, slot: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scale of a quantized slot; the scale has as many axes as the codes, or none."""
    codes, scale = layer.quantized_weights()[slot]
    scales = np.asarray(scale, np.float32)
    if scales.size == 1:
        return codes, scales.reshape(())
    return codes, scales.reshape((1,) * (codes.ndim - scales.ndim) + scales.shape)


def affine(layer: Any) -> tuple[Floats, Floats]:
    """Factor and offset of a normalization without quantizers, float32 as Keras has them."""

    def read(name: str) -> Floats:
        return np.asarray(ops.convert_to_numpy(getattr(layer, name)), np.float32)

    factor = np.asarray(ops.convert_to_numpy(ops.rsqrt(read("moving_variance") + layer.epsilon)))
    factor = factor * read("gamma") if layer.scale else factor
    offset = -read("moving_mean") * factor
    return factor, offset + read("beta") if layer.center else offset


# ---- windows ---------------------------------------------------------------------------------------------------------


def each(value: Any, size: Sequence[int]) -> tuple[int, ...]:
    """One number for each axis of a window."""
    return tuple(value) if isinstance(value, list | tuple) else (value,) * len(size)


def paddings(
    padding: str,
    lengths: Sequence[int | None],
    size: Sequence[int],
    strides: Sequence[int],
    rates: Sequence[int],
) -> list[tuple[int, int]] | None:
    """Zeros before and after each axis, as Keras puts them; None where a length that they depend on is not known."""
    pads = []
    for length, window, stride, rate in zip(lengths, size, strides, rates, strict=True):
        reach = (window - 1) * rate
        if padding == "valid":
            pads.append((0, 0))
        elif padding == "causal":
            pads.append((reach, 0))
        elif length is None:
            return None
        else:
            total = max((math.ceil(length / stride) - 1) * stride + reach + 1 - length, 0)
            pads.append((total // 2, total - total // 2))
    return pads


def pairs(sizes: Any) -> list[tuple[int, int]]:
    """Places before and after each axis, of a ZeroPadding's or Cropping's argument."""
    listed = sizes if isinstance(sizes[0], list | tuple) else (sizes,)
    return [(int(low), int(high)) for low, high in listed]
