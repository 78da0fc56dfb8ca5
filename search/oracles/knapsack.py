"""The multiple-choice knapsack of a space: for every cost the least sum of damages, one label per choice.

Damages add up; costs do not quite (a product is as wide as both of its factors). Small spaces are enumerated, so that
the front is exact. Of larger ones dynamic programming solves the knapsack with costs that are linear around a few
assignments (Sinha and Zoltners, 1979); what it finds is priced exactly and improved label by label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from search.oracles.candidates import Floats, Rows
from search.scoring.pareto import on_front

#: Largest space that is enumerated.
_ENUMERATED: Final = 4096

#: Points that a front keeps between two choices, and in the end.
_POINTS: Final = 192

#: Rounds in which the labels of a front's points are changed one by one, and rows priced in each.
_ROUNDS, _PRICED = 4, 3000

#: Exact cost of each row; infinite where none is allowed.
Price = Callable[[Rows], Floats]


@dataclass(frozen=True)
class Front:
    """Rows that no other row beats in damage and cost, by rising cost."""

    rows: Rows
    damages: Floats
    costs: Floats


def knapsack_front(damages: Sequence[Floats], price: Price) -> Front:
    """The front of damage and exact cost. `damages`: of the labels of each choice, at least 0.

    A choice that changes neither damage nor cost has its middle label in all rows.
    """
    problem = _Problem(damages, price)
    if np.prod([float(len(labels)) for labels in problem.labels]) <= _ENUMERATED:
        return problem.front(_every_row(problem.labels))
    best = problem.front(np.concatenate([problem.solved(base) for base in problem.ends()]))
    if len(best.rows):
        middle = best.rows[len(best.rows) // 2]
        best = problem.front(np.concatenate([best.rows, problem.solved(middle)]))
    for _ in range(_ROUNDS):
        changed = problem.changed(best)
        improved = problem.front(np.concatenate([best.rows, changed]))
        if np.array_equal(improved.rows, best.rows):
            break
        best = improved
    return best


class _Problem:
    """Damages and prices of a space, and the labels worth considering."""

    def __init__(self, damages: Sequence[Floats], price: Price) -> None:
        self._damages, self._price = damages, price
        self.labels = [np.arange(len(labels)) for labels in damages]
        self._least = np.array([int(np.argmin(labels)) for labels in damages], dtype=np.intp)
        marginal = self._marginal_costs(self._least)
        for column, costs in enumerate(marginal):
            if np.ptp(damages[column]) == 0 and (not np.isfinite(costs).all() or np.ptp(costs) == 0):
                self.labels[column] = self.labels[column][len(costs) // 2 :][:1]
                self._least[column] = self.labels[column][0]

    def damage(self, rows: Rows) -> Floats:
        """The sum of damages of each row."""
        columns = (labels[rows[:, i]] for i, labels in enumerate(self._damages))
        return np.asarray(sum(columns, start=np.zeros(len(rows))))

    def front(self, rows: Rows) -> Front:
        """The front among these rows, of those alike the first."""
        rows = np.unique(rows, axis=0)
        damages, costs = self.damage(rows), self._price(rows)
        allowed = np.flatnonzero(np.isfinite(costs))
        rows, damages, costs = rows[allowed], damages[allowed], costs[allowed]
        members = np.flatnonzero(on_front(-damages, costs))
        members = members[np.argsort(costs[members], kind="stable")]
        _, first = np.unique(costs[members], return_index=True)
        members = members[first]
        return Front(rows[members], damages[members], costs[members])

    def ends(self) -> list[Rows]:
        """The row with the least damage, and that with the labels that are cheapest one by one."""
        marginal = self._marginal_costs(self._least)
        cheapest = [
            labels[np.argmin(costs[labels])] for labels, costs in zip(self.labels, marginal, strict=True)
        ]
        return [self._least, np.array(cheapest, dtype=np.intp)]

    def solved(self, base: Rows) -> Rows:
        """The front's rows if costs were linear around `base`."""
        rows, damages, costs = base[None].copy(), np.zeros(1), np.zeros(1)
        for column, marginal in enumerate(self._marginal_costs(base)):
            labels = self.labels[column][np.isfinite(marginal[self.labels[column]])]
            if not len(labels):
                continue
            damages = np.add.outer(damages, self._damages[column][labels]).ravel()
            costs = np.add.outer(costs, marginal[labels]).ravel()
            rows = np.repeat(rows, len(labels), axis=0)
            rows[:, column] = np.tile(labels, len(rows) // len(labels))
            members = np.flatnonzero(on_front(-damages, costs))
            members = _thinned(members[np.argsort(costs[members], kind="stable")], costs)
            rows, damages, costs = rows[members], damages[members], costs[members]
        return rows

    def changed(self, front: Front) -> Rows:
        """Rows of the front with one label changed: of all its rows if they are few, else of some."""
        single = sum(len(labels) - 1 for labels in self.labels)
        rows = front.rows[
            _thinned(np.arange(len(front.rows)), front.costs, max(_PRICED // max(single, 1), 2))
        ]
        changed = [rows[:0]]
        for column, labels in enumerate(self.labels):
            for label in labels:
                other = rows.copy()
                other[:, column] = label
                changed.append(other)
        return np.concatenate(changed)

    def _marginal_costs(self, base: Rows) -> list[Floats]:
        """What each label of each choice adds to the cost of `base`."""
        rows = [np.tile(base, (len(labels), 1)) for labels in self._damages]
        for column, group in enumerate(rows):
            group[:, column] = np.arange(len(group))
        if not rows:
            return []
        costs = self._price(np.concatenate(rows))
        parts = np.split(costs, np.cumsum([len(group) for group in rows])[:-1])
        return [part - (part[base[i]] if np.isfinite(part[base[i]]) else 0.0) for i, part in enumerate(parts)]


def _every_row(labels: Sequence[Rows]) -> Rows:
    grids = np.meshgrid(*labels, indexing="ij")
    return np.stack([grid.ravel() for grid in grids], axis=1) if grids else np.zeros((1, 0), dtype=np.intp)


def _thinned(members: Rows, costs: Floats, most: int = _POINTS) -> Rows:
    """At most so many members, by rising cost, spread evenly over the costs; the ends are kept."""
    if len(members) <= most:
        return members
    values = costs[members]
    levels = np.linspace(values[0], values[-1], most // 2)
    spread = np.searchsorted(values, levels).clip(0, len(members) - 1)
    ranks = np.linspace(0, len(members) - 1, most - most // 2).round().astype(np.intp)
    places = np.unique(np.concatenate([spread, ranks]))
    return np.asarray(members[places], dtype=np.intp)
