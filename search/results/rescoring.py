"""Ranks measured trials under another goal: prices and scores them again, trains nothing. Plain: no Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from costmodel.network import Network
from search.cost.pricing import Pricer
from search.history import Assignment
from search.scoring.best import best_first
from search.scoring.forgiving_factor import forgiving_factor
from search.spec.goals import Goal
from search.spec.objective import Direction


@dataclass(frozen=True, slots=True)
class UnscoredTrial:
    """A measured trial without what depends on the goal."""

    number: int
    assignment: Assignment
    metric: float


@dataclass(frozen=True, slots=True)
class Rescored:
    """A trial under the other goal; `cost` is what that goal counts."""

    number: int
    score: float
    metric: float
    cost: float
    energy_pj: float
    bits: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best trials under a goal, best first, of equal ones the first; and the cost of the reference."""

    reference: float
    trials: tuple[Rescored, ...]


def rescore(
    goal: Goal, network: Network, direction: Direction, trials: Sequence[UnscoredTrial], count: int
) -> Ranking:
    """The `count` best of these trials under a goal. Trials that cannot be priced under it are left out.

    Raises InvalidSpec for a goal that cannot be priced.
    """
    pricer, factor = Pricer(goal, network), forgiving_factor(goal, direction)
    reference = pricer.reference().value
    costs = pricer.price_many([trial.assignment for trial in trials])
    scored = [
        (trial, factor.score(trial.metric, cost, reference))
        for trial, cost in sorted(zip(trials, costs, strict=True), key=lambda pair: pair[0].number)
        if cost is not None
    ]
    ranking = []
    for index in best_first([score for _, score in scored], count):
        trial, score = scored[index]
        cost = pricer.price(trial.assignment)
        ranking.append(Rescored(trial.number, score, trial.metric, cost.value, cost.energy_pj, cost.bits))
    return Ranking(reference, tuple(ranking))
