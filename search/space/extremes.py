"""The cheapest and the most expensive network of a search, before any training. Plain.

A small space is priced completely. In a large one each choice is varied on its own, from one assignment, and the best
labels are combined; this is repeated from there. Costs are nearly sums over layers, so the result is nearly always the
extreme; in any case it is a network of the space.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from search.history import Assignment, Cost
from search.space.choices import Choices

#: Spaces up to this size are priced completely.
_EXACT: Final = 512

#: Networks priced at most for one extreme of a large space, not counting the first round.
_MOST: Final = 2000

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
    first = _varied(choices, pricer, {name: labels[0] for name, labels in dimensions.items()})
    ends = [_climbed(choices, pricer, first, sign) for sign in (min, max)]
    return _extremes(choices, pricer, ends, exact=False)


def _extremes(
    choices: Choices, pricer: AssignmentPricer, ends: Sequence[tuple[Values, float] | None], *, exact: bool
) -> Extremes | None:
    priced = []
    for end in ends:
        if end is None:
            return None
        assignment = choices.assignment(end[0])
        priced.append(Extreme(assignment, pricer.price(assignment), exact))
    return Extremes(*priced)


Sign = Callable[..., Any]  #: min or max


def _best(
    choices: Choices, pricer: AssignmentPricer, candidates: Sequence[Values], sign: Sign
) -> tuple[Values, float] | None:
    costs = pricer.price_many([choices.assignment(values) for values in candidates])
    priced = [(values, cost) for values, cost in zip(candidates, costs, strict=True) if cost is not None]
    return sign(priced, key=lambda candidate: candidate[1]) if priced else None


@dataclass(frozen=True, slots=True)
class _Variations:
    """An assignment, and its cost with each choice changed on its own."""

    values: Values
    changes: tuple[tuple[str, Any, float], ...]  #: choice, label, cost

    def joined(self, sign: Sign) -> Values:
        """The best label of every choice, put together."""
        best = dict(self.values)
        for name, group in itertools.groupby(self.changes, key=lambda change: change[0]):
            best[name] = sign(group, key=lambda change: change[2])[1]
        return best

    def single(self, sign: Sign) -> Values:
        """The best single change."""
        name, label, _ = sign(self.changes, key=lambda change: change[2])
        return {**self.values, name: label}


def _varied(choices: Choices, pricer: AssignmentPricer, values: Values) -> _Variations:
    changes = [(name, label) for name, labels in choices.dimensions().items() for label in labels]
    costs = pricer.price_many([choices.assignment({**values, name: label}) for name, label in changes])
    priced = zip(changes, costs, strict=True)
    return _Variations(values, tuple((*change, cost) for change, cost in priced if cost is not None))


def _climbed(
    choices: Choices, pricer: AssignmentPricer, current: _Variations, sign: Sign
) -> tuple[Values, float] | None:
    if not current.changes:
        return None
    best: tuple[Values, float] | None = None
    for _ in range(max(1, _MOST // len(current.changes))):
        end = _best(choices, pricer, [current.joined(sign), current.single(sign)], sign)
        if end is None or (best is not None and sign(end[1], best[1]) == best[1]):
            return best
        best = end
        current = _varied(choices, pricer, end[0])
        if not current.changes:
            return best
    return best
