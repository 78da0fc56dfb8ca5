"""Scales computed from the data, for `alpha="auto"` and `alpha="auto_po2"`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from quantization.quantizers.backend import Tensor, is_concrete
from quantization.quantizers.rounding import nearest_power_of_two


@dataclass(frozen=True, slots=True)
class AutoScale:
    """How a scale is computed: over which elements, whether it is a power of two, with which exponents.

    `axis`: the axes along which scales differ (None: `channels`, by default the last one). `group`: how many neighbours
    along each of them share one. A tensor of rank 1 has one scale; `per_element` gives it one for each element in the
    least-squares step, as QKeras does, which makes the quantizer the identity.
    """

    power_of_two: bool = False
    axis: int | tuple[int, ...] | None = None
    group: int | tuple[int, ...] | None = None
    min_exponent: int | None = None
    max_exponent: int | None = None
    per_element: bool = False
    channels: tuple[int, ...] = (-1,)

    @classmethod
    def of(cls, quantizer: Any) -> AutoScale:
        """The automatic scale of a quantizer."""
        spec = quantizer.spec
        return cls(
            power_of_two=spec.alpha == "auto_po2",
            axis=getattr(spec, "scale_axis", None),
            group=getattr(spec, "elements_per_scale", None),
            min_exponent=getattr(spec, "min_po2_exponent", None),
            max_exponent=getattr(spec, "max_po2_exponent", None),
            per_element=spec.compat,
            channels=quantizer.channels,
        )

    def scale_axes(self, rank: int) -> tuple[int, ...]:
        """The axes along which scales differ."""
        if rank <= 1:
            return ()
        if self.axis is None:
            return axes_of(self.channels, rank)
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        if any(not -rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) < len(axes):
            raise ValueError(
                f"scale_axis={self.axis}: each must be another one of the {rank} axes of the tensor, "
                f"0 to {rank - 1} or -{rank} to -1"
            )
        return axes_of(axes, rank)

    def reduced_axes(self, rank: int) -> tuple[int, ...]:
        """The axes over which a scale is shared."""
        separate = self.scale_axes(rank)
        return tuple(axis for axis in range(rank) if axis not in separate)

    def rounded(self, scale: Tensor) -> Tensor:
        """The scale itself, or the nearest power of two."""
        if not self.power_of_two:
            return scale
        return nearest_power_of_two(scale, self.min_exponent, self.max_exponent)

    def largest(self, x: Tensor, *, elementwise: bool = False, magnitude: bool = True) -> Tensor:
        """Largest magnitude (or value) among the elements that share a scale, axes kept.

        `elementwise`: every element of a rank-1 tensor has its own scale, as in QKeras' quantized_linear.
        """
        sizes = ops.abs(x) if magnitude else x
        rank = len(x.shape)
        if rank <= 1 and elementwise:
            return sizes
        return ops.max(sizes, axis=self.reduced_axes(rank), keepdims=True)

    def deviation(self, x: Tensor) -> Tensor:
        """Standard deviation among the elements that share a scale, axes kept."""
        return ops.std(x, axis=self.reduced_axes(len(x.shape)), keepdims=True)

    def least_squares(self, x: Tensor, codes: Tensor) -> Tensor:
        """The scale s that minimizes sum (x - s codes)^2, rounded to a power of two if `power_of_two`."""
        if len(x.shape) <= 1 and self.per_element:
            products, squares = x * codes, codes * codes
        else:
            products, squares = self._mean(x * codes), self._mean(codes * codes)
        return self.rounded(products / (squares + keras.config.epsilon()))

    def _mean(self, x: Tensor) -> Tensor:
        """Mean among the elements that share a scale; groups are spread out again to the length of their axis."""
        axes = self.reduced_axes(len(x.shape))
        mean = ops.mean(x, axis=axes, keepdims=True)
        if self.group is None:
            return mean
        axes = self.scale_axes(len(x.shape))
        groups = self.group if isinstance(self.group, tuple) else (self.group,) * len(axes)
        for axis, size in zip(axes, groups, strict=True):
            mean = _grouped(mean, axis, size)
        return mean


def axes_of(axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Axes counted from the front, ascending."""
    return tuple(sorted(axis % rank for axis in axes))


def alternated(
    scale: Tensor, codes_of: Callable[[Tensor], Tensor], scale_of: Callable[[Tensor], Tensor], times: int
) -> tuple[Tensor, Tensor]:
    """Codes and scale after computing the codes for a scale and the scale for these codes, `times` times.

    Both are functions of their argument alone, so codes that repeat once repeat for ever: where numbers can be read, it
    stops there.
    """
    codes = codes_of(scale)
    for _ in range(times - 1):
        scale, before = scale_of(codes), codes
        codes = codes_of(scale)
        if is_concrete(codes) and np.array_equal(*map(ops.convert_to_numpy, (codes, before))):
            return codes, scale
    return codes, scale_of(codes)


def quotient(x: Tensor, scale: Any) -> Tensor:
    """x / scale, and 0 where the scale is 0."""
    return ops.divide_no_nan(x, scale)


def _grouped(mean: Tensor, axis: int, size: int) -> Tensor:
    """Means along `axis` replaced by those of `size` neighbours."""
    length = int(mean.shape[axis])
    if length % size:
        raise ValueError(
            f"elements_per_scale={size} does not divide axis {axis} of {length} elements; "
            f"allowed are divisors of {length}"
        )
    before, after = tuple(mean.shape[:axis]), tuple(mean.shape[axis + 1 :])
    grouped = ops.mean(
        ops.reshape(mean, (*before, length // size, size, *after)), axis=axis + 1, keepdims=False
    )
    return ops.repeat(grouped, size, axis=axis)
