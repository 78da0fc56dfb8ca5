"""Functions that are straight above and below a bend, of ReLUs, sums and factors, so that no type cuts a number."""

from __future__ import annotations

import math

import numpy as np

from quantization.export.writers.hls4ml_project.products import scaled
from quantization.export.writers.hls4ml_project.project import Project, Signal
from quantization.export.writers.hls4ml_project.types import Span, numbers
from quantization.graph import Call
from quantization.integer.network import FLOAT_BITS


def rectified(project: Project, label: str, x: Signal, span: Span | None = None, mode: str = "") -> Signal:
    """max(x, 0), in a type of its own where a span is named."""
    result = x.span.positive() if span is None else span
    return project.add(
        "Activation",
        label,
        [x],
        x.shape,
        result,
        precision=result.precision(mode),
        activation="relu",
        n_in=math.prod(x.shape),
    )


def minus(project: Project, label: str, x: Signal, above: Signal) -> Signal:
    """x - max(x, 0): what lies below zero."""
    span = Span(min(x.span.low, 0), 0, x.span.exponent)
    return project.add("Merge", label, [x, above], x.shape, span, op="subtract")


def plus(project: Project, label: str, x: Signal, y: Signal) -> Signal:
    """The sum of two parts, one of which is zero."""
    span = x.span.with_zero().hull(y.span.with_zero())
    return project.add("Merge", label, [x, y], x.shape, span, op="add")


def times(project: Project, label: str, x: Signal, factor: float) -> Signal:
    """x times a number."""
    return x if factor == 1.0 else scaled(project, label, x, np.array([factor]), None, x.shape[-1])


def affine_of(project: Project, label: str, x: Signal, factor: float, offset: float) -> Signal:
    """x times a number, plus a number."""
    bias = numbers(np.full(x.shape[-1], 1, np.int64), np.float32(offset))
    return scaled(project, label, x, np.array([factor]), bias, x.shape[-1])


def bent(project: Project, call: Call, x: Signal, slopes: np.ndarray) -> Signal:
    """x above zero, and a slope of each channel times it below."""
    above = rectified(project, f"{call.name}_above", x)
    below = minus(project, f"{call.name}_below", x, above)
    factors = numbers(np.ones(slopes.shape, np.int64), slopes.astype(np.float32))
    if factors.span.bits + x.span.bits > FLOAT_BITS:
        project.inexact[call.name] = (
            f"its products may need {factors.span.bits + x.span.bits} bits, Keras' float32 holds {FLOAT_BITS}:"
            " where they do, Keras rounds and the export does not"
        )
    steep = scaled(project, f"{call.name}_slope", below, slopes, None, x.shape[-1])
    return plus(project, f"{call.name}_bent", above, steep)


def unit_range(project: Project, call: Call, x: Signal) -> Signal:
    """x within [0, 1]: a type cannot saturate at 1 and have it."""
    above = rectified(project, f"{call.name}_from_0", x)
    over = rectified(
        project, f"{call.name}_over_1", affine_of(project, f"{call.name}_less_1", above, 1.0, -1.0)
    )
    one = Span(0, 1, 0).at(min(0, above.span.exponent))
    return project.add("Merge", f"{call.name}_to_1", [above, over], x.shape, one, op="subtract")


def power(step: float) -> int:
    """The exponent of a power of two."""
    return math.frexp(step)[1] - 1
