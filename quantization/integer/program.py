"""An integer network as a list of steps on arrays of known shapes: what an engine without Python needs, and no more.

Every tensor is integers; its value is `code * 2**exponent`, with one exponent or one for each channel (last axis). All
exponents, bounds and shifts are known before any input is: a device shifts, adds, multiplies and compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from quantization.integer.tensor import Integers


@dataclass(frozen=True, eq=False)
class ProgramTensor:
    """A tensor of one example. `low`, `high`: bounds of its codes whatever the input is."""

    name: str
    shape: tuple[int, ...]
    exponent: Integers
    low: int
    high: int

    @property
    def size(self) -> int:
        """Number of codes."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def bits(self) -> int:
        """Width that holds every code, in two's complement where one is negative."""
        width = max(self.high.bit_length(), (-self.low - 1).bit_length() if self.low < 0 else 0)
        return max(1, width + (self.low < 0))


@dataclass(frozen=True, eq=False)
class Step:
    """One operation: what it reads, the tensor it makes, its numbers and its arrays. `layer`: whose it is.

    `peak`: the largest magnitude that occurs inside it: the width of an accumulator.
    """

    op: str
    layer: str
    inputs: tuple[str, ...]
    output: ProgramTensor
    numbers: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Integers] = field(default_factory=dict)
    peak: int = 0


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in order. `source`: the input, as codes; `result`: the name of the output tensor, the logits.

    `inexact`: layers whose constants were rounded.
    """

    source: ProgramTensor
    steps: tuple[Step, ...]
    result: str
    inexact: tuple[str, ...] = ()

    @property
    def tensors(self) -> dict[str, ProgramTensor]:
        """Every tensor by its name."""
        return {self.source.name: self.source} | {step.output.name: step.output for step in self.steps}


def run(program: Program, codes: Integers) -> dict[str, Integers]:
    """The codes of every tensor, by name, of input codes (batch, ...)."""
    tensors = {program.source.name: np.asarray(codes, np.int64)}
    for step in program.steps:
        inputs = [tensors[name] for name in step.inputs]
        tensors[step.output.name] = OPERATIONS[step.op](step.numbers, step.arrays, inputs)
    return tensors


def half_even(x: Integers, places: Any) -> Integers:
    """x / 2**places, rounded half to even; places >= 0, one number or one for each channel."""
    floor = x >> places
    rest = x - (floor << places)
    half = np.where(np.asarray(places) > 0, np.int64(1) << np.maximum(np.asarray(places) - 1, 0), 1 << 62)
    return np.asarray(floor + ((rest > half) | ((rest == half) & (floor & 1 == 1))))


def _windows(numbers: Mapping[str, Any], x: Integers, fill: int = 0) -> Integers:
    """Windows (batch, places..., window, channels)."""
    axes = tuple(range(1, x.ndim - 1))
    x = np.pad(x, [(0, 0), *map(tuple, numbers["pads"]), (0, 0)], constant_values=fill)
    size, strides, rates = numbers["window"], numbers["strides"], numbers["dilation"]
    reach = tuple((length - 1) * rate + 1 for length, rate in zip(size, rates, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=axes)
    places, inside = ([slice(None, None, step) for step in steps] for steps in (strides, rates))
    view = view[(slice(None), *places, slice(None), *inside)]
    view = np.moveaxis(view, len(axes) + 1, -1)
    return view.reshape(*view.shape[: len(axes) + 1], -1, x.shape[-1])


def _product(
    numbers: Mapping[str, Any], arrays: Mapping[str, Integers], inputs: Sequence[Integers]
) -> Integers:
    """Sums of products with a kernel (inputs, outputs), shifted, plus a bias."""
    x = inputs[0]
    if "window" in numbers:
        x = _windows(numbers, x)
        x = x.reshape(*x.shape[:-2], -1)
    return np.asarray(((x @ arrays["kernel"]) << arrays["shift"]) + arrays["bias"])


def _depthwise(
    numbers: Mapping[str, Any], arrays: Mapping[str, Integers], inputs: Sequence[Integers]
) -> Integers:
    """The same for each channel by itself, with a kernel (window, channels, multiplier)."""
    sums = np.einsum("...kc,kcm->...cm", _windows(numbers, inputs[0]), arrays["kernel"])
    return np.asarray((sums.reshape(*sums.shape[:-2], -1) << arrays["shift"]) + arrays["bias"])


def _affine(
    numbers: Mapping[str, Any], arrays: Mapping[str, Integers], inputs: Sequence[Integers]
) -> Integers:
    """Times a factor, shifted, plus an offset; each one number or one for each channel."""
    return np.asarray(((inputs[0] * arrays["factor"]) << arrays["shift"]) + arrays["offset"])


def _round(
    numbers: Mapping[str, Any], arrays: Mapping[str, Integers], inputs: Sequence[Integers]
) -> Integers:
    """Onto a coarser grid, half to even, within bounds, times a scale."""
    codes = half_even(inputs[0] << arrays["left"], arrays["right"])
    return np.asarray(np.clip(codes, numbers["low"], numbers["high"]) * numbers["scale"])


def _steps(
    numbers: Mapping[str, Any], arrays: Mapping[str, Integers], inputs: Sequence[Integers]
) -> Integers:
    """The level of every code, by how many of its thresholds it reaches: one row of them, or one for each channel."""
    levels, thresholds, x = arrays["levels"], arrays["thresholds"], inputs[0]
    if len(thresholds) == 1:
        return np.asarray(levels[np.searchsorted(thresholds[0], x, side="right")])
    rows = [np.searchsorted(row, x[..., channel], side="right") for channel, row in enumerate(thresholds)]
    return np.asarray(levels[np.stack(rows, axis=-1)])


def _bent(numbers: Mapping[str, Any], arrays: Mapping[str, Integers], inputs: Sequence[Integers]) -> Integers:
    """Above a border, at most `top`; below it, the distance to the border times a slope."""
    x = inputs[0]
    above = np.where(x > arrays["border"], x, 0)
    if "top" in arrays:
        above = np.clip(above, 0, arrays["top"])
    below = np.maximum(arrays["border"] - x, 0) * numbers["slope"]
    return np.asarray((above << numbers["shift_above"]) + (below << numbers["shift_below"]))


def _pool(numbers: Mapping[str, Any], inputs: Sequence[Integers], fill: int = 0) -> Integers:
    x = inputs[0]
    return _windows(numbers, x, fill) if "window" in numbers else x.reshape(x.shape[0], -1, x.shape[-1])


def _crop(numbers: Mapping[str, Any], _: Any, inputs: Sequence[Integers]) -> Integers:
    x = inputs[0]
    rest = (slice(low, size - high) for (low, high), size in zip(numbers["cuts"], x.shape[1:], strict=False))
    return x[(slice(None), *rest)]


def _repeat(numbers: Mapping[str, Any], _: Any, inputs: Sequence[Integers]) -> Integers:
    codes = inputs[0]
    for axis, count in enumerate(numbers["times"], start=1):
        codes = np.repeat(codes, count, axis=axis)
    return codes


def _folded(function: Any) -> Any:
    def operation(_: Any, __: Any, inputs: Sequence[Integers]) -> Integers:
        result = inputs[0]
        for other in inputs[1:]:
            result = function(result, other)
        return result

    return operation


#: Name of an operation -> what it does to numbers, arrays and inputs.
OPERATIONS: Mapping[str, Any] = {
    "product": _product,
    "depthwise": _depthwise,
    "affine": _affine,
    "round": _round,
    "steps": _steps,
    "bent": _bent,
    "shift": lambda numbers, arrays, inputs: inputs[0] << arrays["left"],
    "max_pool": lambda numbers, arrays, inputs: _pool(numbers, inputs, -(1 << 62)).max(axis=-2),
    "sum_pool": lambda numbers, arrays, inputs: _pool(numbers, inputs).sum(axis=-2),
    "add": _folded(np.add),
    "subtract": _folded(np.subtract),
    "multiply": _folded(np.multiply),
    "maximum": _folded(np.maximum),
    "minimum": _folded(np.minimum),
    "concatenate": lambda numbers, arrays, inputs: np.concatenate(inputs, axis=numbers["axis"]),
    "reshape": lambda numbers, arrays, inputs: inputs[0].reshape(len(inputs[0]), *numbers["shape"]),
    "transpose": lambda numbers, arrays, inputs: np.transpose(inputs[0], (0, *numbers["dims"])),
    "pad": lambda numbers, arrays, inputs: np.pad(inputs[0], [(0, 0), *map(tuple, numbers["pads"]), (0, 0)]),
    "crop": _crop,
    "repeat": _repeat,
    "tile": lambda numbers, arrays, inputs: np.repeat(inputs[0][:, None], numbers["times"], axis=1),
}
