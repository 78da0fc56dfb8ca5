"""The operations of layers, on integers. numpy only; images are (batch, height, width, channels)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantization.integer.tensor import Integers, IntegerTensor, dyadic, guard, peak


@dataclass(frozen=True, eq=False)
class Product:
    """A sum of products with integer weights, plus an integer bias, exact.

    `weights` is (inputs, outputs), for depthwise layers (window, channels, multiplier); exponents are one or one
    per output.
    """

    weights: Integers
    exponent: Integers
    bias: IntegerTensor | None
    patches: Callable[[Integers], Integers]
    depthwise: bool = False

    @functools.cached_property
    def _largest_sum(self) -> int:
        """The largest sum of magnitudes of the weights of one output, from above."""
        sums = np.abs(self.weights.astype(np.float64)).sum(axis=0)
        return math.ceil(float(sums.max(initial=0.0)) * (1 + 1e-9))

    def __call__(self, tensors: Sequence[IntegerTensor]) -> IntegerTensor:
        """The accumulators, on the grid of inputs times weights."""
        x = tensors[0].uniform()
        columns = self.patches(x.codes)
        guard(peak(x.codes) * self._largest_sum)
        if self.depthwise:
            sums = np.einsum("...kc,kcm->...cm", columns, self.weights)
            codes = sums.reshape(*sums.shape[:-2], -1)
        else:
            codes = columns @ self.weights
        out = IntegerTensor(codes, x.exponent + self.exponent)
        return out if self.bias is None else out.plus(self.bias)


def flat_patches(x: Integers) -> Integers:
    """The inputs of a dense layer's products: the last axis."""
    return x


@dataclass(frozen=True)
class Windows:
    """The windows of a convolution or pooling, along the axes between batch and channels."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: str

    def padded(self, lengths: Sequence[int]) -> list[tuple[int, int]]:
        """Zeros before and after each axis."""
        if self.padding == "valid":
            return [(0, 0)] * len(lengths)
        pads = []
        for length, size, stride, rate in zip(lengths, self.size, self.strides, self.dilation, strict=True):
            reach = (size - 1) * rate
            if self.padding == "causal":
                pads.append((reach, 0))
                continue
            total = max((math.ceil(length / stride) - 1) * stride + reach + 1 - length, 0)
            pads.append((total // 2, total - total // 2))
        return pads

    def of(self, x: Integers, fill: int = 0) -> Integers:
        """Windows (batch, places..., window, channels)."""
        axes = tuple(range(1, x.ndim - 1))
        pads = self.padded([x.shape[axis] for axis in axes])
        padded = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill)
        reach = tuple((size - 1) * rate + 1 for size, rate in zip(self.size, self.dilation, strict=True))
        view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=axes)
        steps = tuple(slice(None, None, stride) for stride in self.strides)
        rates = tuple(slice(None, None, rate) for rate in self.dilation)
        view = view[(slice(None), *steps, slice(None), *rates)]
        places = view.ndim - len(self.size) - 1
        moved = np.moveaxis(view, places, -1)
        return moved.reshape(*moved.shape[:places], math.prod(self.size), x.shape[-1])

    def columns(self, x: Integers) -> Integers:
        """Windows with window and channels in one axis, as a convolution's kernel has them."""
        windows = self.of(x)
        return windows.reshape(*windows.shape[:-2], -1)


@dataclass(frozen=True, eq=False)
class Affine:
    """value * factor + offset per channel: a batch normalization whose constants are float.

    The factor is a float32's significand and exponent, the offset is rounded to the grid of the products.
    """

    factor: IntegerTensor
    offset: Any
    rounds: bool = True

    def __call__(self, tensors: Sequence[IntegerTensor]) -> IntegerTensor:
        """The normalized values."""
        scaled = tensors[0].times(self.factor)
        places = np.rint(np.ldexp(np.asarray(self.offset, np.float64), -scaled.exponent))
        guard(peak(scaled.codes) + int(np.abs(places).max()))
        return scaled.with_codes(scaled.codes + places.astype(np.int64))


def factor_of(value: Any) -> IntegerTensor:
    """A float32 factor, or one per channel, as an integer of at most 24 bits and an exponent."""
    floats = np.asarray(value, np.float32)
    return dyadic(np.ones(floats.shape, np.int64), floats)


@dataclass(frozen=True, eq=False)
class Scale:
    """value * factor; `rounds`: whether the factor is a rounded one."""

    factor: IntegerTensor
    rounds: bool

    def __call__(self, tensors: Sequence[IntegerTensor]) -> IntegerTensor:
        """The products."""
        return tensors[0].times(self.factor)


@dataclass(frozen=True, eq=False)
class Shift:
    """value + offset."""

    offset: IntegerTensor

    def __call__(self, tensors: Sequence[IntegerTensor]) -> IntegerTensor:
        """The sums."""
        return tensors[0].plus(self.offset)


@dataclass(frozen=True, eq=False)
class Sloped:
    """x above zero, and a slope of each channel times x below."""

    slopes: IntegerTensor

    def __call__(self, tensors: Sequence[IntegerTensor]) -> IntegerTensor:
        """The bent values."""
        x = tensors[0]
        above = x.with_codes(np.maximum(x.codes, 0))
        return above.plus(x.with_codes(np.minimum(x.codes, 0)).times(self.slopes))


@dataclass(frozen=True)
class Alone:
    """A function of one tensor as the operation of a layer."""

    function: Callable[[IntegerTensor], IntegerTensor]

    def __call__(self, tensors: Sequence[IntegerTensor]) -> IntegerTensor:
        """The function of every value."""
        return self.function(tensors[0])


@dataclass(frozen=True, eq=False)
class Average:
    """The sum of a window times a factor for 1 / window."""

    windows: Callable[[Integers], Integers]
    factor: IntegerTensor
    rounds: bool

    def __call__(self, tensors: Sequence[IntegerTensor]) -> IntegerTensor:
        """The averages."""
        windows = self.windows(tensors[0].codes)
        guard(peak(windows) * windows.shape[-2])
        return tensors[0].with_codes(windows.sum(axis=-2)).times(self.factor)


@dataclass(frozen=True)
class Largest:
    """The largest of a window; padding never is."""

    windows: Callable[[Integers], Integers]

    def __call__(self, tensors: Sequence[IntegerTensor]) -> IntegerTensor:
        """The maxima."""
        return tensors[0].with_codes(self.windows(tensors[0].codes).max(axis=-2))


def whole_window(x: Integers) -> Integers:
    """All places as one window: (batch, places, channels)."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


def aligned(tensors: Sequence[IntegerTensor]) -> list[IntegerTensor]:
    """Tensors of one rank: axes of length 1 are put in behind the batch, as Keras' merges do."""
    rank = max(tensor.codes.ndim for tensor in tensors)
    return [_with_rank(tensor, rank) for tensor in tensors]


def _with_rank(tensor: IntegerTensor, rank: int) -> IntegerTensor:
    missing = rank - tensor.codes.ndim
    if not missing:
        return tensor
    plain = tensor.uniform() if tensor.codes.ndim == 1 else tensor  # one number a sample has no channels
    return plain.with_codes(np.expand_dims(plain.codes, tuple(range(1, 1 + missing))))


def on_one_grid(tensors: Sequence[IntegerTensor]) -> list[IntegerTensor]:
    """Several tensors with one exponent."""
    exponent = min(int(tensor.exponent.min()) for tensor in tensors)
    return [tensor.at(exponent) for tensor in tensors]


def merged(tensors: Sequence[IntegerTensor], combine: Callable[[list[Integers]], Integers]) -> IntegerTensor:
    """Codes of several tensors combined on one grid."""
    on_grid = on_one_grid(aligned(tensors))
    guard(sum(peak(tensor.codes) for tensor in on_grid))
    return IntegerTensor(combine([tensor.codes for tensor in on_grid]), on_grid[0].exponent)


def unchanged(tensors: Sequence[IntegerTensor]) -> IntegerTensor:
    """The tensor itself."""
    return tensors[0]


def added(tensors: Sequence[IntegerTensor]) -> IntegerTensor:
    """The sum of all."""
    return merged(tensors, lambda codes: np.asarray(sum(codes[1:], codes[0])))


def subtracted(tensors: Sequence[IntegerTensor]) -> IntegerTensor:
    """The first minus the second."""
    return merged(tensors, lambda codes: codes[0] - codes[1])


def multiplied(tensors: Sequence[IntegerTensor]) -> IntegerTensor:
    """The product of all."""
    product, *others = aligned(tensors)
    for tensor in others:
        product = product.times(tensor)
    return product


def maximum(tensors: Sequence[IntegerTensor]) -> IntegerTensor:
    """The largest of all."""
    return merged(tensors, lambda codes: functools.reduce(np.maximum, codes))


def minimum(tensors: Sequence[IntegerTensor]) -> IntegerTensor:
    """The smallest of all."""
    return merged(tensors, lambda codes: functools.reduce(np.minimum, codes))


def concatenated(tensors: Sequence[IntegerTensor], axis: int) -> IntegerTensor:
    """All, one after the other along an axis."""
    return merged(tensors, lambda codes: np.concatenate(codes, axis=axis))


def reshaped(tensors: Sequence[IntegerTensor], shape: tuple[int, ...]) -> IntegerTensor:
    """The same codes in another shape (without the batch; -1 for what is left)."""
    x = tensors[0].uniform()
    return x.with_codes(x.codes.reshape(x.codes.shape[0], *shape))


def padded(tensors: Sequence[IntegerTensor], pads: Sequence[tuple[int, int]]) -> IntegerTensor:
    """Zeros around the places."""
    x = tensors[0]
    return x.with_codes(np.pad(x.codes, [(0, 0), *pads, (0, 0)]))


def permuted(tensors: Sequence[IntegerTensor], dims: Sequence[int]) -> IntegerTensor:
    """Axes in another order; `dims` counts from 1, the batch not included."""
    x = tensors[0].uniform()
    return x.with_codes(np.transpose(x.codes, (0, *dims)))


def repeated(tensors: Sequence[IntegerTensor], times: Sequence[int]) -> IntegerTensor:
    """Each place several times along its axis."""
    codes = tensors[0].codes
    for axis, count in enumerate(times, start=1):
        codes = np.repeat(codes, count, axis=axis)
    return tensors[0].with_codes(codes)


def tiled(tensors: Sequence[IntegerTensor], times: int) -> IntegerTensor:
    """A vector as a sequence of itself."""
    return tensors[0].with_codes(np.repeat(tensors[0].codes[:, None], times, axis=1))


def cropped(tensors: Sequence[IntegerTensor], cuts: Sequence[tuple[int, int]]) -> IntegerTensor:
    """Without the outermost places."""
    x = tensors[0]
    kept = tuple(slice(low, size - high) for (low, high), size in zip(cuts, x.codes.shape[1:], strict=False))
    return x.with_codes(x.codes[(slice(None), *kept)])
