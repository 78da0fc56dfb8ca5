"""Evolution: NSGA-II over metric and cost, steady-state (Deb et al., IEEE Trans. Evol. Comput. 6(2), 2002)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from search.oracles.affordable import affordable
from search.oracles.base import DatabaseOracle, Setting, State, Values, proposal
from search.oracles.candidates import Candidates, Floats, Rows
from search.scoring.pareto import Point, hypervolume, on_front
from search.spec.oracle import EvolutionOracleSpec

#: Children made before the space around the parents counts as used up.
_CHILDREN: Final = 200

#: Children among which one is chosen: their costs are known before any is trained.
_LITTER: Final = 8


class EvolutionOracle(DatabaseOracle):
    """Children of the best trials by non-domination rank and crowding; every trial that ends may become a parent.

    So it never waits for a generation, and any number of trials may be under way. The first trials are random. A child
    that would break a constraint, or that was tried, is not born.
    """

    def __init__(self, spec: EvolutionOracleSpec, setting: Setting) -> None:
        super().__init__(setting, max_trials=None)
        self._spec = spec
        self._candidates = Candidates(setting.choices)

    def populate_space(self, trial_id: str) -> State:
        """Random values for the first population, then a child."""
        chance = self.random_of(trial_id)
        measured = [
            (number, (-told.merit, told.cost))
            for number, told in sorted(self.known.items(), key=lambda each: int(each[0]))
            if told.merit is not None and told.cost is not None
        ]
        if len(self.trials) < self._spec.population or len(measured) < 2 or not len(self._candidates.sizes):
            return proposal(self._random(chance))
        points = np.array([point for _, point in measured])
        rows = np.array(
            [self._candidates.row(self.trials[number].hyperparameters.values) for number, _ in measured]
        )
        best = ranked(points, self._spec.population)
        return proposal(self._child(rows[best], points[best], chance) or self._random(chance))

    def _random(self, chance: np.random.Generator) -> Values | None:
        """Random values that keep the constraints; where chance finds none, random ones made cheaper until they do."""
        drawn = self._candidates.random(_CHILDREN, chance)
        for row in drawn:
            values = self._candidates.values(row)
            if self._is_viable(values):
                return values
        for row in affordable(self.setting, self._candidates, drawn, chance):
            values = self._candidates.values(row)
            if not self._duplicate(values):
                return values
        return self.untried()

    def _child(self, parents: Rows, points: Floats, chance: np.random.Generator) -> Values | None:
        """Of a litter the child that adds most area to the front if it inherits the mean merit of its parents."""
        litter: list[tuple[Values, float]] = []
        for _ in range(_CHILDREN):
            row, merit = self._born(parents, points, chance)
            values = self._candidates.values(row)
            if self._is_viable(values):
                litter.append((values, merit))
            if len(litter) == _LITTER:
                break
        if not litter:
            return None
        gains = self._gains(litter, points)
        return litter[int(np.argmax(gains))][0]

    def _gains(self, litter: Sequence[tuple[Values, float]], points: Floats) -> list[float]:
        """The area of merit and log cost under the front with each child, up to the dearer of reference and parents.

        From 0 on, or from the least merit of a parent if that is negative, as it is for errors.
        """
        setting = self.setting
        costs = setting.prices.price_many([setting.choices.assignment(values) for values, _ in litter])
        ceiling = math.log(max(setting.reference, float(points[:, 1].max())))
        known = [Point(i, -worth, math.log(cost)) for i, (worth, cost) in enumerate(points.tolist())]
        floor = min(0.0, -float(points[:, 0].max()))
        return [
            0.0
            if cost is None
            else hypervolume(
                [*known, Point(-1, merit, math.log(cost))], metric_floor=floor, cost_ceiling=ceiling
            )
            for (_, merit), cost in zip(litter, costs, strict=True)
        ]

    def _is_viable(self, values: Values) -> bool:
        if self._duplicate(values):
            return False
        assignment = self.setting.choices.assignment(values)
        return self.setting.prices.keeps(assignment, self.setting.constraints)

    def _born(self, parents: Rows, points: Floats, chance: np.random.Generator) -> tuple[Rows, float]:
        """Two parents, each the better of two (the first ones are); their choices mixed, some of them changed.

        With the child comes the mean merit of its parents.
        """
        one, other = chance.integers(0, len(parents), size=(2, 2)).min(axis=1)
        if chance.random() >= self._spec.crossover:
            other = one
        child: Rows = parents[one].copy()
        mask = chance.random(len(child)) < 0.5
        child[mask] = parents[other][mask]
        changes = chance.random(len(child)) < (self._spec.mutation or 1 / len(child))
        drawn = self._candidates.random(1, chance)[0]
        child[changes] = drawn[changes]
        return child, -float(points[[one, other], 0].mean())


def ranked(points: Floats, count: int) -> Rows:
    """Indexes of the `count` best points: by front, within a front by crowding distance. Both columns are minimized."""
    best: list[int] = []
    for front in fronts(points):
        crowding = crowding_distance(points[front])
        best.extend(front[np.argsort(-crowding, kind="stable")].tolist())
        if len(best) >= count:
            break
    return np.array(best[:count], dtype=np.intp)


def fronts(points: Floats) -> Iterator[Rows]:
    """Indexes of the points no other dominates, then of those only the former dominate, and so on.

    Within a front by rising first column. Both columns are minimized.
    """
    rest = np.lexsort((points[:, 1], points[:, 0]))
    while len(rest):
        mask = on_front(-points[rest, 0], points[rest, 1])
        if not mask.any():  # NaN is on no front
            return
        yield rest[mask]
        rest = rest[~mask]


def crowding_distance(points: Floats) -> Floats:
    """Half the perimeter of the box between a point's neighbours, columns scaled to 1; infinite at the ends."""
    distance = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance
