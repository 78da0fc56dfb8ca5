"""Transposed convolutions as operations on integers: zeros between the places, then a convolution.

With stride s, kernel w and input x, y[o] is the sum of x[i] w[k] over i s + k d = o + before, where `before` are the
places that padding cuts off; z, x with s - 1 zeros behind each place, gives y as a convolution with w turned around.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from quantization.graph import Call
from quantization.integer import operations
from quantization.integer.activations import NotInIntegers
from quantization.integer.layers import Builder, bias_of, weights_of
from quantization.integer.network import IntegerOperation
from quantization.integer.operations import Product, Windows
from quantization.integer.tensor import dyadic


def _transposed(call: Call) -> tuple[IntegerOperation, ...]:
    layer = call.layer
    if None in call.input_shape[1:]:
        raise NotInIntegers(layer.name, "the lengths of its input must be known")
    *lengths, channels = (int(size or 0) for size in call.input_shape[1:])
    outputs = call.outputs[0].shape[1:-1]
    if getattr(layer, "output_padding", None) is not None:
        raise NotInIntegers(layer.name, f"output_padding={layer.output_padding}; leave it out")
    size = tuple(layer.kernel_size)
    strides, rates = (
        tuple(value) if isinstance(value, list | tuple) else (value,) * len(size)
        for value in (layer.strides, layer.dilation_rate)
    )
    pads, cuts = [], []
    for length, out, window, stride, rate in zip(lengths, outputs, size, strides, rates, strict=True):
        reach = (window - 1) * rate
        before = (
            max((-(-out // stride) - 1) * stride + reach + 1 - out, 0) // 2 if layer.padding == "same" else 0
        )
        after = out - 1 + before - (length - 1) * stride
        pads.append((reach - before, max(after, 0)))
        cuts.append((0, stride - 1 + max(-after, 0)))
    windows = Windows(size, (1,) * len(size), rates, "valid")
    return (
        *_stuffed(lengths, strides, channels),
        functools.partial(operations.cropped, cuts=cuts),
        functools.partial(operations.padded, pads=pads),
        _product(layer, windows),
    )


def _product(layer: Any, windows: Windows) -> Product:
    """The kernel (window..., outputs, inputs) turned around, as (window * inputs, outputs)."""
    codes, scale = weights_of(layer, "kernel")
    rank = codes.ndim - 2
    turned = [
        np.flip(np.moveaxis(array, -1, -2), tuple(range(rank)))
        for array in (codes, np.broadcast_to(scale, codes.shape))
    ]
    flat = [array.reshape(-1, array.shape[-1]) for array in turned]
    weights = dyadic(*flat)
    return Product(weights.codes, weights.exponent, bias_of(layer), windows.columns)


def _stuffed(lengths: list[int], strides: tuple[int, ...], channels: int) -> list[IntegerOperation]:
    """stride - 1 zeros behind every place, an axis after the other: each place becomes an axis that is padded."""
    parts: list[IntegerOperation] = []
    for axis, stride in enumerate(strides):
        if stride == 1:
            continue
        shape = (*lengths[: axis + 1], 1, *lengths[axis + 1 :], channels)
        pads = [(0, 0)] * len(lengths[: axis + 1]) + [(0, stride - 1)] + [(0, 0)] * len(lengths[axis + 1 :])
        lengths = [*lengths[:axis], lengths[axis] * stride, *lengths[axis + 1 :]]
        parts += [
            functools.partial(operations.reshaped, shape=shape),
            functools.partial(operations.padded, pads=pads),
            functools.partial(operations.reshaped, shape=(*lengths, channels)),
        ]
    return parts


#: Class of the Keras layer -> the operations that compute it.
TRANSPOSED: Final[Mapping[str, Builder]] = MappingProxyType(
    dict.fromkeys((f"Conv{rank}DTranspose" for rank in (1, 2, 3)), _transposed)
    | dict.fromkeys((f"Conv{rank}DTransposeBatchNormalization" for rank in (1, 2)), _transposed)
)
