"""The cheapest and the dearest network of a search, before anything is trained. Plain.

A small space is priced whole. In a large one each choice is varied on its own, from one assignment, and the best labels
are put together; this is repeated from there. Costs are nearly sums over layers, so that is nearly always the
extreme; it is a network that exists in any case.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from search.history import Assignment, Cost

#: Spaces up to this size are priced whole.
_EXACT: Final = 512

#: Networks priced at most for one extreme of a large space, but for the first round.
_MOST: Final = 2000

Values = dict[str, Any]


class Space(Protocol):
    """What may be chosen."""

    def dimensions(self) -> Mapping[str, Sequence[Any]]:
        """Name of each choice -> its labels."""

    def assignment(self, values: Mapping[str, Any]) -> Assignment:
        """What the labels mean."""

    def size(self) -> int:
        """How many assignments there are."""


class Prices(Protocol):
    """What a network costs."""

    def price(self, assignment: Assignment) -> Cost:
        """The cost of one."""

    def price_many(self, assignments: Sequence[Assignment]) -> Sequence[float | None]:
        """The costs of many; None where no network can be built."""


@dataclass(frozen=True, slots=True)
class Extreme:
    """An assignment at one end of the costs. `exact`: no other one is beyond it."""

    assignment: Assignment
    cost: Cost
    exact: bool


@dataclass(frozen=True, slots=True)
class Extremes:
    """Both ends of the costs of a space."""

    cheapest: Extreme
    dearest: Extreme


def extremes(space: Space, prices: Prices) -> Extremes | None:
    """The cheapest and the dearest assignment; None if the first network that is looked at cannot be built."""
    dimensions = space.dimensions()
    if space.size() <= _EXACT:
        every = [
            dict(zip(dimensions, labels, strict=True)) for labels in itertools.product(*dimensions.values())
        ]
        return _ends(space, prices, [_best(space, prices, every, sign) for sign in (min, max)], exact=True)
    start: Values = {name: labels[0] for name, labels in dimensions.items()}
    first = _Round.of(space, prices, start)
    return _ends(space, prices, [_climbed(space, prices, first, sign) for sign in (min, max)], exact=False)


def _ends(
    space: Space, prices: Prices, found: Sequence[tuple[Values, float] | None], *, exact: bool
) -> Extremes | None:
    ends = []
    for each in found:
        if each is None:
            return None
        assignment = space.assignment(each[0])
        ends.append(Extreme(assignment, prices.price(assignment), exact))
    return Extremes(*ends)


Sign = Callable[..., Any]  #: min or max


def _best(
    space: Space, prices: Prices, candidates: Sequence[Values], sign: Sign
) -> tuple[Values, float] | None:
    costs = prices.price_many([space.assignment(values) for values in candidates])
    known = [(values, cost) for values, cost in zip(candidates, costs, strict=True) if cost is not None]
    return sign(known, key=lambda each: each[1]) if known else None


@dataclass(frozen=True, slots=True)
class _Round:
    """An assignment, and what it costs with each choice changed on its own."""

    values: Values
    changes: tuple[tuple[str, Any, float], ...]  #: choice, label, cost

    @classmethod
    def of(cls, space: Space, prices: Prices, values: Values) -> _Round:
        changed = [(name, label) for name, labels in space.dimensions().items() for label in labels]
        costs = prices.price_many([space.assignment({**values, name: label}) for name, label in changed])
        return cls(
            values,
            tuple((*each, cost) for each, cost in zip(changed, costs, strict=True) if cost is not None),
        )

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


def _climbed(space: Space, prices: Prices, current: _Round, sign: Sign) -> tuple[Values, float] | None:
    if not current.changes:
        return None
    best: tuple[Values, float] | None = None
    for _ in range(max(1, _MOST // len(current.changes))):
        found = _best(space, prices, [current.joined(sign), current.single(sign)], sign)
        if found is None or (best is not None and sign(found[1], best[1]) == best[1]):
            return best
        best = found
        current = _Round.of(space, prices, found[0])
        if not current.changes:
            return best
    return best
