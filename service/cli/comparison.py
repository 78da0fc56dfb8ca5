"""Two trials of a job, compared figure by figure and layer by layer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from service.schemas.jobs import TensorView, TrialLayerView, TrialView

_FIGURES: Final = ("score", "metric", "loss", "cost", "energy_pj", "bits")
_UNQUANTIZED: Final = TensorView(quantizer=None, bits=None)


@dataclass(frozen=True)
class FigurePair:
    """A figure of both trials; `change` is b - a, or None if one of them is None."""

    name: str
    a: float | None
    b: float | None
    change: float | None = field(init=False)

    def __post_init__(self) -> None:
        change = None if self.a is None or self.b is None else self.b - self.a
        object.__setattr__(self, "change", change)


@dataclass(frozen=True)
class TensorPair:
    """The quantizers of a tensor in both trials."""

    slot: str
    a: str | None
    b: str | None
    a_bits: int | None
    b_bits: int | None

    @property
    def differs(self) -> bool:
        """Whether the quantizers differ."""
        return self.a != self.b


@dataclass(frozen=True)
class LayerPair:
    """A layer of both trials; a width is None where the search left it as in the model."""

    name: str
    class_name: str | None
    tensors: tuple[TensorPair, ...]
    a_width: int | None
    b_width: int | None
    energy_pj: FigurePair

    @property
    def differs(self) -> bool:
        """Whether quantizers, width or energy differ."""
        return (
            any(pair.differs for pair in self.tensors)
            or self.a_width != self.b_width
            or bool(self.energy_pj.change)
        )


@dataclass(frozen=True)
class Comparison:
    """Two trials of a job."""

    job_id: str
    a: int
    b: int
    figures: tuple[FigurePair, ...]
    layers: tuple[LayerPair, ...]


def compare(first: TrialView, second: TrialView) -> Comparison:
    """The comparison of two trials; layers in the order of the first one."""
    figures = tuple(FigurePair(name, getattr(first, name), getattr(second, name)) for name in _FIGURES)
    a, b = ({layer.name: layer for layer in trial.layers} for trial in (first, second))
    layers = tuple(_layer_pair(name, a.get(name), b.get(name)) for name in dict.fromkeys([*a, *b]))
    return Comparison(first.job_id, first.number, second.number, figures, layers)


def _layer_pair(name: str, a: TrialLayerView | None, b: TrialLayerView | None) -> LayerPair:
    a_slots, b_slots = (layer.slots if layer else {} for layer in (a, b))
    tensors = []
    for slot in dict.fromkeys([*a_slots, *b_slots]):
        left, right = a_slots.get(slot, _UNQUANTIZED), b_slots.get(slot, _UNQUANTIZED)
        tensors.append(TensorPair(slot, left.quantizer, right.quantizer, left.bits, right.bits))
    return LayerPair(
        name=name,
        class_name=next((layer.class_name for layer in (a, b) if layer), None),
        tensors=tuple(tensors),
        a_width=a.width if a else None,
        b_width=b.width if b else None,
        energy_pj=FigurePair("energy_pj", a.included_pj if a else None, b.included_pj if b else None),
    )
