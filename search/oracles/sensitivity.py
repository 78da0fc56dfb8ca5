"""Sensitivity: the front of predicted metric and exact cost, solved anew after every trial."""

from __future__ import annotations

import numpy as np

from search.oracles.base import DatabaseOracle, Observation, OracleContext, State, Values, proposal
from search.oracles.candidates import Candidates, Floats, Rows
from search.oracles.gains import front_improvement, score_improvement, staircase
from search.oracles.guide import Belief, Guide, rows_of
from search.oracles.knapsack import Front
from search.spec.oracle import SensitivityOracleSpec

#: Measured trials before gains are computed.
_FEWEST = 2


class SensitivityOracle(DatabaseOracle):
    """Proposes points of the front that the measured sensitivities predict (`search.oracles.guide`).

    The factors on the damages are corrected by every measured trial, the front is solved with them, and the point with
    the largest expected gain, of score or of dominated area, is proposed. Running trials count as measured at their
    prediction. When all of the front is tried, its neighbours follow.

    Raises `ValueError` without the sensitivity of the job, which a worker measures before the first proposal.
    """

    def __init__(self, spec: SensitivityOracleSpec, context: OracleContext) -> None:
        super().__init__(context, max_trials=None)
        if context.sensitivity is None:
            raise ValueError(
                "the oracle needs the sensitivity of the job: measure it before trials are proposed"
            )
        self._by_score = spec.gain == "score"
        self._candidates = Candidates(context.choices)
        self._guide = Guide(context, self._candidates, context.sensitivity)

    def populate_space(self, trial_id: str) -> State:
        """The untried point of the front with the largest gain, or one near the front."""
        if not len(self._candidates.sizes):
            return proposal(self.random_untried())
        measured = [observation for _, observation in self.by_number() if observation.merit is not None]
        belief = self._belief(measured)
        front = self._guide.front(belief)
        values = self._first_untried(front.rows[self._order(front, measured, belief)])
        if values is None and len(front.rows):
            near = self._candidates.neighbours(front.rows)
            mean, _ = self._guide.predict(near, belief)
            values = self._first_untried(near[np.argsort(-mean, kind="stable")])
        return proposal(values or self.next_untried())

    def _belief(self, measured: list[Observation]) -> Belief:
        rows = rows_of(self._candidates, [dict(observation.values) for observation in measured])
        belief = self._guide.belief(
            rows, np.array([observation.merit for observation in measured], dtype=float)
        )
        running = [trial.hyperparameters.values for trial in self.ongoing_trials.values()]
        if not running:
            return belief
        pending = rows_of(self._candidates, running)
        predicted, _ = self._guide.predict(pending, belief)
        merits = [observation.merit for observation in measured]
        return self._guide.belief(
            np.concatenate([rows, pending]), np.array([*merits, *predicted], dtype=float)
        )

    def _order(self, front: Front, measured: list[Observation], belief: Belief) -> Rows:
        if len(measured) < _FEWEST:
            return self._guide.first(len(self.trials), front, by_score=self._by_score)
        return np.argsort(-self._gains(front, measured, belief), kind="stable")

    def _gains(self, front: Front, measured: list[Observation], belief: Belief) -> Floats:
        mean, deviation = self._guide.predict(front.rows, belief)
        if not self._by_score:
            return front_improvement(staircase(measured, self.context), front.costs, mean, deviation)
        incumbent = max(observation.score for observation in measured if observation.score is not None)
        return score_improvement(self.context, incumbent, front.costs, mean, deviation)

    def _first_untried(self, rows: Rows) -> Values | None:
        for values in self._candidates.every_values(rows):
            if not self._duplicate(values):
                return values
        return None
