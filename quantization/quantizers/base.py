"""Base of the quantizers: a specification as a function of tensors, with a gradient."""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, cast

import keras
import numpy as np
from keras import ops

from quantization.quantizers.backend import Tensor
from quantization.quantizers.rounding import straight_through
from quantization.specs.parse import as_spec

Spec = TypeVar("Spec", bound=Any)

#: The inputs for which the gradient is 1, where it is 1 for all.
EVERYWHERE: Final = (-np.inf, np.inf)

#: Most levels that are listed.
MOST_LEVELS: Final = 2**24

#: Largest code that an int64 holds with room for its sign.
_LARGEST_CODE = 2.0**62


class BaseQuantizer(Generic[Spec]):
    """A specification as a function of tensors.

    A value is `codes * scale`: integer codes, and a scale that is a number or a tensor that broadcasts. Subclasses
    define how codes are computed (`encode`) and the function whose gradient is used (`surrogate`).

    A quantizer with trained parameters, or parameters that a callback changes, has variables: the layer that owns it
    calls `build`.

    `channels`: the axes of the tensors along which their channels lie, () for one scale. Where a specification says
    `last_axis` or `compat` it is the last axis.
    """

    #: Whether the quantizer is an activation function itself, and so replaces that of a layer.
    is_activation: ClassVar[bool] = False

    def __init__(self, spec: Spec, channels: tuple[int, ...] = (-1,)) -> None:
        self.spec: Spec = spec
        #: Whether scales differ along the last axis, as in the libraries whose quantizers these are.
        self.follows_reference: bool = spec.compat or getattr(spec, "last_axis", False)
        self.channels: tuple[int, ...] = (-1,) if self.follows_reference else channels
        self.noise_factor: Any = getattr(spec, "qnoise_factor", 1.0)
        self.seed_generator = keras.random.SeedGenerator(name="seed") if self.is_random else None

    # ---- description ----------------------------------------------------------------------------------------

    @property
    def bits(self) -> int:
        """Width, the sign counted."""
        return int(self.spec.bits)

    @property
    def integer_bits(self) -> int:
        """Bits left of the binary point, the sign not counted."""
        return int(self.spec.integer_bits)

    @property
    def signed(self) -> bool:
        """Whether negative values exist."""
        return bool(self.spec.signed)

    @property
    def is_random(self) -> bool:
        """Whether it draws numbers while training."""
        return bool(getattr(self.spec, "use_stochastic_rounding", False))

    @property
    def has_state(self) -> bool:
        """Whether it has variables or random states that a layer must track and save."""
        return self.is_random or not self.is_noiseless

    @property
    def is_noiseless(self) -> bool:
        """Whether the output is the quantized value, without a part of the float value."""
        return isinstance(self.noise_factor, float) and self.noise_factor == 1.0

    @property
    def grid(self) -> tuple[float, float, float] | None:
        """Smallest and largest code, and the value of a code of 1; None unless every whole number between is a code."""
        return None

    def levels(self) -> np.ndarray:
        """Every value at inference, ascending, float64; in units of the scale if that is computed from data.

        Raises `ValueError` where there are more than 2^24.
        """
        assert self.grid is not None  # other kinds list their levels themselves
        low, high, unit = self.grid
        if high - low > MOST_LEVELS:
            raise ValueError(
                f"{self.spec} has {high - low + 1:.0f} levels, more than can be listed; range() has the ends"
            )
        return np.arange(low, high + 1.0) * unit

    def range(self) -> tuple[float, float]:
        """Smallest and largest level."""
        if self.grid is not None:
            low, high, unit = self.grid
            return low * unit, high * unit
        levels = self.levels()
        return float(levels[0]), float(levels[-1])

    def along(self, channels: tuple[int, ...]) -> Self:
        """This quantizer, with the same variables, for tensors whose channels lie along other axes."""
        if self.follows_reference or channels == self.channels:
            return self
        other = copy.copy(self)
        other.channels = channels
        return other

    # ---- computation --------------------------------------------------------------------------------------

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        """Codes (integers, as floats) and scale of float32 `x`; the gradient is undefined."""
        raise NotImplementedError

    def surrogate(self, x: Tensor, training: bool = False) -> Tensor:
        """The function whose gradient the quantizer has; by default the identity."""
        return x

    def surrogate_range(self) -> tuple[float, float] | None:
        """(low, high) if the surrogate's gradient is 1 where low < x <= high and 0 elsewhere, training or not."""
        return EVERYWHERE if type(self).surrogate is BaseQuantizer.surrogate else None

    def straight_range(self) -> tuple[float, float] | None:
        """(low, high) if the quantizer's gradient is 1 where low < x <= high and 0 elsewhere; None for others."""
        plain = type(self).quantize is BaseQuantizer.quantize and getattr(self.spec, "use_ste", True)
        return self.surrogate_range() if plain and self.is_noiseless else None

    def build(self, owner: keras.layers.Layer, slot: str) -> None:
        """Create the variables in the layer that owns the quantizer as `slot`."""
        if not self.is_noiseless:
            self.noise_factor = owner.add_weight(
                name=f"{slot}_noise_factor",
                shape=(),
                initializer=keras.initializers.Constant(self.noise_factor),
                trainable=False,
                autocast=False,
            )

    def __call__(self, x: Any, training: bool | None = False) -> Tensor:
        """Quantized x, of its shape and floating-point type (float32 for integers); computed in float32."""
        x = ops.convert_to_tensor(x)
        self.check_channels(x)
        dtype = x.dtype if keras.backend.is_float_dtype(x.dtype) else "float32"
        return ops.cast(self.quantize(ops.cast(x, "float32"), bool(training)), dtype)

    def check_channels(self, x: Tensor) -> None:
        """ValueError if the quantizer lists a scale for each channel and x has another number of them."""
        listed = len(channels_of(self.spec))
        sizes = [x.shape[axis] for axis in self._listed_axes(x)]
        channels = None if None in sizes else math.prod(sizes)
        if listed and channels not in (None, listed):
            raise ValueError(
                f"{self.spec} lists {listed} {_listed_as(self.spec)} for a tensor of {channels} channels; "
                f"allowed are one for all or one for each channel"
            )

    def _listed_axes(self, x: Tensor) -> tuple[int, ...]:
        """The axes of x along which scales are listed; a vector's only one."""
        rank = len(x.shape)
        return (self.channels or (-1,)) if rank > 1 else (-1,)[:rank]

    def constant(self, scale: float | str | tuple[float, ...] | None, x: Tensor) -> Any:
        """A scale that is a number, or a list with one for each channel of x; 1 for None or an automatic one."""
        if scale is None or isinstance(scale, str):
            return 1.0
        if not isinstance(scale, tuple):
            return float(scale)
        values, axes = np.asarray(scale, dtype=np.float32), self._listed_axes(x)
        if len(scale) == 1 or axes == (-1,):
            return values
        shape = [1] * len(x.shape)
        for axis in axes:
            shape[axis] = -1 if len(axes) == 1 else int(x.shape[axis])
        return values.reshape(shape)

    def quantize(self, x: Tensor, training: bool) -> Tensor:
        """Quantized float32 `x`, with its gradient."""
        codes, scale = self.encode(x, training)
        value, surrogate = codes * scale, self.surrogate(x, training)
        straight = getattr(self.spec, "use_ste", True)
        if self.is_noiseless:
            return straight_through(value, surrogate) if straight else ops.stop_gradient(value)
        return mixed(value, surrogate, self.noise_factor, straight)

    def value(self, x: Tensor, training: bool) -> Tensor:
        """The value of `quantize` without its gradient, in fewer operations."""
        if not self.is_noiseless:
            return ops.stop_gradient(self.quantize(x, training))
        codes, scale = self.encode(x, training)
        return codes if isinstance(scale, float) and scale == 1.0 else codes * scale

    def differentiable(self, x: Tensor, training: bool) -> Tensor:
        """A function of float32 `x` with the gradient of `quantize`, in fewer operations; its value may be another."""
        if type(self).quantize is not BaseQuantizer.quantize or not self.is_noiseless:
            return self.quantize(x, training)
        if not getattr(self.spec, "use_ste", True):
            return ops.stop_gradient(x)
        return self.surrogate(x, training)

    def to_integers(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """Codes (int64) and scale (float32) as at inference: `codes * scale` is the quantized x exactly.

        Where levels are not multiples of one step (u-law, powers of two beyond 62 bits) the codes are signs and
        the scale has an element for each code.
        """
        return as_integers(*self.encode(ops.cast(ops.convert_to_tensor(x), "float32"), False))

    def scale(self, x: Any) -> np.ndarray:
        """The scale alone: a number, or an array that broadcasts against x."""
        return self.to_integers(x)[1]

    # ---- serialization ---------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The specification as a JSON object."""
        return dict(self.spec.model_dump(mode="json"))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The quantizer of a specification written by `get_config`."""
        return cls(cast(Spec, as_spec(config)))

    def __str__(self) -> str:
        return str(self.spec)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spec})"


def largest_code(bound: float) -> float:
    """The largest whole number of float32 up to a bound: above 2^24 not every one exists; 2^31 - 1 would be 2^31."""
    nearest = np.float32(bound)
    return float(nearest if float(nearest) <= bound else np.nextafter(nearest, np.float32(0)))


def as_integers(codes: Tensor, scale: Any) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scale of `BaseQuantizer.encode` in numpy (int64, float32), as `BaseQuantizer.to_integers` has them."""
    numbers = np.asarray(ops.convert_to_numpy(codes))
    factors = np.asarray(ops.convert_to_numpy(scale), dtype=np.float32)
    if np.any(np.abs(numbers) > _LARGEST_CODE) or np.any(numbers != np.rint(numbers)):
        values = numbers * factors
        numbers, factors = np.sign(values), np.abs(values)
    return numbers.astype(np.int64), factors


def mixed(value: Tensor, surrogate: Tensor, factor: Any, straight: bool) -> Tensor:
    """factor * value + (1 - factor) * surrogate.

    The gradient is that of the surrogate; without `straight`, only of the part that is not quantized.
    """
    rest = 1.0 - factor
    if straight:
        return straight_through(factor * value + rest * surrogate, surrogate)
    return factor * ops.stop_gradient(value) + rest * surrogate


def channels_of(spec: Any) -> tuple[float, ...]:
    """The scales or widths that a specification lists, one per channel; empty if there are fewer than two."""
    for field in ("alpha", "scale_factors", "post_training_scale", "channel_bits"):
        value = getattr(spec, field, None)
        if isinstance(value, tuple) and len(value) > 1:
            return value
    return ()


def _listed_as(spec: Any) -> str:
    return "widths" if hasattr(spec, "channel_bits") else "scales"


def is_auto(spec: Any) -> bool:
    """Whether a specification's scale is computed from the data."""
    return isinstance(getattr(spec, "alpha", None), str)


def unit_of(spec: Any) -> float:
    """The value of one unit of `levels()`: alpha if it is a number; 1 if it is automatic."""
    alpha = getattr(spec, "alpha", None)
    return float(alpha) if isinstance(alpha, int | float) else 1.0
