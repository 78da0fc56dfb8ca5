"""The metric that the sensitivity of a job predicts for an assignment, corrected by every measured trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from search.oracles.affordable import meets_constraints
from search.oracles.base import OracleContext
from search.oracles.candidates import Candidates, Floats, Rows
from search.oracles.knapsack import Front, knapsack_front
from search.space.sensitivity import Sensitivity

#: Before trials are measured: standard deviations of the factor on all damages, of that on the damage of one choice,
#: and of the shift of all metrics and of a single training, in units of the float model's error.
_COMMON, _SINGLE, _SHIFT, _NOISE = 0.7, 0.5, 0.3, 0.1

#: Least error that damages are shares of, as a share of the metric: a float model without errors says nothing.
_LEAST_ERROR: Final = 0.01

#: Least factor on the damage of a choice: trials do not make a coarse quantizer harmless.
_LEAST_FACTOR: Final = 0.05

#: Factors on all damages for the first trials, while none is measured.
FIRST_FACTORS: Final = (1.0, 0.5, 2.0)


@dataclass(frozen=True)
class Belief:
    """Normal beliefs about the factors on the damage of each choice, and about a shift of all metrics (the last)."""

    mean: Floats
    covariance: Floats


class Guide:
    """Merits by sensitivity: `float merit - error * sum of damages`, the error being that of the float model.

    A trial's damage is the sum over its choices, times a factor for each choice. The factors are 1 until trials are
    measured, then what a linear regression with that prior says (Rasmussen and Williams, 2006, section 2.1).
    """

    def __init__(self, context: OracleContext, candidates: Candidates, sensitivity: Sensitivity) -> None:
        self._context, self._candidates = context, candidates
        self._merit = context.factor.merit(sensitivity.metric)
        best = context.best_merit
        gap = abs(self._merit) if best is None else best - self._merit
        self._error = max(gap, _LEAST_ERROR * max(abs(self._merit), abs(best or 0.0), 1e-9))
        self.damages: tuple[Floats, ...] = tuple(
            np.array([sensitivity.damage(name, label) for label in labels])
            for name, labels in candidates.labels.items()
        )
        self._prior = _prior(len(self.damages))

    def belief(self, rows: Rows, merits: Floats) -> Belief:
        """What trials of these rows, with these merits, tell about the factors."""
        if not len(rows):
            return self._prior
        design, prior = self._design(rows), self._prior
        drops = (self._merit - merits) / self._error
        cross = prior.covariance @ design.T
        gain = np.linalg.solve(design @ cross + _NOISE**2 * np.eye(len(rows)), cross.T).T
        mean = prior.mean + gain @ (drops - design @ prior.mean)
        return Belief(mean, prior.covariance - gain @ cross.T)

    def predict(self, rows: Rows, belief: Belief | None = None) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the merit of each row; without a belief, before any trial."""
        belief = self._prior if belief is None else belief
        design = self._design(rows)
        variance = np.einsum("ij,jk,ik->i", design, belief.covariance, design) + _NOISE**2
        mean = self._merit - self._error * (design @ belief.mean)
        return mean, self._error * np.sqrt(np.maximum(variance, 1e-12))

    def front(self, belief: Belief | None = None) -> Front:
        """The allowed assignments that are predicted to have the best metric at their cost."""
        factors = (self._prior if belief is None else belief).mean[:-1]
        return knapsack_front(
            [
                max(float(factor), _LEAST_FACTOR) * labels
                for factor, labels in zip(factors, self.damages, strict=True)
            ],
            self.price,
        )

    def first(self, number: int, front: Front, *, by_score: bool) -> Rows:
        """Order of the front's rows for the first trials, number by number, before any is measured.

        By score: the best one if damages count fully, half, or twice. Else they are spread over the front.
        """
        if not by_score:
            place = (number + 1) / (len(FIRST_FACTORS) + 1)
            ranks = np.arange(len(front.rows)) / max(len(front.rows) - 1, 1)
            return np.argsort(np.abs(ranks - place), kind="stable")
        factor = FIRST_FACTORS[number % len(FIRST_FACTORS)]
        merits = self._merit - factor * self._error * self._sums(front.rows)
        scores = [
            merit * self._context.factor.slope(cost, self._context.reference, below_zero=merit < 0)
            for merit, cost in zip(merits.tolist(), front.costs.tolist(), strict=True)
        ]
        return np.argsort(-np.array(scores), kind="stable")

    def _design(self, rows: Rows) -> Floats:
        """(rows, choices + 1): the damage of each choice, and 1 for the shift."""
        columns = [labels[rows[:, i]] for i, labels in enumerate(self.damages)]
        return np.stack([*columns, np.ones(len(rows))], axis=1)

    def _sums(self, rows: Rows) -> Floats:
        return np.asarray(self._design(rows)[:, :-1].sum(axis=1))

    def price(self, rows: Rows) -> Floats:
        """The exact cost of each row; infinite where no network can be built or a constraint is broken."""
        choices = self._context.choices
        assignments = [choices.assignment(values) for values in self._candidates.every_values(rows)]
        costs = np.array(self._context.pricer.price_many(assignments), dtype=float)  # None becomes NaN
        costs[~(np.isfinite(costs) & (costs > 0))] = np.inf
        costs[~meets_constraints(self._context, self._candidates, rows)] = np.inf
        return costs


def _prior(choices: int) -> Belief:
    covariance = np.zeros((choices + 1, choices + 1))
    covariance[:-1, :-1] = _COMMON**2 + _SINGLE**2 * np.eye(choices)
    covariance[-1, -1] = _SHIFT**2
    return Belief(np.append(np.ones(choices), 0.0), covariance)


def rows_of(candidates: Candidates, values: Sequence[dict[str, str | float | int | bool]]) -> Rows:
    """The rows of trials; of shape (0, choices) without any."""
    if not values:
        return np.zeros((0, len(candidates.sizes)), dtype=np.intp)
    return np.stack([candidates.row(labels) for labels in values])
