"""Trials that need no training: their price breaks a constraint, or no metric could make them the best. Plain.

The cost of a trial, and so the forgiving factor, is known before training. No accuracy is above 1, no error below 0:
with such a best metric the factor gives a score that no training exceeds. A trial for which even this is no better than
the best score so far cannot win, and the numbers that say so are its proof. What a trial cannot win is the best score:
where the whole front is wanted, nothing is pruned by it (`bound: off`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search.cost.pricing import Pricer, broken_constraint
from search.history import Assignment, Cost, TrialRecord, TrialStatus, Verdict
from search.scoring.best import best_trial
from search.scoring.forgiving_factor import ForgivingFactor
from search.spec.objective import MAXIMIZE
from search.spec.oracle import BoundSpec, Constraints, FloatBound, NoBound


@dataclass(frozen=True)
class Judge:
    """Judges the trials of one job. `float_metric` is the float model's, None where it was not measured.

    `best_metric`: no value is better; None: the metric has no such bound. Margins and drops are in units of a maximised
    metric; of a minimised one, which has a scale of its own, they are shares of the float model's.
    """

    bound: BoundSpec
    constraints: Constraints
    pricer: Pricer
    factor: ForgivingFactor
    reference: float  #: cost of the float network
    float_metric: float | None = None
    best_metric: float | None = 1.0

    def before_training(self, assignment: Assignment, history: Sequence[TrialRecord]) -> Verdict | None:
        """INFEASIBLE or PRUNED with its proof; None if the trial is to be trained.

        Raises `Infeasible` if no network can be built.
        """
        if isinstance(self.bound, NoBound) and not self.constraints.limits_cost:
            return None
        cost = self.pricer.price(assignment)
        return self._too_dear(cost) or self._too_late(cost, history)

    def after_training(self, metric: float) -> Verdict | None:
        """INFEASIBLE if the metric fell too far below the float model's; None if not, or if that is not known."""
        limit = self.constraints.max_metric_drop
        if limit is None or self.float_metric is None:
            return None
        drop = self._drop(metric, self.float_metric)
        if drop <= limit:
            return None
        proof = {
            "constraint": "max_metric_drop",
            "limit": limit,
            "value": drop,
            "float_metric": self.float_metric,
        }
        moved = "fell by" if self.factor.direction == MAXIMIZE else "rose by a share of"
        return Verdict(
            TrialStatus.INFEASIBLE, f"max_metric_drop is {limit:g}, the metric {moved} {drop:g}", proof
        )

    def _drop(self, metric: float, float_metric: float) -> float:
        worse = self.factor.merit(float_metric) - self.factor.merit(metric)
        if self.factor.direction == MAXIMIZE or worse <= 0:
            return worse
        return worse / abs(float_metric) if float_metric else math.inf

    def best_possible_score(self, cost: float) -> float:
        """No training of a network of this cost has a better one, if no metric is better than `metric_limit`."""
        limit = self.metric_limit()
        if limit is None:
            return math.inf
        # A network far above the reference has a negative factor: there a metric of 0 scores best.
        limits = (limit, 0.0) if self.factor.direction == MAXIMIZE else (limit,)
        return max(self.factor.score(metric, cost, self.reference) for metric in limits)

    def metric_limit(self) -> float | None:
        """The best metric a trial is believed to reach; None if there is no limit."""
        if not isinstance(self.bound, FloatBound) or self.float_metric is None:
            return self.best_metric
        margin = self.bound.margin
        if self.factor.direction == MAXIMIZE:
            limit = self.float_metric + margin
            return limit if self.best_metric is None else min(limit, self.best_metric)
        limit = self.float_metric - margin * abs(self.float_metric)
        return limit if self.best_metric is None else max(limit, self.best_metric)

    def _too_dear(self, cost: Cost) -> Verdict | None:
        proof = broken_constraint(cost, self.constraints)
        if proof is None:
            return None
        reason = f"{proof['constraint']} is {proof['limit']:g}, the trial has {proof['value']:g}"
        return Verdict(TrialStatus.INFEASIBLE, reason, {**proof, "cost": cost.value})

    def _too_late(self, cost: Cost, history: Sequence[TrialRecord]) -> Verdict | None:
        """A score equal to the incumbent's does not beat it, so that is pruned, too."""
        if isinstance(self.bound, NoBound):
            return None
        incumbent = best_trial(history, self.factor, self.reference)
        if incumbent is None:
            return None
        number, score = incumbent.trial.number, incumbent.score
        best, limit = self.best_possible_score(cost.value), self.metric_limit()
        if best > score or limit is None:
            return None
        proof = {
            "bound": self.bound.kind,
            "metric_limit": limit,
            "cost": cost.value,
            "reference": self.reference,
            "best_possible_score": best,
            "incumbent": number,
            "incumbent_score": score,
        }
        reason = f"with a metric of {limit:g} it would score {best:.6g}, trial {number} has {score:.6g}"
        return Verdict(TrialStatus.PRUNED, reason, proof)
