"""Which quantizers are plain fixed-point grids, so that their bits can be trained. Plain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from quantization.specs.parse import QuantizerSpec
from quantization.specs.qkeras import QuantizedBits, QuantizedLinear, QuantizedRelu
from quantization.specs.slots import runs_automatic


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """The grid clip(round(x * 2^fraction_bits), low, high) * 2^-fraction_bits."""

    bits: int  #: the sign counted
    fraction_bits: int
    integer_bits: int
    low: int  #: smallest code
    high: int  #: largest code


@dataclass(frozen=True, slots=True)
class BitsChoice:
    """A choice of a space whose bits are trained: its candidates are grids, from few to many bits."""

    name: str
    layers: tuple[str, ...]
    slot: str
    specs: tuple[QuantizerSpec, ...]
    grids: tuple[FixedPoint, ...]

    @classmethod
    def among(
        cls, name: str, layers: tuple[str, ...], slot: str, specs: Iterable[QuantizerSpec]
    ) -> BitsChoice | None:
        """The choice among those that are grids; None if none is."""
        pairs = [(spec, fixed_point(spec, slot)) for spec in specs]
        grids = sorted(
            ((spec, grid) for spec, grid in pairs if grid is not None),
            key=lambda pair: (pair[1].bits, pair[1].fraction_bits),
        )
        if not grids:
            return None
        return cls(name, layers, slot, tuple(spec for spec, _ in grids), tuple(grid for _, grid in grids))


def fixed_point(spec: QuantizerSpec, slot: str) -> FixedPoint | None:
    """The grid of a quantizer in a slot; None if it has another one, or a scale, noise or slope besides."""
    if spec.compat or runs_automatic(slot, spec) or not _is_exact(spec):
        return None
    if isinstance(spec, QuantizedRelu):
        if spec.negative_slope or spec.use_sigmoid or not spec.is_quantized_clip:
            return None
        return FixedPoint(spec.bits, spec.bits - spec.integer, spec.integer, 0, 2**spec.bits - 1)
    if not isinstance(spec, QuantizedBits | QuantizedLinear) or spec.alpha not in (None, 1.0):
        return None
    signed = spec.keep_negative
    if signed and spec.bits == 1:
        return None
    half = 2 ** (spec.bits - signed)
    low = (1 - half if spec.symmetric else -half) if signed else 0
    return FixedPoint(spec.bits, spec.bits - signed - spec.integer, spec.integer, low, half - 1)


def _is_exact(spec: QuantizerSpec) -> bool:
    """Whether it gives the nearest level, with the gradient of a straight line."""
    random = getattr(spec, "use_stochastic_rounding", False)
    return not random and getattr(spec, "use_ste", True) and getattr(spec, "qnoise_factor", 1.0) == 1.0
