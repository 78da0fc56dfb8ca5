"""Analysis of a job's measured trials: how the front grew, and the effect of each choice. Plain: numpy only.

Every figure is a deterministic formula over the trials, in the order of the job.

- **Hypervolume**: the share of the box between the worst metric that counts and the best, and between no cost and the
  reference's, that the trials measured so far dominate (`search.scoring.pareto`).
- **Effects**: `merit = mean + sum of one effect per choice`, fitted to the measured trials by least squares with a
  ridge of one trial (an effect seen in n trials is shrunk by about n / (n + 1)). The merit is the metric with the sign
  that makes larger better; the same is fitted to log2 of the cost.
- **Importance** of a choice: the covariance of its effect with the merit, over the variance of the merit. The
  importances sum to the share of the variance that the sum of all effects explains.
- **Sensitivity**: the slope of a choice's effects over the bits of its quantizers (over log2 of the multiple, for
  widths), each label weighted by its trials: the metric gained by one more bit, all else equal.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quantization.specs.parse import parse_quantizer
from search.scoring.pareto import Point, front, hypervolume, knee, on_front
from search.space.choices import Choices

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Label = str | float | int | bool

#: Ridge: effects are shrunk as if this many trials without any effect had been measured.
_RIDGE: Final = 1.0

#: Trials that are accumulated at once.
_ROWS: Final = 4096


@dataclass(frozen=True, slots=True)
class AnalysedTrials:
    """Measured trials as columns of equal length, shapes (trials,).

    `merit`: the metric, larger being better; `at_s`: the end in seconds of the job, NaN where it is not known.
    """

    number: Integers
    merit: Floats
    cost: Floats
    values: Sequence[Mapping[str, Label]]
    at_s: Floats | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """Bounds of the hypervolume: the worst and the best merit that count, and the cost above which none does."""

    floor: float
    top: float
    ceiling: float


@dataclass(frozen=True, slots=True)
class HypervolumeStep:
    """The hypervolume after a trial: a share of the box."""

    number: int
    at_s: float | None
    hypervolume: float


@dataclass(frozen=True, slots=True)
class LabelEffect:
    """Effect of one label of a choice on the merit and on log2 of the cost."""

    label: Label
    bits: int | None
    trials: int
    merit: float
    log2_cost: float


@dataclass(frozen=True, slots=True)
class ChoiceEffect:
    """Effect of a choice. Sensitivities are per bit, or per doubling of a width; None with fewer than two of them."""

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
    """Summed effects of the choices of a layer; a choice that layers share is divided equally among them."""

    name: str
    importance: float
    cost_importance: float
    sensitivity: float | None  #: the sum over its choices of quantizers, per bit


@dataclass(frozen=True, slots=True)
class Analysis:
    """The analysis of a job so far. `explained`: the share of the merit's variance that effects account for."""

    trials: int
    box: Box
    steps: tuple[HypervolumeStep, ...]
    front: tuple[int, ...]
    knee: int | None
    explained: float | None
    cost_explained: float | None
    choices: tuple[ChoiceEffect, ...]
    layers: tuple[LayerEffect, ...]


def box_of(trials: AnalysedTrials, reference: float, bounds: tuple[float, float] | None) -> Box:
    """The `bounds` of the merit if the metric has any (0 and 1 for a share), else the range that was measured."""
    merits = trials.merit.tolist()
    floor, top = bounds or (min(merits, default=0.0), max(merits, default=0.0))
    return Box(floor, top, reference)


def analyse(space: Choices, trials: AnalysedTrials, box: Box) -> Analysis:
    """The analysis of a job's measured trials. With fewer than two trials, or none that differ, effects are zero."""
    best = front(_points(trials, np.flatnonzero(on_front(trials.merit, trials.cost))))
    corner = knee(best)
    logarithm = np.log2(np.maximum(trials.cost, 1e-300))
    merit, cost = _fitted(space.dimensions(), trials.values, (trials.merit, logarithm))
    effects = tuple(_choice(space, name, merit, cost) for name in space.dimensions())
    return Analysis(
        trials=len(trials.number),
        box=box,
        steps=hypervolume_steps(trials, box),
        front=tuple(point.number for point in best),
        knee=None if corner is None else corner.number,
        explained=merit.explained,
        cost_explained=cost.explained,
        choices=effects,
        layers=_layers(effects),
    )


def _points(trials: AnalysedTrials, rows: Sequence[int] | Integers) -> Iterator[Point]:
    for row in rows:
        yield Point(int(trials.number[row]), float(trials.merit[row]), float(trials.cost[row]))


def hypervolume_steps(trials: AnalysedTrials, box: Box) -> tuple[HypervolumeStep, ...]:
    """The hypervolume after each trial that made it grow, and after the last; in the order in which trials ended."""
    ends = np.full(len(trials.number), np.nan) if trials.at_s is None else trials.at_s
    order = np.lexsort((trials.number, ends))  # NaN comes last
    area = (box.top - box.floor) * box.ceiling
    members: list[Point] = []
    growth: list[HypervolumeStep] = []
    reached = 0.0
    places = list(_entering(trials.merit[order].tolist(), trials.cost[order].tolist()))
    if len(order) and places[-1] != len(order) - 1:
        places.append(len(order) - 1)
    for place in places:
        row = order[place]
        members = front([*members, *_points(trials, [row])])
        covered = hypervolume(members, metric_floor=box.floor, cost_ceiling=box.ceiling)
        share = covered / area if area > 0 else 0.0
        if share > reached or place == places[-1]:
            reached = max(share, reached)
            at_s = None if math.isnan(ends[row]) else float(ends[row])
            growth.append(HypervolumeStep(int(trials.number[row]), at_s, reached))
    return tuple(growth)


def _entering(merits: Sequence[float], costs: Sequence[float]) -> Iterator[int]:
    """The places of the trials that no earlier one equals or beats in both merit and cost."""
    front_costs: list[float] = []  # rising, as the merits do
    front_merits: list[float] = []
    for place, (merit, cost) in enumerate(zip(merits, costs, strict=True)):
        end = bisect_right(front_costs, cost)
        if end and front_merits[end - 1] >= merit:
            continue
        start = end - 1 if end and front_costs[end - 1] == cost else end
        while end < len(front_costs) and front_merits[end] <= merit:
            end += 1
        front_costs[start:end] = [cost]
        front_merits[start:end] = [merit]
        yield place


# --- effects -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fit:
    """Effects of every label of every choice on one figure, and the share of its variance they account for."""

    effects: Mapping[str, Mapping[Label, float]]
    counts: Mapping[str, Mapping[Label, int]]
    importance: Mapping[str, float]
    explained: float | None


def _fitted(
    dimensions: Mapping[str, Sequence[Label]],
    values: Sequence[Mapping[str, Label]],
    targets: Sequence[Floats],
) -> list[_Fit]:
    """The fit of each target, shape (trials,)."""
    columns = [(name, label) for name, labels in dimensions.items() for label in labels]
    codes = _codes(dimensions, values)
    centred = np.stack([target - target.mean() if len(target) else target for target in targets], axis=1)
    gram, moment = np.zeros((len(columns), len(columns))), np.zeros((len(columns), len(targets)))
    for start in range(0, len(codes), _ROWS):
        table = _table(codes[start : start + _ROWS], len(columns))
        gram += table.T @ table
        moment += table.T.astype(np.float64) @ centred[start : start + _ROWS]
    ridge = _RIDGE * np.eye(len(columns))
    solved = np.asarray(np.linalg.solve(gram + ridge, moment) if columns else moment, dtype=np.float64)
    counts = _by_choice(columns, np.diag(gram).astype(int).tolist())
    return [
        _fit(columns, counts, solved[:, place], moment[:, place], centred[:, place])
        for place in range(len(targets))
    ]


def _fit(
    columns: Sequence[tuple[str, Label]],
    counts: Mapping[str, Mapping[Label, int]],
    solved: Floats,
    moment: Floats,
    centred: Floats,
) -> _Fit:
    """The fit of one target: its effects, and what they explain of its variance."""
    variance = float(np.mean(centred**2)) if len(centred) else 0.0
    shares = solved * moment / (len(centred) * variance) if variance > 0 else np.zeros(len(columns))
    return _Fit(
        effects=_by_choice(columns, solved.tolist()),
        counts=counts,
        importance={
            name: sum(values.values()) for name, values in _by_choice(columns, shares.tolist()).items()
        },
        explained=float(shares.sum()) if variance > 0 else None,
    )


def _codes(dimensions: Mapping[str, Sequence[Label]], values: Sequence[Mapping[str, Label]]) -> Integers:
    """The column of each choice's label in the table of all labels, -1 without one; shape (trials, choices)."""
    codes = np.full((len(values), len(dimensions)), -1, dtype=np.int64)
    first = 0
    for place, (name, labels) in enumerate(dimensions.items()):
        numbers = {label: first + index for index, label in enumerate(labels)}
        codes[:, place] = [numbers.get(chosen.get(name), -1) for chosen in values]  # type: ignore[arg-type]
        first += len(labels)
    return codes


def _table(codes: Integers, width: int) -> NDArray[np.float32]:
    """1 where a trial has a label, else 0; shape (trials, labels). Their products count exactly in 24 bits."""
    table = np.zeros((len(codes), width + 1), dtype=np.float32)
    np.put_along_axis(table, codes, 1.0, axis=1)  # -1 is the column that is dropped
    return table[:, :width]


def _by_choice(columns: Sequence[tuple[str, Label]], values: Sequence[Any]) -> dict[str, dict[Label, Any]]:
    by_choice: dict[str, dict[Label, Any]] = {}
    for (name, label), value in zip(columns, values, strict=True):
        by_choice.setdefault(name, {})[label] = value
    return by_choice


def _choice(space: Choices, name: str, merit: _Fit, cost: _Fit) -> ChoiceEffect:
    layers, slot = _layers_and_slot(space, name)
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


#: Takes the place of a slot's name for choices of a width.
WIDTH: Final = "width"


def _layers_and_slot(space: Choices, name: str) -> tuple[tuple[str, ...], str]:
    for slot in space.slots:
        if slot.name == name:
            return slot.layers, slot.slot
    for width in space.widths:
        if width.name == name:
            return width.layers, WIDTH
    return (), ""


def _scale(label: Label, slot: str) -> float | None:
    """The abscissa of a slope: bits, or log2 of a width's multiple; None for labels without an order."""
    if slot == WIDTH:
        return math.log2(float(label))
    return None if (bits := _bits(label)) is None else float(bits)


def _bits(label: Label) -> int | None:
    """Bits of a quantizer; a label that is a whole number counts as its bits."""
    if isinstance(label, str):
        try:
            return parse_quantizer(label).bits
        except ValueError:
            return None
    return label if isinstance(label, int) and not isinstance(label, bool) else None


def _slope(
    effects: Mapping[Label, float], scale: Mapping[Label, float | None], counts: Mapping[Label, int]
) -> float | None:
    """Weighted least squares of the effects over the scale; None if the trials have fewer than two values on it."""
    points = [
        (x, effects[label], counts[label]) for label, x in scale.items() if x is not None and counts[label]
    ]
    if len({x for x, _, _ in points}) < 2:
        return None
    abscissas, values, weights = (np.array(column, float) for column in zip(*points, strict=True))
    offset = abscissas - np.average(abscissas, weights=weights)
    return float((weights * offset * values).sum() / (weights * offset**2).sum())


def _layers(effects: Sequence[ChoiceEffect]) -> tuple[LayerEffect, ...]:
    names = dict.fromkeys(layer for effect in effects for layer in effect.layers)
    return tuple(_layer(name, [effect for effect in effects if name in effect.layers]) for name in names)


def _layer(name: str, effects: Sequence[ChoiceEffect]) -> LayerEffect:
    """The sum of the effects of a layer's choices."""
    slopes = [
        effect.sensitivity / len(effect.layers)
        for effect in effects
        if effect.slot != WIDTH and effect.sensitivity is not None
    ]
    return LayerEffect(
        name,
        importance=sum(effect.importance / len(effect.layers) for effect in effects),
        cost_importance=sum(effect.cost_importance / len(effect.layers) for effect in effects),
        sensitivity=sum(slopes) if slopes else None,
    )
