"""Fixed-point tensors: integers with a binary point, as integer hardware computes with them. numpy only.

A value is `integer / 2**frac_bits`; `value_bits` leaves the sign out, so integers lie in
[-2**value_bits, 2**value_bits - 1] and saturate there. Roundings differ by operation: `quantize` rounds half to even,
`rescale` half up, shifts and `floor` down, division towards zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

#: Widest buffer: the product of two such integers still fits 64 bits.
MAX_VALUE_BITS: Final = 31
_WIDEST_SHIFT: Final = 62


class FixedPointError(ValueError):
    """A fixed-point tensor cannot be made or computed with as asked; the message says what is allowed."""


class FixedPointTypeError(FixedPointError, TypeError):
    """What was handed over is of a type that has no fixed-point value."""


class Shifted(NamedTuple):
    """A tensor and the shift that made it (per last axis where it differs), which the hardware has to apply."""

    tensor: FixedPoint
    shift: Integers


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """Integers, their width without the sign, and the position of the binary point.

    `values`: integers of any shape, saturated on construction and read-only. `frac_bits`: one number, or one per
    element of the last axis; may be negative or exceed `value_bits`. Comparisons are by value, element by element.
    Binary operations align the binary points and saturate on the left operand's width: `promote` it to the buffer's
    width first to keep what would overflow. Raises `FixedPointError` for widths outside 1..31 and bad `frac_bits`.
    """

    values: Integers
    value_bits: int
    frac_bits: Integers

    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, values: npt.ArrayLike, value_bits: int, frac_bits: npt.ArrayLike = 0) -> None:
        integers = _integers(values, "values")
        point = _integers(frac_bits, "frac_bits")
        if not 1 <= whole_number(value_bits, "value_bits") <= MAX_VALUE_BITS:
            raise FixedPointError(
                f"value_bits must be 1 to {MAX_VALUE_BITS} (the sign not counted): {value_bits}"
            )
        if point.ndim > 1:
            raise FixedPointError(
                f"frac_bits must be one number or one per last axis, has shape {point.shape}"
            )
        if point.ndim == 1 and (integers.ndim == 0 or point.shape[0] not in (1, integers.shape[-1])):
            raise FixedPointError(
                f"frac_bits has {point.shape[0]} entries, the last axis of {integers.shape} another number"
            )
        saturated = np.asarray(np.clip(integers, -(2**value_bits), 2**value_bits - 1))
        saturated.flags.writeable = point.flags.writeable = False
        object.__setattr__(self, "values", saturated)
        object.__setattr__(self, "value_bits", int(value_bits))
        object.__setattr__(self, "frac_bits", point)

    @classmethod
    def quantize(
        cls,
        x: npt.ArrayLike,
        value_bits: int,
        frac_bits: npt.ArrayLike | None = None,
        *,
        compat: bool = False,
    ) -> FixedPoint:
        """clip(round(x * 2**frac_bits)), half to even. Raises `FixedPointError` for NaN.

        Without `frac_bits`: 0 if all of x are whole numbers, else as many as leave room for the largest magnitude.
        `compat` finds that number as quantizeml does, by float32 logarithms that err at some powers of two.
        """
        floats = _floats(x, "x")
        if np.isnan(floats).any():
            raise FixedPointError("NaN has no fixed-point value")
        if frac_bits is None:
            frac_bits = _automatic(floats, whole_number(value_bits, "value_bits"), compat)
        point = _integers(frac_bits, "frac_bits")
        limit = float(2**MAX_VALUE_BITS)
        return cls(np.clip(np.rint(np.ldexp(floats, point)), -limit, limit), value_bits, point)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.values.shape

    @property
    def per_axis(self) -> bool:
        """Whether the binary point differs along the last axis."""
        return self.frac_bits.ndim > 0

    def to_float(self) -> Floats:
        """The values the integers stand for, exact."""
        return np.asarray(np.ldexp(self.values.astype(np.float64), -self.frac_bits))

    def promote(self, value_bits: int) -> FixedPoint:
        """The same values in wider integers; a narrower width needs a quantizer and is an error."""
        if whole_number(value_bits, "value_bits") < 1:
            raise FixedPointError(f"value_bits must be 1 to {MAX_VALUE_BITS}: {value_bits}")
        self._refuse_narrowing(value_bits)
        return FixedPoint(self.values, value_bits, self.frac_bits)

    def rescale(self, frac_bits: npt.ArrayLike, value_bits: int | None = None) -> Shifted:
        """Move the binary point, rounding half up; the shift is to the left where positive.

        Raises `FixedPointError` where every integer but zero would overflow: a shift of the new width or more.
        """
        width = self.value_bits if value_bits is None else whole_number(value_bits, "value_bits")
        target = _integers(frac_bits, "frac_bits")
        shift = np.asarray(target - self.frac_bits)
        if (shift >= width).any():
            raise FixedPointError(
                f"moving the binary point from {self.frac_bits.tolist()} to {target.tolist()} overflows {width} bits"
            )
        return Shifted(FixedPoint(_round_shift(self.values, shift), width, target), shift)

    def upscale(self, frac_bits: npt.ArrayLike, value_bits: int | None = None) -> Shifted:
        """`rescale` to at least as many fractional bits; fewer are an error."""
        target = _integers(frac_bits, "frac_bits")
        if (target < self.frac_bits).any():
            raise FixedPointError(
                f"{target.tolist()} fractional bits are fewer than {self.frac_bits.tolist()}"
            )
        return self.rescale(target, value_bits)

    def expand(self, value_bits: int) -> Shifted:
        """One binary point for the whole tensor, the finest of its last axis, in integers of the given width."""
        self._refuse_narrowing(value_bits)
        return self.upscale(self.frac_bits.max(), value_bits)

    def align(self, other: FixedPoint, value_bits: int | None = None) -> Shifted:
        """This tensor with the finer of the two binary points."""
        return self.upscale(np.maximum(self.frac_bits, other.frac_bits), value_bits)

    def shift(self, places: npt.ArrayLike) -> FixedPoint:
        """Integers shifted left (right where negative, rounding down); the binary point stays."""
        steps = _integers(places, "places")
        return FixedPoint(_floor_shift(self.values, steps), self.value_bits, self.frac_bits)

    def floor(self) -> Shifted:
        """The largest whole numbers not above the values, with no fractional bits; the shift is to the right."""
        values = _floor_shift(self.values, -self.frac_bits)
        return Shifted(FixedPoint(values, self.value_bits), self.frac_bits)

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> FixedPoint:
        """Sum over axes, saturated once at the end."""
        whole = self if not self.per_axis else self.expand(self.value_bits).tensor
        values = whole.values.sum(axis=axis, keepdims=keepdims)
        return FixedPoint(values, self.value_bits, whole.frac_bits)

    def sign(self) -> FixedPoint:
        """-1, 0 or 1."""
        return FixedPoint(np.sign(self.values), self.value_bits)

    def __abs__(self) -> FixedPoint:
        return FixedPoint(np.abs(self.values), self.value_bits, self.frac_bits)

    def __neg__(self) -> FixedPoint:
        return FixedPoint(-self.values, self.value_bits, self.frac_bits)

    def __lshift__(self, places: npt.ArrayLike) -> FixedPoint:
        return self.shift(_not_negative(places))

    def __rshift__(self, places: npt.ArrayLike) -> FixedPoint:
        """Divided by 2**places without loss: the binary point moves, the integers stay."""
        return FixedPoint(self.values, self.value_bits, self.frac_bits + _not_negative(places))

    def __add__(self, other: FixedPoint | int) -> FixedPoint:
        return self._combined(other, np.add)

    def __radd__(self, other: int) -> FixedPoint:
        return self._combined(other, np.add)

    def __sub__(self, other: FixedPoint | int) -> FixedPoint:
        return self._combined(other, np.subtract)

    def __mul__(self, other: FixedPoint | int) -> FixedPoint:
        right = _operand(other)
        values = self.values * right.values
        return FixedPoint(values, self.value_bits, self.frac_bits + right.frac_bits)

    def __truediv__(self, other: FixedPoint | int) -> FixedPoint:
        """Integers divided, rounding towards zero; fractional bits are subtracted."""
        right = _operand(other)
        if (right.values == 0).any():
            raise ZeroDivisionError("the divisor holds a zero")
        quotient = np.abs(self.values) // np.abs(right.values)
        values = quotient * np.sign(self.values) * np.sign(right.values)
        return FixedPoint(values, self.value_bits, self.frac_bits - right.frac_bits)

    def __pow__(self, exponent: int) -> FixedPoint:
        if whole_number(exponent, "the exponent") < 0:
            raise NotImplementedError("a negative power has no fixed-point value: divide instead")
        result = FixedPoint(np.ones_like(self.values), self.value_bits)
        for _ in range(exponent):
            result = result * self
        return result

    def __eq__(self, other: object) -> npt.NDArray[np.bool_]:  # type: ignore[override]
        return self._compared(other, np.equal)

    def __ne__(self, other: object) -> npt.NDArray[np.bool_]:  # type: ignore[override]
        return self._compared(other, np.not_equal)

    def __lt__(self, other: object) -> npt.NDArray[np.bool_]:
        return self._compared(other, np.less)

    def __le__(self, other: object) -> npt.NDArray[np.bool_]:
        return self._compared(other, np.less_equal)

    def __gt__(self, other: object) -> npt.NDArray[np.bool_]:
        return self._compared(other, np.greater)

    def __ge__(self, other: object) -> npt.NDArray[np.bool_]:
        return self._compared(other, np.greater_equal)

    def _combined(self, other: Any, operation: Callable[..., Any]) -> FixedPoint:
        """Sum or difference at the finer binary point; a whole number takes this tensor's."""
        right = _operand(other)
        if not isinstance(other, FixedPoint):
            right = FixedPoint(_round_shift(right.values, self.frac_bits), MAX_VALUE_BITS, self.frac_bits)
        point = np.maximum(self.frac_bits, right.frac_bits)
        left_values = _floor_shift(self.values, point - self.frac_bits)
        right_values = _floor_shift(right.values, point - right.frac_bits)
        return FixedPoint(operation(left_values, right_values), self.value_bits, point)

    def _compared(self, other: object, operation: Callable[..., Any]) -> npt.NDArray[np.bool_]:
        if operation in (np.equal, np.not_equal) and not (isinstance(other, FixedPoint) or _is_int(other)):
            return NotImplemented  # type: ignore[no-any-return]
        right = _operand(other)
        return np.asarray(operation(self.to_float(), right.to_float()))

    def _refuse_narrowing(self, value_bits: int) -> None:
        if whole_number(value_bits, "value_bits") < self.value_bits:
            raise FixedPointError(f"cannot go from {self.value_bits} to {value_bits} bits: use a quantizer")


def floor_log2(x: npt.ArrayLike, *, compat: bool = False) -> Floats:
    """floor(log2 x), exact; -inf at 0, NaN below. `compat`: by float32 logarithms, as quantizeml, wrong at some x."""
    return _log2(x, compat, np.floor, lambda mantissa: mantissa < 0)


def ceil_log2(x: npt.ArrayLike, *, compat: bool = False) -> Floats:
    """ceil(log2 x), exact; -inf at 0, NaN below. `compat` as for `floor_log2`."""
    return _log2(x, compat, np.ceil, lambda mantissa: mantissa > 0.5)


def round_log2(x: npt.ArrayLike, *, compat: bool = False) -> Floats:
    """round(log2 x), exact: up from sqrt(2) * 2**n; -inf at 0, NaN below. `compat` as for `floor_log2`."""
    return _log2(x, compat, np.rint, lambda mantissa: mantissa >= _SQRT_HALF)


def hardware_round_log2(x: npt.ArrayLike) -> Floats:
    """The position of the leading bit, plus one if the next bit is set: up from 1.5 * 2**n; -1 at 0."""
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    return np.asarray(exponent - 1.0 + (mantissa >= 0.75))


def max_frac_bits(
    value_bits: int, x: npt.ArrayLike, *, clamp: bool = True, compat: bool = False
) -> npt.NDArray[np.float64]:
    """The most fractional bits with which |x| fits: value_bits - ceil(log2 |x|), at most value_bits with `clamp`."""
    bits = value_bits - ceil_log2(np.abs(np.asarray(x, np.float64)), compat=compat)
    return np.minimum(bits, value_bits) if clamp else bits


#: The float64 nearest to sqrt(1/2); it lies above, so >= compares with the irrational number itself.
_SQRT_HALF: Final = 0.7071067811865476


def _log2(x: npt.ArrayLike, compat: bool, rounding: Any, carry: Callable[[Floats], Any]) -> Floats:
    """x = mantissa * 2**exponent with mantissa in [0.5, 1): one less than the exponent, plus the carry."""
    floats = np.asarray(x, np.float64)
    if compat:
        return np.asarray(rounding(_log2_float32(floats.astype(np.float32))), np.float64)
    mantissa, exponent = np.frexp(floats)
    exact = exponent - 1.0 + carry(mantissa)
    return np.where(floats > 0, exact, np.where(floats == 0, -np.inf, np.nan))


def _log2_float32(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """log(x) / log(2) in float32 as TensorFlow's vectorized kernel computes it on x86-64: eight numbers at a time by
    a rational function (coefficients: Eigen, `plog_float`), those left over by the correctly rounded logarithm."""
    flat = x.reshape(-1)
    whole = flat.size // 8 * 8
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.log(flat[whole:].astype(np.float64)).astype(np.float32)
        logs = np.concatenate([_log_rational(flat[:whole]), rest])
    return np.asarray(logs / np.float32(np.log(2.0)), np.float32).reshape(x.shape)


_NUMERATOR: Final = tuple(np.float32(c) for c in (0.18256296, 1.0, 1.0, 0.0))
_DENOMINATOR: Final = tuple(np.float32(c) for c in (0.049616247954120038, 0.59923249590823520, 1.5, 1.0))


def _log_rational(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """log(x) as exponent * log(2) + P(z) / Q(z), z the mantissa in [sqrt(1/2), sqrt(2)) less one."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < np.float32(_SQRT_HALF)
    z = (mantissa - np.float32(1)) + np.where(low, mantissa, np.float32(0))
    powers = exponent.astype(np.float32) - low.astype(np.float32)
    logs = powers * np.float32(np.log(2.0)) + _horner(_NUMERATOR, z) / _horner(_DENOMINATOR, z)
    return np.where(x > 0, logs, np.where(x == 0, np.float32(-np.inf), np.float32(np.nan)))


def _horner(coefficients: tuple[np.float32, ...], z: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    result = np.full_like(z, coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * z + coefficient
    return result


def _automatic(x: Floats, value_bits: int, compat: bool) -> Integers:
    """Fractional bits for a tensor whose range is not given."""
    if np.isinf(x).any():
        raise FixedPointError("frac_bits must be given for a tensor with infinite values")
    if (x == np.rint(x)).all():
        return np.zeros((), np.int64)
    return _integers(max_frac_bits(value_bits, np.abs(x).max(), compat=compat), "frac_bits")


def _floats(x: npt.ArrayLike, name: str) -> Floats:
    """An array of numbers."""
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise FixedPointTypeError(f"{name} must be numbers, not {type(x).__name__}")
    return array.astype(np.float64)


def _integers(x: npt.ArrayLike, name: str) -> Integers:
    """A new array of whole numbers."""
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise FixedPointTypeError(f"{name} must be whole numbers within 64 bits, not {type(x).__name__}")
    with np.errstate(invalid="ignore"):
        integers = np.array(array, dtype=np.int64)
    if array.dtype.kind not in "biu" and not np.array_equal(integers, array):
        raise FixedPointError(f"{name} must be whole numbers within 64 bits")
    return integers


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def whole_number(value: object, name: str) -> int:
    """The value as an int. Raises `FixedPointTypeError` for anything else."""
    if not _is_int(value):
        raise FixedPointTypeError(f"{name} must be a whole number, not {type(value).__name__}")
    return int(value)  # type: ignore[call-overload,no-any-return]


def _operand(value: object) -> FixedPoint:
    if isinstance(value, FixedPoint):
        return value
    if not _is_int(value):
        raise FixedPointTypeError(
            f"computes with a FixedPoint or a whole number, not a {type(value).__name__}"
        )
    return FixedPoint(int(value), MAX_VALUE_BITS)  # type: ignore[call-overload]


def _not_negative(places: npt.ArrayLike) -> Integers:
    steps = _integers(places, "places")
    if (steps < 0).any():
        raise FixedPointError(f"shifts must not be negative: {steps.tolist()}")
    return steps


def _floor_shift(values: Integers, steps: Integers) -> Integers:
    """values * 2**steps, rounded down; further left than any buffer is as good as saturated."""
    left = values << np.clip(steps, 0, MAX_VALUE_BITS)
    return np.asarray(np.where(steps >= 0, left, values >> np.clip(-steps, 0, _WIDEST_SHIFT)))


def _round_shift(values: Integers, steps: Integers) -> Integers:
    """values * 2**steps, rounded half up."""
    right = np.clip(-steps, 0, _WIDEST_SHIFT - 1)
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    return np.asarray(np.where(steps >= 0, _floor_shift(values, steps), (values + half) >> right))
