"""Fixed-point quantizers whose bits are trained with the weights.

What is computed is always on the grid of one of a choice's candidates; what is trained are real numbers that are
rounded to it. With x_q the quantized value, d = x - x_q its rounding error, f fraction bits and i integer bits, the
surrogate gradients are

    d x_q / d f = d ln 2              an error that is halved by every bit
    d x_q / d i = x_q ln 2            where x is beyond the range, which every bit doubles; 0 elsewhere

(the first as in HGQ; Sun et al., 2024). Weights may have fraction bits of their own, or their channels: such a weight
lies on a coarser grid within that of the tensor, which it is stored and computed with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from keras import ops

from costmodel.effective import Granularity
from costmodel.layer_classes import FUNCTION_SLOTS
from quantization.quantizers import build_quantizer
from quantization.quantizers.rounding import power_of_two, straight_within
from quantization.specs.fixed_point import BitsChoice

Tensor = Any
Function = Callable[[Tensor], Tensor]

_LN_2: Final = math.log(2.0)

#: Columns of a choice's table: fraction and integer bits, codes, and where the gradient is 1.
_FRACTION, _INTEGER, _LOW, _HIGH, _ABOVE, _UP_TO = range(6)

#: How far trained bits may go beyond the candidates, so that they are not lost.
_MARGIN: Final = 0.49


class TrainedBits:
    """The fraction and integer bits of a tensor, and the candidates they are rounded to.

    `shape`: of the fraction bits; () for one number, else it broadcasts to the tensor's.
    """

    def __init__(self, choice: BitsChoice, shape: tuple[int, ...] = ()) -> None:
        self.choice, self.shape = choice, shape
        fractions = [grid.fraction_bits for grid in choice.grids]
        integers = [grid.integer_bits for grid in choice.grids]
        # A weight without bits is rounded to 0: it needs steps above all that the tensor holds.
        least = -max(integers) - 2.0 if shape else min(fractions) - _MARGIN
        self.fraction = _variable("fraction_bits", shape, least, max(fractions) + _MARGIN)
        self.integer = _variable("integer_bits", (), min(integers) - _MARGIN, max(integers) + _MARGIN)
        self._table = np.array([_row(choice, index) for index in range(len(choice.grids))], np.float32)

    def initial(self, index: int) -> list[np.ndarray]:
        """The values of `variables` that stand for a candidate."""
        grid = self.choice.grids[index]
        return [
            np.full(self.shape, grid.fraction_bits, np.float32),
            np.full((), grid.integer_bits, np.float32),
        ]

    @property
    def variables(self) -> tuple[Any, Any]:
        """What is trained."""
        return self.fraction, self.integer

    def index(self) -> Tensor:
        """The candidate whose bits are nearest; the widest fraction counts."""
        whole = ops.round(ops.stop_gradient(ops.convert_to_tensor(self.fraction)))
        fraction = ops.max(whole) if self.shape else ops.stop_gradient(ops.convert_to_tensor(self.fraction))
        integer = ops.stop_gradient(ops.convert_to_tensor(self.integer))
        distances = ops.square(self._table[:, _FRACTION] - fraction) + ops.square(
            self._table[:, _INTEGER] - integer
        )
        return ops.argmin(distances)

    def row(self) -> list[Tensor]:
        """The numbers of the candidate."""
        return ops.unstack(ops.take(self._table, self.index(), axis=0), self._table.shape[1])  # type: ignore[no-any-return]

    def bits(self) -> Tensor:
        """Fraction and integer bits, where they are one number."""
        return ops.convert_to_tensor(self.fraction) + ops.convert_to_tensor(self.integer)


def _row(choice: BitsChoice, index: int) -> tuple[float, ...]:
    grid = choice.grids[index]
    # Where a kind does not say so, the gradient is 1 within the range, its ends included.
    step = 2.0**-grid.fraction_bits
    inside = float(np.nextafter(np.float32(grid.low * step), np.float32(-np.inf))), grid.high * step
    above, up_to = build_quantizer(choice.specs[index]).straight_range() or inside
    return grid.fraction_bits, grid.integer_bits, grid.low, grid.high, above, up_to


def _variable(name: str, shape: tuple[int, ...], least: float, most: float) -> Any:
    variable = keras.Variable(np.zeros(shape, np.float32), dtype="float32", name=name)
    variable.constraint = _Between(least, most)
    return variable


@dataclass(frozen=True)
class _Between:
    """Keeps numbers within bounds."""

    least: float
    most: float

    def __call__(self, x: Tensor) -> Tensor:
        return ops.clip(x, self.least, self.most)


class TrainedBitsQuantizer:
    """The quantizer of a slot whose bits are trained; it applies the layer's function where the candidates do not.

    `is_weight`: whether it quantizes a weight that its layer can be given another value of (`set_quantized`).
    `used` is, after a call, how many bits the tensor's groups of equal width need in all, as a smooth function of
    weights and bits: log2(1 + max|w| 2^f) of each.
    """

    is_activation: Final = True
    seed_generator: Final = None
    is_noiseless: Final = True
    has_state: Final = False

    def __init__(
        self, bits: TrainedBits, slot: str, function: Function | None, *, is_weight: bool = False
    ) -> None:
        self.bits, self.is_weight = bits, is_weight
        replaces = build_quantizer(bits.choice.specs[0]).is_activation
        self._function = function if slot in FUNCTION_SLOTS and not replaces else None
        self.used: Tensor = None

    def __call__(self, x: Any, training: bool | None = False) -> Tensor:
        """x on the grid of the candidate that the bits are nearest to."""
        x = ops.convert_to_tensor(x)
        if self._function is not None:
            x = self._function(x)
        return ops.cast(self._quantized(ops.cast(x, "float32")), x.dtype)

    def _quantized(self, x: Tensor) -> Tensor:
        bits, row = self.bits, self.bits.row()
        fraction, integer = (ops.convert_to_tensor(variable) for variable in bits.variables)
        steps = row[_FRACTION]
        if bits.shape:
            steps = ops.minimum(ops.round(ops.stop_gradient(fraction)), steps)
            self.used = _used(x, fraction, bits.shape)
        inverse = power_of_two(steps)
        coarser = power_of_two(steps - row[_FRACTION])
        low, high = ops.ceil(row[_LOW] * coarser), ops.floor(row[_HIGH] * coarser)
        codes = ops.round(x * inverse)
        value = ops.clip(codes, low, high) / inverse
        error = ops.clip(x, low / inverse, high / inverse) - value
        beyond = ops.where(ops.logical_or(codes > high, codes < low), value, 0.0)
        straight = straight_within(value, x, row[_ABOVE], row[_UP_TO])
        # Both factors on the left are 0: the value stays exactly on the grid.
        by_fraction = (fraction - ops.stop_gradient(fraction)) * ops.stop_gradient(error * _LN_2)
        by_integer = (integer - ops.stop_gradient(integer)) * ops.stop_gradient(beyond * _LN_2)
        return straight + by_fraction + by_integer


def _used(x: Tensor, fraction: Tensor, shape: tuple[int, ...]) -> Tensor:
    size = ops.abs(x)
    axes = tuple(axis for axis, length in enumerate(shape) if length == 1 and x.shape[axis] != 1)
    if axes:
        size = ops.max(size, axis=axes, keepdims=True)
    return ops.sum(ops.log1p(size * ops.exp(fraction * _LN_2))) / _LN_2


#: (layer, slot) -> its quantizer.
TrainedSlots = Mapping[tuple[str, str], TrainedBitsQuantizer]


def train_bits(
    model: keras.Model, choices: Sequence[BitsChoice], granularity: Granularity | None
) -> TrainedSlots:
    """Put quantizers with trained bits into the slots of a quantized model.

    `granularity`: which weights have fraction bits of their own; None: a tensor has one width, as its type. Layers
    that share a choice share the bits, but for those of single weights.
    """
    trained: dict[tuple[str, str], TrainedBitsQuantizer] = {}
    for choice in choices:
        shared = TrainedBits(choice)
        for name in choice.layers:
            layer: Any = model.get_layer(name)
            is_weight = choice.slot.endswith(("kernel", "bias")) and layer.slot_owners() == (layer,)
            shape = _shape(layer, choice.slot, granularity) if is_weight else ()
            bits = TrainedBits(choice, shape) if shape else shared
            function = layer.slot_function(choice.slot)
            quantizer = TrainedBitsQuantizer(bits, choice.slot, function, is_weight=is_weight)
            trained[name, choice.slot] = quantizer
            for owner in layer.slot_owners():
                owner._slot_quantizers = tuple(
                    (dict(owner._slot_quantizers) | {choice.slot: quantizer}).items()
                )
    return trained


def _shape(layer: Any, slot: str, granularity: Granularity | None) -> tuple[int, ...]:
    """The shape of a weight's fraction bits: () where it has one width."""
    if granularity is None or granularity is Granularity.TENSOR:
        return ()
    shape = tuple(int(size) for size in layer.weight_of(slot).shape)
    if granularity is Granularity.WEIGHT:
        return shape
    channels = {axis % len(shape) for axis in layer.channel_axes(slot)} if len(shape) > 1 else {0}
    return tuple(size if axis in channels else 1 for axis, size in enumerate(shape))
