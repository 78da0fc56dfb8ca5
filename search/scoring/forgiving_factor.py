"""The forgiving factor: how much worse a metric may be for a cheaper network.

Pure numbers; the same formula for every cost (energy, bits, MACs, ...).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from search.spec.goals import EnergyGoal, Goal
from search.spec.job import SearchSpec
from search.spec.objective import MAXIMIZE, MINIMIZE, Direction

__all__ = ["MAXIMIZE", "MINIMIZE", "SMALLEST_FACTOR", "ForgivingFactor", "factor_of", "forgiving_factor"]

#: The least factor by which a merit below 0 is divided. With 8 percent for each doubling, a network with a smaller one
#: costs 5,700 times as much as the reference.
SMALLEST_FACTOR = 1e-3

#: The profile that repeats what QKeras computes.
QKERAS_PROFILE = "horowitz-qkeras"


@dataclass(frozen=True, slots=True)
class ForgivingFactor:
    """`factor = 1 + delta * log_rate(stress * reference / cost)`, after AutoQKeras (Coelho et al., 2021).

    `delta_p`, `delta_n`: percent by which the metric may fall for each `rate`-fold saving, or must rise for each
    `rate`-fold excess. `rate` > 1. `stress` > 0 scales the reference: below 1 it asks for more savings.
    `ignores_stress`: score as QKeras does for energy, which reads the stress and never applies it. `direction`: whether
    the metric is better when larger (`max`) or when smaller (`min`).

    Raises `ValueError` naming the field.
    """

    delta_p: float = 8.0
    delta_n: float = 8.0
    rate: float = 2.0
    stress: float = 1.0
    ignores_stress: bool = False
    direction: Direction = MAXIMIZE

    def __post_init__(self) -> None:
        for name in ("delta_p", "delta_n"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a percentage of at least 0")
        if not 1 < self.rate < math.inf:
            raise ValueError("rate must be a number above 1")
        if not 0 < self.stress < math.inf:
            raise ValueError("stress must be a number above 0")
        if self.direction not in (MAXIMIZE, MINIMIZE):
            raise ValueError(f"direction must be {MAXIMIZE} or {MINIMIZE}, is {self.direction!r}")

    def budget(self, reference: float) -> float:
        """The cost at which the factor is 1, and above which `delta_n` holds."""
        return _cost("reference", reference) * (1.0 if self.ignores_stress else self.stress)

    def delta(self, cost: float, reference: float) -> float:
        """What the factor adds to 1: positive for a cost below the budget. Raises `ValueError` unless both > 0."""
        budget = self.budget(reference)
        percent = self.delta_p if _cost("cost", cost) < budget else self.delta_n
        return percent / 100 * (math.log(budget) - math.log(cost)) / math.log(self.rate)

    def factor(self, cost: float, reference: float) -> float:
        """`1 + delta`; falls with the cost and is 1 at the budget."""
        return 1.0 + self.delta(cost, reference)

    def merit(self, metric: float) -> float:
        """The metric with the sign that makes larger better: itself, or its negative if it is minimised."""
        return metric if self.direction == MAXIMIZE else -metric

    def slope(self, cost: float, reference: float, *, below_zero: bool) -> float:
        """What a unit of merit adds to the score at this cost, for merits of 0 or more or for those `below_zero`.

        Always above 0, so that a score can be turned back into the merit that has it: the factor counts as at least
        `SMALLEST_FACTOR`, also for merits of 0 or more, where `score` takes it as it is.
        """
        factor = max(self.factor(cost, reference), SMALLEST_FACTOR)
        return 1 / factor if below_zero else factor

    def score(self, metric: float, cost: float, reference: float) -> float:
        """The merit made better by a low cost and worse by a high one. A larger score is better, in both directions.

        A merit of 0 or more is multiplied by the factor (AutoQKeras' formula), one below 0 divided by it, where
        multiplying would reward cost: an error of 0.54 at a factor of 1.08 scores -0.5. At any cost a better metric has
        a better score, except for merits above 0 where the factor is not, as in AutoQKeras. NaN stays NaN.
        """
        merit, factor = self.merit(metric), self.factor(cost, reference)
        return merit * factor if merit >= 0 else merit / max(factor, SMALLEST_FACTOR)


def _cost(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number above 0, is {value}")
    return value


def forgiving_factor(goal: Goal, direction: Direction = MAXIMIZE) -> ForgivingFactor:
    """The factor a goal describes. Under the profile that follows QKeras, energy goals ignore `stress` as there."""
    follows_qkeras = isinstance(goal, EnergyGoal) and goal.profile == QKERAS_PROFILE
    return ForgivingFactor(goal.delta_p, goal.delta_n, goal.rate, goal.stress, follows_qkeras, direction)


def factor_of(spec: SearchSpec) -> ForgivingFactor:
    """The factor a job is scored by: its goal's, in the direction of its objective."""
    return forgiving_factor(spec.goal, spec.objective.direction)
