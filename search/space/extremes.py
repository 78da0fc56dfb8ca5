"""The cheapest and the most expensive network of a search, before any training. Plain.

A small space is priced completely. In a large one each choice is varied on its own, from one assignment, and the best
labels are combined; this is repeated from there. Costs are nearly sums over layers, so the result is nearly always the
extreme; in any case it is a network of the space. In a network of very many layers, alike choices are varied together:
the time is linear in the layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from search.errors import Infeasible
from search.history import Assignment, Cost
from search.space.choices import Choices

#: Spaces up to this size are priced completely.
_EXACT: Final = 512

#: Networks priced at most for one extreme of a large space, not counting the first round.
_MOST: Final = 2000

#: Layers priced at most in one round, of all its networks together.
_LAYERS: Final = 30_000

Values = dict[str, Any]


class AssignmentPricer(Protocol):
    """Prices assignments."""

    def price(self, assignment: Assignment) -> Cost:
        """The cost of an assignment."""

    def price_many(self, assignments: Sequence[Assignment]) -> Sequence[float | None]:
        """The costs of many; None where no network can be built."""


@dataclass(frozen=True, slots=True)
class Extreme:
    """An assignment with the lowest or highest cost. `exact`: all assignments were priced."""

    assignment: Assignment
    cost: Cost
    exact: bool


@dataclass(frozen=True, slots=True)
class Extremes:
    """The lowest and the highest cost of a space."""

    cheapest: Extreme
    most_expensive: Extreme


def extremes(choices: Choices, pricer: AssignmentPricer) -> Extremes | None:
    """The cheapest and the most expensive assignment; None if the first network to be priced cannot be built."""
    dimensions = choices.dimensions()
    if choices.size() <= _EXACT:
        space = [
            dict(zip(dimensions, labels, strict=True)) for labels in itertools.product(*dimensions.values())
        ]
        ends = [_best(choices, pricer, space, sign) for sign in (min, max)]
        return _extremes(choices, pricer, ends, exact=True)
    most = max(_LAYERS // max(len(choices.quantized), 1), 1)
    parts = _Space(choices, dimensions, groups(dimensions, most))
    first = _varied(parts, pricer, {name: labels[0] for name, labels in dimensions.items()})
    ends = [_climbed(parts, pricer, first, sign, min(most, _MOST)) for sign in (min, max)]
    return _extremes(choices, pricer, ends, exact=False)


def _extremes(
    choices: Choices, pricer: AssignmentPricer, ends: Sequence[tuple[Values, float] | None], *, exact: bool
) -> Extremes | None:
    priced = []
    for end in ends:
        if end is None:
            return None
        assignment = choices.assignment(end[0])
        try:
            priced.append(Extreme(assignment, pricer.price(assignment), exact))
        except Infeasible:
            return None
    return Extremes(*priced)


def groups(dimensions: Mapping[str, Sequence[Any]], most: int) -> list[tuple[str, ...]]:
    """The choices, those varied together as one; with all labels of all groups there are about `most` networks.

    Each choice on its own where that is few enough; else choices with the same labels together; else neighbours.
    """
    total = sum(map(len, dimensions.values()))
    if total <= most:
        return [(name,) for name in dimensions]
    size = -(-total // most)
    alike: dict[tuple[Any, ...], list[str]] = {}
    for name, labels in dimensions.items():
        alike.setdefault(tuple(labels), []).append(name)
    parts = [part for names in alike.values() for part in _parts(names, size)]
    if sum(len(dimensions[part[0]]) for part in parts) <= 2 * most:
        return parts
    return list(_parts([name for names in alike.values() for name in names], size))


def _parts(names: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(names[start : start + size]) for start in range(0, len(names), size))


@dataclass(frozen=True, slots=True)
class _Space:
    """The choices, and which of them are varied together."""

    choices: Choices
    dimensions: Mapping[str, Sequence[Any]]
    groups: Sequence[tuple[str, ...]]

    def changes(self) -> Iterator[tuple[int, Values]]:
        """Each change: the number of its group, and the labels that it sets."""
        for index, names in enumerate(self.groups):
            for position in range(max(len(self.dimensions[name]) for name in names)):
                labels = {name: self.dimensions[name] for name in names}
                yield index, {name: part[min(position, len(part) - 1)] for name, part in labels.items()}


Sign = Callable[..., Any]  #: min or max


def _best(
    choices: Choices, pricer: AssignmentPricer, candidates: Sequence[Values], sign: Sign
) -> tuple[Values, float] | None:
    costs = pricer.price_many([choices.assignment(values) for values in candidates])
    priced = [(values, cost) for values, cost in zip(candidates, costs, strict=True) if cost is not None]
    return sign(priced, key=lambda candidate: candidate[1]) if priced else None


@dataclass(frozen=True, slots=True)
class _Variations:
    """An assignment, and its cost with each group of choices changed on its own."""

    values: Values
    changes: tuple[tuple[int, Values, float], ...]  #: group, labels, cost

    def joined(self, sign: Sign) -> Values:
        """The best labels of every group, put together."""
        best = dict(self.values)
        for _, group in itertools.groupby(self.changes, key=lambda change: change[0]):
            best |= sign(group, key=lambda change: change[2])[1]
        return best

    def single(self, sign: Sign) -> Values:
        """The best single change."""
        return {**self.values, **sign(self.changes, key=lambda change: change[2])[1]}


def _varied(space: _Space, pricer: AssignmentPricer, values: Values) -> _Variations:
    changes = list(space.changes())
    costs = pricer.price_many([space.choices.assignment({**values, **labels}) for _, labels in changes])
    priced = zip(changes, costs, strict=True)
    return _Variations(values, tuple((*change, cost) for change, cost in priced if cost is not None))


def _climbed(
    space: _Space, pricer: AssignmentPricer, current: _Variations, sign: Sign, most: int
) -> tuple[Values, float] | None:
    if not current.changes:
        return None
    best: tuple[Values, float] | None = None
    for _ in range(max(1, most // len(current.changes))):
        end = _best(space.choices, pricer, [current.joined(sign), current.single(sign)], sign)
        if end is None or (best is not None and sign(end[1], best[1]) == best[1]):
            return best
        best = end
        current = _varied(space, pricer, end[0])
        if not current.changes:
            return best
    return best
