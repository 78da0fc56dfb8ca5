"""Windows and sums of a program: shapes, numbers and exact bounds."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from quantization.integer import operations
from quantization.integer.operations import Windows
from quantization.integer.program import ProgramTensor
from quantization.integer.tensor import Integers


def sum_bounds(
    kernel: Integers, bounds: tuple[int, int], shift: Integers, bias: Integers, *, padded: bool
) -> tuple[int, int, int]:
    """Least and largest sum, and the largest magnitude of a part of one: exact, in Python's integers."""
    least, most = (min(bounds[0], 0), max(bounds[1], 0)) if padded else bounds
    up, down = np.maximum(kernel, 0).sum(axis=0), np.minimum(kernel, 0).sum(axis=0)
    reach = max(-bounds[0], bounds[1])
    lows, highs, peaks = [], [], []
    for positive, negative, left, offset in zip(*(a.tolist() for a in (up, down, shift, bias)), strict=True):
        lows.append(((positive * least + negative * most) << left) + offset)
        highs.append(((positive * most + negative * least) << left) + offset)
        peaks.append(((positive - negative) * reach << left) + abs(offset))
    return min(lows), max(highs), max(peaks)


def places(windows: Windows | None, x: ProgramTensor) -> tuple[tuple[int, ...], dict[str, Any]]:
    """The shape of what windows give but for the channels, and the numbers that describe them."""
    if windows is None:
        return x.shape[:-1], {}
    lengths = x.shape[:-1]
    pads = windows.padded(lengths)
    shape = tuple(
        (length + sum(pad) - (size - 1) * rate - 1) // stride + 1
        for length, pad, size, rate, stride in zip(
            lengths, pads, windows.size, windows.dilation, windows.strides, strict=True
        )
    )
    return shape, {
        "window": list(windows.size),
        "strides": list(windows.strides),
        "dilation": list(windows.dilation),
        "pads": [list(pad) for pad in pads],
    }


def pool_places(windows: Any, x: ProgramTensor) -> tuple[tuple[int, ...], dict[str, Any], int]:
    """As `places`, of a pooling, whose window may be all places; and how many numbers a window has."""
    if windows is operations.whole_window:
        return (), {}, int(np.prod(x.shape[:-1]))
    method: Any = windows.func if isinstance(windows, functools.partial) else windows
    shape, numbers = places(method.__self__, x)
    return shape, numbers, int(np.prod(numbers["window"]))
