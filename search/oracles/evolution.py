"""Evolution: NSGA-II over metric and cost, steady-state (Deb et al., IEEE Trans. Evol. Comput. 6(2), 2002)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from search.oracles.affordable import affordable
from search.oracles.base import DatabaseOracle, OracleContext, State, Values, proposal
from search.oracles.candidates import Candidates, Floats, Rows
from search.scoring.pareto import Point, hypervolume, on_front
from search.spec.oracle import EvolutionOracleSpec

#: Attempts at a child before the space around the parents counts as exhausted.
_CHILDREN: Final = 200

#: Children from which one is selected: their costs are known before any is trained.
_SELECTED_FROM: Final = 8


class EvolutionOracle(DatabaseOracle):
    """Proposes children of the best trials by non-domination rank and crowding; any trial that ended may be a parent.

    So it never waits for a generation, and any number of trials may run at once. The first trials are random. A child
    that breaks a constraint or repeats a trial is discarded.
    """

    def __init__(self, spec: EvolutionOracleSpec, context: OracleContext) -> None:
        super().__init__(context, max_trials=None)
        self._spec = spec
        self._candidates = Candidates(context.choices)

    def populate_space(self, trial_id: str) -> State:
        """Random values for the first population, then a child."""
        rng = self.generator(trial_id)
        measured = [
            (key, (-observation.merit, observation.cost))
            for key, observation in self.by_number()
            if observation.merit is not None and observation.cost is not None
        ]
        if len(self.trials) < self._spec.population or len(measured) < 2 or not len(self._candidates.sizes):
            return proposal(self._random(rng))
        points = np.array([point for _, point in measured])
        rows = np.array(
            [self._candidates.row(self.trials[key].hyperparameters.values) for key, _ in measured]
        )
        best = ranked(points, self._spec.population)
        return proposal(self._child(rows[best], points[best], rng) or self._random(rng))

    def _random(self, rng: np.random.Generator) -> Values | None:
        """Random values that meet the constraints; if none are drawn, random ones made cheaper until they do."""
        drawn = self._candidates.random(_CHILDREN, rng)
        for row in drawn:
            values = self._candidates.values(row)
            if self._is_viable(values):
                return values
        for row in affordable(self.context, self._candidates, drawn, rng):
            values = self._candidates.values(row)
            if not self._duplicate(values):
                return values
        return self.next_untried()

    def _child(self, parents: Rows, points: Floats, rng: np.random.Generator) -> Values | None:
        """Of several children the one that adds most area to the front if it inherits the mean merit of its parents."""
        children: list[tuple[Values, float]] = []
        for _ in range(_CHILDREN):
            row, merit = self._offspring(parents, points, rng)
            values = self._candidates.values(row)
            if self._is_viable(values):
                children.append((values, merit))
            if len(children) == _SELECTED_FROM:
                break
        if not children:
            return None
        gains = self._gains(children, points)
        return children[int(np.argmax(gains))][0]

    def _gains(self, children: Sequence[tuple[Values, float]], points: Floats) -> list[float]:
        """The area of merit and log cost under the front with each child.

        Costs count up to that of the reference or of the most expensive parent, merits from 0, or from the least merit
        of a parent if that is negative, as it is for errors.
        """
        context = self.context
        costs = context.pricer.price_many([context.choices.assignment(values) for values, _ in children])
        ceiling = math.log(max(context.reference, float(points[:, 1].max())))
        parents = [Point(i, -loss, math.log(cost)) for i, (loss, cost) in enumerate(points.tolist())]
        floor = min(0.0, -float(points[:, 0].max()))
        return [
            0.0
            if cost is None
            else hypervolume(
                [*parents, Point(-1, merit, math.log(cost))], metric_floor=floor, cost_ceiling=ceiling
            )
            for (_, merit), cost in zip(children, costs, strict=True)
        ]

    def _is_viable(self, values: Values) -> bool:
        if self._duplicate(values):
            return False
        assignment = self.context.choices.assignment(values)
        return self.context.pricer.keeps(assignment, self.context.constraints)

    def _offspring(self, parents: Rows, points: Floats, rng: np.random.Generator) -> tuple[Rows, float]:
        """A child by binary tournaments (parents are sorted, best first), uniform crossover and mutation.

        And the mean merit of its parents.
        """
        one, other = rng.integers(0, len(parents), size=(2, 2)).min(axis=1)
        if rng.random() >= self._spec.crossover:
            other = one
        child: Rows = parents[one].copy()
        mask = rng.random(len(child)) < 0.5
        child[mask] = parents[other][mask]
        mutated = rng.random(len(child)) < (self._spec.mutation or 1 / len(child))
        drawn = self._candidates.random(1, rng)[0]
        child[mutated] = drawn[mutated]
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
