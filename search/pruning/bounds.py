"""Judges trials before training: by constraints on their cost, and by an upper bound of their score. Plain.

The cost of a trial, and so the forgiving factor, is known before training. No accuracy is above 1, no error below 0:
with such a best metric the factor gives a score that no training exceeds. A trial whose bound is no better than the
best score so far cannot win; these numbers are its proof. The bound concerns the best score only: a search for the
whole front prunes nothing by it (`bound: off`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search.cost.pricing import Pricer
from search.history import Assignment, Cost, TrialRecord, TrialStatus, Verdict
from search.scoring.best import best_trial
from search.scoring.forgiving_factor import ForgivingFactor
from search.spec.objective import MAXIMIZE
from search.spec.oracle import BoundSpec, Constraints, FloatBound, NoBound


@dataclass(frozen=True)
class Judge:
    """Judges the trials of one job. `float_metric` is the float model's; None if it was not measured.

    `best_metric` is the best possible value of the metric; None if there is none. Margins and drops are in units of a
    maximised metric; of a minimised one, whose scale differs from task to task, they are shares of the float model's.
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
        return self._constraint_verdict(assignment, cost) or self._bound_verdict(cost, history)

    def after_training(self, metric: float, learned: Assignment | None = None) -> Verdict | None:
        """INFEASIBLE if the metric is too far below the float model's; None if not, or without a float model.

        `learned`: what trained bits became; its cost is judged now.
        """
        if learned is not None and self.constraints.limits_cost:
            verdict = self._constraint_verdict(learned, self.pricer.price(learned))
            if verdict is not None:
                return verdict
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
        """Upper bound of the score at this cost, if no metric exceeds `metric_limit`; infinite without a limit."""
        limit = self.metric_limit()
        if limit is None:
            return math.inf
        # A network far above the reference has a negative factor: there a metric of 0 scores best.
        limits = (limit, 0.0) if self.factor.direction == MAXIMIZE else (limit,)
        return max(self.factor.score(metric, cost, self.reference) for metric in limits)

    def metric_limit(self) -> float | None:
        """The best metric a trial is assumed to reach; None if there is no limit."""
        if not isinstance(self.bound, FloatBound) or self.float_metric is None:
            return self.best_metric
        margin = self.bound.margin
        if self.factor.direction == MAXIMIZE:
            limit = self.float_metric + margin
            return limit if self.best_metric is None else min(limit, self.best_metric)
        limit = self.float_metric - margin * abs(self.float_metric)
        return limit if self.best_metric is None else max(limit, self.best_metric)

    def _constraint_verdict(self, assignment: Assignment, cost: Cost) -> Verdict | None:
        proof = self.pricer.broken_constraint(assignment, cost, self.constraints)
        if proof is None:
            return None
        reason = f"{proof['constraint']} is {proof['limit']:g}, the trial has {proof['value']:g}"
        return Verdict(TrialStatus.INFEASIBLE, reason, {**proof, "cost": cost.value})

    def _bound_verdict(self, cost: Cost, history: Sequence[TrialRecord]) -> Verdict | None:
        """PRUNED if the bound does not exceed the best score so far: to equal it is not to beat it."""
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
