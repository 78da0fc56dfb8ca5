"""Quantizers and activation functions on integers: the same codes as in floats, without a float.

numpy only, once they are made.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from quantization.integer.steps import NotSteps, Steps, steps_of
from quantization.integer.tensor import IntegerTensor, dyadic
from quantization.quantizers import build_quantizer

Function = Callable[[IntegerTensor], IntegerTensor]


class NotInIntegers(ValueError):
    """A layer of the model cannot be run in integers: `layer`, `reason`."""

    def __init__(self, layer: str, reason: str) -> None:
        self.layer = layer
        self.reason = reason
        super().__init__(f"layer {layer!r} cannot run in integers: {reason}")


@dataclass(frozen=True)
class Rounded:
    """clip(round(x / 2**exponent), low, high), half to even, times a scale."""

    exponent: int
    low: int
    high: int
    scale: IntegerTensor | None = None

    def __call__(self, x: IntegerTensor) -> IntegerTensor:
        """The codes of the grid, and their exponent."""
        codes = x.rounded(self.exponent, self.low, self.high)
        result = IntegerTensor(codes, np.array(self.exponent, np.int64))
        return result if self.scale is None else result.times(self.scale)


@dataclass(frozen=True)
class Bent:
    """Keras' ReLU: x above the threshold, at most `top`, and slope * (x - threshold) below."""

    slope: float = 0.0
    top: float | None = None
    threshold: float = 0.0

    @functools.cached_property
    def border(self) -> IntegerTensor:
        """The threshold."""
        return dyadic(1, np.float32(self.threshold))

    @functools.cached_property
    def steepness(self) -> IntegerTensor:
        """The slope's negative: what lies below the border is taken as its distance."""
        return dyadic(1, np.float32(-self.slope))

    @functools.cached_property
    def most(self) -> IntegerTensor | None:
        """The largest value."""
        return None if self.top is None else dyadic(1, np.float32(self.top))

    @functools.cached_property
    def finest(self) -> Any:
        """An exponent at which border and largest value are integers."""
        most = self.most
        return self.border.exponent if most is None else np.minimum(self.border.exponent, most.exponent)

    def __call__(self, x: IntegerTensor) -> IntegerTensor:
        """The function of every value."""
        fine = x.at(np.minimum(x.exponent, self.finest))
        border = self.border.at(fine.exponent).codes
        above = np.where(fine.codes > border, fine.codes, 0)
        if self.most is not None:
            above = np.clip(above, 0, self.most.at(fine.exponent).codes)
        if not self.slope:
            return fine.with_codes(above)
        below = fine.with_codes(np.maximum(border - fine.codes, 0))
        return fine.with_codes(above).plus(below.times(self.steepness))


def integer_quantizer(spec: Any, layer: str) -> Function:
    """The function on integers that a quantizer's specification stands for.

    Raises `NotInIntegers` for kinds without levels that integers hold and for scales found from the data.
    """
    make = _QUANTIZERS.get(spec.kind)
    if make is None:
        raise NotInIntegers(layer, f"quantizer {spec} of activations; supported are {', '.join(_QUANTIZERS)}")
    if getattr(spec, "qnoise_factor", 1.0) != 1.0:
        raise NotInIntegers(layer, f"{spec} lets part of the float values pass; use qnoise_factor=1.0")
    alpha = getattr(spec, "alpha", None)
    if isinstance(alpha, str):
        raise NotInIntegers(layer, f"{spec}: alpha={alpha!r} depends on the data; give a number")
    if isinstance(alpha, tuple):
        raise NotInIntegers(layer, f"{spec}: one alpha for all activations is needed, not {len(alpha)}")
    return make(spec, layer)


def encode_floats(spec: Any, x: Any, layer: str) -> IntegerTensor:
    """Float inputs as the codes of a quantizer: where numbers enter the integer network."""
    floats = np.asarray(x, np.float32)  # what the Keras model computes with
    if not np.isfinite(floats).all():
        raise ValueError("inputs must be finite")
    function = integer_quantizer(spec, layer)
    if isinstance(function, Steps):
        return function.of_floats(floats)
    # Forty bits below the point, and a sticky bit for everything below those: ties and signs stay exact. Fewer where
    # the quantizer reaches so far that the largest numbers need the room.
    below = 40 - max(0, getattr(spec, "integer", 0) - 18)
    reach = 2.0 ** (60 - below)
    scaled = np.ldexp(np.clip(floats.astype(np.float64), -reach, reach), below)
    whole = np.floor(scaled)
    codes = 2 * whole.astype(np.int64) + (scaled != whole)
    return function(IntegerTensor(codes, np.array(-1 - below, np.int64)))


def rounds(spec: Any) -> bool:
    """Whether a quantizer follows a logarithm or another function whose last bit depends on Keras' backend."""
    if spec.kind in ("quantized_po2", "quantized_relu_po2"):
        quantizer: Any = build_quantizer(spec)
        return bool(getattr(spec, "negative_slope", 0.0)) or not quantizer.is_nearest
    real = getattr(spec, "use_real_tanh", False) or getattr(spec, "use_real_sigmoid", False)
    return spec.kind == "quantized_ulaw" or (real and spec.kind in ("quantized_tanh", "quantized_sigmoid"))


def identity(x: IntegerTensor) -> IntegerTensor:
    """x."""
    return x


def _graded(spec: Any, step: float, low: float, high: float, layer: str) -> Function:
    """Codes within [low, high] of steps of a power of two; their value is scaled by alpha."""
    exponent = _power(step, spec, layer)
    scale = dyadic(1, np.float32(1.0 if getattr(spec, "alpha", None) is None else spec.alpha))
    return Rounded(exponent, int(low), int(high), scale)


def _sign(scale: float, zero: bool = False) -> Function:
    """-1 (0 with `zero`) below 0, +1 from 0 on, times the scale."""
    unit = dyadic(1, np.float32(scale))

    def function(x: IntegerTensor) -> IntegerTensor:
        codes = np.where(x.codes < 0, 0 if zero else -1, 1)
        return IntegerTensor(codes.astype(np.int64), np.zeros((), np.int64)).times(unit)

    return function


def _bits(spec: Any, layer: str) -> Function:
    if spec.bits == 1 and spec.keep_negative:
        return _sign(1.0 if spec.alpha is None else spec.alpha)
    half = 2.0 ** (spec.bits - spec.keep_negative)
    low = spec.symmetric - half if spec.keep_negative else 0.0
    return _graded(spec, 2.0 ** (spec.integer - spec.bits + spec.keep_negative), low, half - 1, layer)


def _linear(spec: Any, layer: str) -> Function:
    step = 2.0 ** (spec.integer - spec.bits + spec.keep_negative) * (
        1.0 if spec.alpha is None else spec.alpha
    )
    exponent = _power(step, spec, layer)
    if spec.bits == 1 and spec.keep_negative:
        return _sign(step / 2)
    half = 2.0 ** (spec.bits - spec.keep_negative)
    low, high = (spec.symmetric - half if spec.keep_negative else 0.0), half - 1
    return Rounded(exponent, int(low), int(high))


def _relu(spec: Any, layer: str) -> Function:
    slope = spec.negative_slope
    count = 2.0 ** (spec.bits - (slope != 0))
    exponent = _power(2.0**spec.integer / count, spec, layer)
    top = _relu_top(spec, count, layer)
    below = 0 if slope == 0 else _power(slope, spec, layer)
    if not slope and not spec.use_sigmoid:
        return Rounded(exponent, 0, min(int(count) - 1, top))

    def codes_of(x: IntegerTensor, low: float, high: float) -> Any:
        if not spec.use_sigmoid:
            return x.rounded(exponent, low, high)
        return 2 * _hard_sigmoid(x.scaled(-spec.integer)).rounded(-int(math.log2(count)), 0, count) - int(
            count
        )

    def function(x: IntegerTensor) -> IntegerTensor:
        codes = np.clip(codes_of(x, 0, count - 1), 0, int(count) - 1)
        if slope:
            codes = codes + _leaky(spec, x, exponent, below, count)
        return IntegerTensor(np.minimum(codes, top), np.array(exponent, np.int64))

    return function


def _leaky(spec: Any, x: IntegerTensor, exponent: int, below: int, count: float) -> Any:
    """The negative codes of a leaky ReLU: the input times the slope, a power of two."""
    least = math.ceil(-(2.0**below) * count)
    if not spec.use_sigmoid:
        return x.scaled(below).rounded(exponent, least, 0)
    ratio = _hard_sigmoid(x.scaled(-spec.integer)).scaled(below)
    codes = 2 * ratio.rounded(-int(math.log2(count)), 0, count) - int(2.0**below * count)
    return np.clip(codes, least, 0)


def _relu_top(spec: Any, count: float, layer: str) -> int:
    """The largest code, below an upper bound that is not the grid's own."""
    if spec.relu_upper_bound is None or spec.is_quantized_clip:
        return int(count) - 1
    top: float = spec.relu_upper_bound * count / 2.0**spec.integer
    if spec.compat and top != math.floor(top):
        raise NotInIntegers(layer, f"{spec}: its upper bound is not on the grid")
    return math.floor(top)


def _hard_sigmoid(x: IntegerTensor) -> IntegerTensor:
    """x/2 + 1/2 within [0, 1]."""
    one = IntegerTensor(np.ones((), np.int64), np.zeros((), np.int64))
    wide = x.at(np.minimum(x.exponent, 0))
    unit = np.int64(1) << -np.maximum(wide.exponent, -61)
    clipped = wide.with_codes(np.clip(wide.codes, -unit, unit)) if wide.exponent.min() > -61 else wide
    return clipped.plus(one).scaled(-1)


def _tanh(spec: Any, layer: str) -> Function:
    if spec.use_real_tanh:
        return _stepped(spec, layer)
    count = 2.0 ** (spec.bits - 1)
    exponent = _power(1.0 / count, spec, layer)
    low, high = spec.symmetric - count, count - 1
    return Rounded(exponent, int(low), int(high))


def _sigmoid(spec: Any, layer: str) -> Function:
    if spec.use_real_sigmoid:
        return _stepped(spec, layer)
    low, high = float(spec.symmetric), 2.0**spec.bits - 1
    point = np.array(-spec.bits, np.int64)
    return lambda x: IntegerTensor(_hard_sigmoid(x).rounded(-spec.bits, low, high), point)


def _stepped(spec: Any, layer: str) -> Function:
    if spec.kind == "bernoulli" and spec.compat:
        raise NotInIntegers(layer, f"{spec} draws its values at inference too")
    try:
        return steps_of(spec)
    except NotSteps as error:
        raise NotInIntegers(layer, f"{spec}: {error}") from None


def _binary(spec: Any, layer: str) -> Function:
    return _sign(1.0 if spec.alpha is None else spec.alpha, spec.use_01)


def _power(step: float, spec: Any, layer: str) -> int:
    """The exponent of a power of two."""
    mantissa, exponent = math.frexp(step)
    if mantissa != 0.5:
        raise NotInIntegers(layer, f"{spec}: {step:g} is not a power of two")
    return exponent - 1


_QUANTIZERS: Final[Mapping[str, Callable[[Any, str], Function]]] = MappingProxyType(
    {
        "quantized_bits": _bits,
        "quantized_linear": _linear,
        "quantized_relu": _relu,
        "quantized_tanh": _tanh,
        "quantized_sigmoid": _sigmoid,
        "binary": _binary,
        **dict.fromkeys(
            (
                *("ternary", "stochastic_ternary", "stochastic_binary", "bernoulli"),
                *("quantized_po2", "quantized_relu_po2", "quantized_ulaw"),
            ),
            _stepped,
        ),
    }
)
