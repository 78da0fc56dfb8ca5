"""What a search has learned, from its measured trials: how the front grew, and what each choice does. Plain numpy.

Every figure is a formula over the trials, in the job's own order of them; nothing is drawn.

- **Hypervolume**: the share of the box between the worst metric that counts and the best, and between no cost and the
  reference's, that the trials measured so far dominate (`search.scoring.pareto`).
- **Effects**: `merit = mean + sum of one effect per choice`, fitted to the measured trials by least squares with a
  ridge of one trial (an effect seen in n trials is shrunk by about n / (n + 1)). The merit is the metric with the sign
  that makes larger better; the same is fitted to log2 of the cost.
- **Importance** of a choice: the covariance of its effect with the merit, over the variance of the merit. The
  importances sum to the share of the variance that the sum of all effects explains.
- **Sensitivity**: the slope of a choice's effects over the bits of its quantizers (over log2 of the multiple, for
  widths), each label weighted by its trials: how much metric one bit more brings, all else equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantization.specs.parse import parse_quantizer
from search.scoring.pareto import Point, dominates, front, hypervolume, knee
from search.space.choices import Choices

Floats = NDArray[np.float64]
Label = str | float | int | bool

#: Trials that an effect is shrunk by, as if so many without any effect had been seen.
_RIDGE: Final = 1.0

#: Rows of the table of effects that are looked at together.
_ROWS: Final = 4096


@dataclass(frozen=True, slots=True)
class Seen:
    """A measured trial. `merit` is its metric, larger being better; `at_s` when it ended, in seconds of the job."""

    number: int
    merit: float
    cost: float
    values: Mapping[str, Label]
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """The worst and the best merit that count, and the cost from which on a trial adds nothing."""

    floor: float
    top: float
    ceiling: float


@dataclass(frozen=True, slots=True)
class Step:
    """The hypervolume after a trial: a share of the box."""

    number: int
    at_s: float | None
    hypervolume: float


@dataclass(frozen=True, slots=True)
class LabelEffect:
    """What one label of a choice does: to the merit, and to log2 of the cost."""

    label: Label
    bits: int | None
    trials: int
    merit: float
    log2_cost: float


@dataclass(frozen=True, slots=True)
class ChoiceEffect:
    """What a choice does. Sensitivities are per bit, or per doubling of a width; None with fewer than two of them."""

    name: str
    layers: tuple[str, ...]
    slot: str
    importance: float
    cost_importance: float
    sensitivity: float | None
    cost_sensitivity: float | None
    labels: tuple[LabelEffect, ...]


@dataclass(frozen=True, slots=True)
class LayerEffect:
    """What the choices of a layer do together; of a choice that layers share each has its part."""

    name: str
    importance: float
    cost_importance: float
    sensitivity: float | None  #: the sum over its choices of quantizers, per bit


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a search has learned so far. `explained`: the share of the merit's variance that effects account for."""

    trials: int
    box: Box
    steps: tuple[Step, ...]
    front: tuple[int, ...]
    knee: int | None
    explained: float | None
    cost_explained: float | None
    choices: tuple[ChoiceEffect, ...]
    layers: tuple[LayerEffect, ...]


def box_of(seen: Sequence[Seen], reference: float, bounds: tuple[float, float] | None) -> Box:
    """`bounds` of the merit where the metric has some (0 and 1 of a share), else the range that was measured."""
    merits = [each.merit for each in seen]
    floor, top = bounds or (min(merits, default=0.0), max(merits, default=0.0))
    return Box(floor, top, reference)


def analyse(space: Choices, seen: Sequence[Seen], box: Box) -> Analysis:
    """The analysis of a job's measured trials. With fewer than two trials, or none that differ, effects are zero."""
    points = [Point(each.number, each.merit, each.cost) for each in seen]
    best = front(points)
    corner = knee(best)
    merit = _fitted(space, seen, np.array([each.merit for each in seen], float))
    cost = _fitted(space, seen, np.log2([max(each.cost, 1e-300) for each in seen]))
    effects = tuple(_choice(space, name, merit, cost) for name in space.dimensions())
    return Analysis(
        trials=len(seen),
        box=box,
        steps=steps(seen, box),
        front=tuple(point.number for point in best),
        knee=None if corner is None else corner.number,
        explained=merit.explained,
        cost_explained=cost.explained,
        choices=effects,
        layers=_layers(effects),
    )


def steps(seen: Sequence[Seen], box: Box) -> tuple[Step, ...]:
    """The hypervolume after each trial that made it grow, and after the last; in the order in which trials ended."""
    area = (box.top - box.floor) * box.ceiling
    ordered = sorted(seen, key=lambda each: (math.inf if each.at_s is None else each.at_s, each.number))
    members: list[Point] = []
    growth: list[Step] = []
    reached = 0.0
    for trial in ordered:
        point = Point(trial.number, trial.merit, trial.cost)
        share = reached
        if not any(dominates(member, point) for member in members):
            members = front([*members, point])
            covered = hypervolume(members, metric_floor=box.floor, cost_ceiling=box.ceiling)
            share = covered / area if area > 0 else 0.0
        if share > reached or trial is ordered[-1]:
            reached = max(share, reached)
            growth.append(Step(trial.number, trial.at_s, reached))
    return tuple(growth)


# --- effects -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fit:
    """Effects of every label of every choice on one figure, and what they account for."""

    effects: Mapping[str, Mapping[Label, float]]
    counts: Mapping[str, Mapping[Label, int]]
    importance: Mapping[str, float]
    explained: float | None


def _fitted(space: Choices, seen: Sequence[Seen], target: Floats) -> _Fit:
    columns = [(name, label) for name, labels in space.dimensions().items() for label in labels]
    places = {column: index for index, column in enumerate(columns)}
    codes = [
        [places[name, label] for name, label in each.values.items() if (name, label) in places]
        for each in seen
    ]
    centred = target - target.mean() if len(target) else target
    gram, moment = np.zeros((len(columns), len(columns))), np.zeros(len(columns))
    for start in range(0, len(codes), _ROWS):
        table = _table(codes[start : start + _ROWS], len(columns))
        gram += table.T @ table
        moment += table.T @ centred[start : start + _ROWS]
    solved = np.linalg.solve(gram + _RIDGE * np.eye(len(columns)), moment) if columns else moment
    variance = float(np.mean(centred**2)) if len(centred) else 0.0
    shares = solved * moment / (len(centred) * variance) if variance > 0 else np.zeros(len(columns))
    return _Fit(
        effects=_by_choice(columns, solved.tolist()),
        counts=_by_choice(columns, np.diag(gram).astype(int).tolist()),
        importance={
            name: sum(values.values()) for name, values in _by_choice(columns, shares.tolist()).items()
        },
        explained=float(shares.sum()) if variance > 0 else None,
    )


def _table(codes: Sequence[Sequence[int]], width: int) -> Floats:
    table = np.zeros((len(codes), width))
    for row, places in enumerate(codes):
        table[row, places] = 1.0
    return table


def _by_choice(columns: Sequence[tuple[str, Label]], values: Sequence[Any]) -> dict[str, dict[Label, Any]]:
    found: dict[str, dict[Label, Any]] = {}
    for (name, label), value in zip(columns, values, strict=True):
        found.setdefault(name, {})[label] = value
    return found


def _choice(space: Choices, name: str, merit: _Fit, cost: _Fit) -> ChoiceEffect:
    layers, slot = _place(space, name)
    counts = merit.counts[name]
    scale = {label: _scale(label, slot) for label in counts}
    return ChoiceEffect(
        name=name,
        layers=layers,
        slot=slot,
        importance=merit.importance[name],
        cost_importance=cost.importance[name],
        sensitivity=_slope(merit.effects[name], scale, counts),
        cost_sensitivity=_slope(cost.effects[name], scale, counts),
        labels=tuple(
            LabelEffect(
                label,
                _bits(label) if slot != WIDTH else None,
                counts[label],
                merit.effects[name][label],
                cost.effects[name][label],
            )
            for label in counts
        ),
    )


#: What stands for a slot where a choice is of a width.
WIDTH: Final = "width"


def _place(space: Choices, name: str) -> tuple[tuple[str, ...], str]:
    for slot in space.slots:
        if slot.name == name:
            return slot.layers, slot.slot
    for width in space.widths:
        if width.name == name:
            return width.layers, WIDTH
    return (), ""


def _scale(label: Label, slot: str) -> float | None:
    """What a slope is taken over: bits, or log2 of a width's multiple; None for what has no order."""
    if slot == WIDTH:
        return math.log2(float(label))
    return None if (bits := _bits(label)) is None else float(bits)


def _bits(label: Label) -> int | None:
    """Bits of a quantizer; of a choice that is a number itself, that number."""
    if isinstance(label, str):
        try:
            return parse_quantizer(label).bits
        except ValueError:
            return None
    return label if isinstance(label, int) and not isinstance(label, bool) else None


def _slope(
    effects: Mapping[Label, float], scale: Mapping[Label, float | None], counts: Mapping[Label, int]
) -> float | None:
    """Weighted least squares of the effects over the scale; None where the trials have fewer than two places on it."""
    known = [
        (place, effects[label], counts[label])
        for label, place in scale.items()
        if place is not None and counts[label]
    ]
    if len({place for place, _, _ in known}) < 2:
        return None
    places, values, weights = (np.array(each, float) for each in zip(*known, strict=True))
    offset = places - np.average(places, weights=weights)
    return float((weights * offset * values).sum() / (weights * offset**2).sum())


def _layers(effects: Sequence[ChoiceEffect]) -> tuple[LayerEffect, ...]:
    names = dict.fromkeys(layer for effect in effects for layer in effect.layers)
    found = []
    for name in names:
        own = [effect for effect in effects if name in effect.layers]
        slopes = [
            effect.sensitivity / len(effect.layers)
            for effect in own
            if effect.slot != WIDTH and effect.sensitivity is not None
        ]
        found.append(
            LayerEffect(
                name,
                importance=sum(effect.importance / len(effect.layers) for effect in own),
                cost_importance=sum(effect.cost_importance / len(effect.layers) for effect in own),
                sensitivity=sum(slopes) if slopes else None,
            )
        )
    return tuple(found)
