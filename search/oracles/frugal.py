"""Frugal: the cost of every candidate is known before training, only its metric has to be predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from search.history import TrialStatus as Outcome
from search.oracles.affordable import affordable, meets_constraints
from search.oracles.base import DatabaseOracle, Observation, OracleContext, State, Values, proposal
from search.oracles.candidates import Candidates, Floats, Rows
from search.oracles.gains import front_improvement, score_improvement, staircase
from search.oracles.guide import Guide
from search.oracles.surrogate import Surrogate, fit
from search.spec.oracle import FrugalOracleSpec

#: Quantiles of the costs of random candidates at which the first trials lie: first in the cheaper half, where a
#: forgiving factor has its best scores, then in the rest. Of the candidates this near, the one with the least rounding
#: errors is taken.
_QUANTILES: Final = (0.2, 0.05, 0.4, 0.1, 0.75, 0.3, 0.95, 0.5, 0.6)
_NEAR: Final = 0.05

#: Candidates whose neighbours are examined, and rounds of that.
_CLIMBERS, _CLIMBS = 3, 10

#: Different widths among the candidates of one proposal: each needs another layout of the network.
_WIDTHS: Final = 24

#: With fewer candidates below a cap on cost, others are made cheaper until they meet it.
_FEWEST: Final = 12

#: Least chance of success, for the candidates most similar to those that failed.
_LEAST_LIKELY: Final = 0.01


@dataclass(frozen=True)
class _Pool:
    """Candidates and their costs; those from which no network can be built are left out."""

    rows: Rows
    costs: Floats

    def __add__(self, other: _Pool) -> _Pool:
        return _Pool(np.concatenate([self.rows, other.rows]), np.concatenate([self.costs, other.costs]))


class FrugalOracle(DatabaseOracle):
    """Proposes the candidate with the largest expected gain, of score or of dominated area.

    The merit (the metric, or its negative if it is minimised) is predicted by `surrogate` from the bits, kinds and
    widths of the trials that ended; the cost is priced exactly, for hundreds of candidates at each proposal. A
    candidate that cannot win even with the best metric has no gain and is proposed last. Running trials count as
    measured at their prediction. Where trials failed, a gain is multiplied by the candidate's chance of success.
    """

    def __init__(self, spec: FrugalOracleSpec, context: OracleContext) -> None:
        super().__init__(context, max_trials=None)
        self._spec = spec
        sensitivity = context.sensitivity if spec.initial == "sensitivity" else None
        if spec.initial == "sensitivity" and sensitivity is None:
            raise ValueError(
                "initial: sensitivity needs the sensitivity of the job: measure it before proposing"
            )
        self._candidates = Candidates(context.choices, sensitivity)
        self._guide = None if sensitivity is None else Guide(context, self._candidates, sensitivity)

    def populate_space(self, trial_id: str) -> State:
        """Trials spread over the costs first, then those with the largest expected gain."""
        if not len(self._candidates.sizes):
            return proposal(self.random_untried())
        rng = self.generator(trial_id)
        measured = [
            (key, observation) for key, observation in self.by_number() if observation.merit is not None
        ]
        pool = self._drawn(self._spec.candidates, rng) + self._front()
        if len(self.trials) < self._spec.initial_points or len(measured) < 2 or not len(pool.rows):
            return proposal(self._first(*self._initial(pool)))
        rows, order = self._climbed(pool, _Gains(self, measured))
        return proposal(self._first(order, rows))

    def row(self, trial_id: str) -> Rows:
        """The row of a trial."""
        return self._candidates.row(self.trials[trial_id].hyperparameters.values)

    def encoded(self, rows: Rows) -> Floats:
        """Features of rows."""
        return self._candidates.encoded(rows)

    def predicted(self, rows: Rows) -> Floats:
        """The merit of each row that the job's sensitivity predicts; 0 where it is not measured."""
        return np.zeros(len(rows)) if self._guide is None else self._guide.predict(rows)[0]

    def _front(self) -> _Pool:
        """The assignments that the job's sensitivity predicts to be the best at their cost; none without it."""
        if self._guide is None:
            return _Pool(np.zeros((0, len(self._candidates.sizes)), dtype=np.intp), np.zeros(0))
        front = self._guide.front()
        return _Pool(front.rows, front.costs)

    def _initial(self, pool: _Pool) -> tuple[Rows, Rows]:
        """Order and rows from which the first trials are taken."""
        if self._guide is None:
            return self._spread(pool), pool.rows
        front = self._guide.front()
        order = self._guide.first(len(self.trials), front, by_score=self._spec.gain == "score")
        return order, front.rows

    def _drawn(self, count: int, rng: np.random.Generator) -> _Pool:
        """Random candidates that meet the constraints, with only a few different widths among them."""
        rows = self._candidates.random(count, rng)
        resized = [i for i, name in enumerate(self._candidates.names) if name in self._width_names()]
        if resized:
            few = self._candidates.random(_WIDTHS, rng)[:, resized]
            rows[:, resized] = few[rng.integers(0, len(few), size=count)]
        _, first = np.unique(rows, axis=0, return_index=True)
        drawn = self._priced(rows[np.sort(first)])
        pool = self._allowed(drawn)
        if len(pool.rows) >= _FEWEST or not len(drawn.rows):
            return pool
        return pool + self._priced(affordable(self.context, self._candidates, drawn.rows, rng))

    def _allowed(self, pool: _Pool) -> _Pool:
        """Those that meet the constraints."""
        mask = meets_constraints(self.context, self._candidates, pool.rows)
        return _Pool(pool.rows[mask], pool.costs[mask])

    def _width_names(self) -> set[str]:
        return {width.name for width in self.context.choices.widths}

    def _priced(self, rows: Rows) -> _Pool:
        choices = self.context.choices
        assignments = [choices.assignment(values) for values in self._candidates.every_values(rows)]
        costs = np.array(self.context.pricer.price_many(assignments), dtype=float)  # None becomes NaN
        mask = np.isfinite(costs) & (costs > 0)
        return _Pool(rows[mask], costs[mask])

    def _spread(self, pool: _Pool) -> Rows:
        """Order of the pool: near the next quantile of cost first, of those the ones with the least rounding errors."""
        quantile = _QUANTILES[len(self.trials) % len(_QUANTILES)]
        quantiles = np.argsort(np.argsort(pool.costs, kind="stable")) / max(len(pool.costs), 1)
        distance = np.abs(quantiles - quantile)
        return np.lexsort((self._candidates.damage(pool.rows), np.maximum(distance, _NEAR)))

    def _climbed(self, pool: _Pool, gains: _Gains) -> tuple[Rows, Rows]:
        """Rows and their order by gain: the pool, and neighbours of the best ones as long as those improve."""
        expected = gains(pool)
        climbed: set[bytes] = set()
        for _ in range(_CLIMBS):
            best = np.argsort(-expected, kind="stable")[: 2 * _CLIMBERS]
            top = [i for i in best.tolist() if pool.rows[i].tobytes() not in climbed][:_CLIMBERS]
            if not top:
                break
            climbed.update(pool.rows[i].tobytes() for i in top)
            neighbours = self._allowed(self._priced(self._candidates.neighbours(pool.rows[top])))
            pool = pool + neighbours
            expected = np.concatenate([expected, gains(neighbours)])
        return pool.rows, np.argsort(-expected, kind="stable")

    def _first(self, order: Rows, rows: Rows) -> Values | None:
        """The first untried candidate in this order."""
        for row in rows[order]:
            values = self._candidates.values(row)
            if not self._duplicate(values):
                return values
        return self.next_untried()


class _Gains:
    """The expected gain of candidates, given the trials that ended."""

    def __init__(self, oracle: FrugalOracle, measured: list[tuple[str, Observation]]) -> None:
        self._oracle = oracle
        self._model = _surrogate(oracle, measured)
        self._success = _success(oracle, measured)
        self._by = {"score": self._score, "front": self._area}[oracle._spec.gain]
        self._incumbent = max(
            observation.score for _, observation in measured if observation.score is not None
        )
        self._front = staircase([observation for _, observation in measured], oracle.context)

    def __call__(self, pool: _Pool) -> Floats:
        """The expected gain of each candidate."""
        mean, deviation = self._model.predict(self._oracle.encoded(pool.rows))
        mean = mean + self._oracle.predicted(pool.rows)
        gains = self._by(pool.costs, mean, deviation)
        if self._success is None:
            return gains
        chance, _ = self._success.predict(self._oracle.encoded(pool.rows))
        return gains * np.clip(chance, _LEAST_LIKELY, 1.0)

    def _score(self, costs: Floats, mean: Floats, deviation: Floats) -> Floats:
        return score_improvement(self._oracle.context, self._incumbent, costs, mean, deviation)

    def _area(self, costs: Floats, mean: Floats, deviation: Floats) -> Floats:
        return front_improvement(self._front, costs, mean, deviation)


def _surrogate(oracle: FrugalOracle, measured: list[tuple[str, Observation]]) -> Surrogate:
    """A model of the merit; where the sensitivity is measured, of the difference from what it predicts."""
    rows = np.array([oracle.row(trial_id) for trial_id, _ in measured])
    merits = np.array([observation.merit for _, observation in measured if observation.merit is not None])
    running = [oracle.row(trial.trial_id) for trial in oracle.ongoing_trials.values()]
    pending = oracle.encoded(np.array(running)) if running else None
    return fit(oracle.encoded(rows), merits - oracle.predicted(rows), pending)


def _success(oracle: FrugalOracle, measured: list[tuple[str, Observation]]) -> Surrogate | None:
    """A model of whether a trial can be measured at all; None if no trial failed."""
    failed = [trial_id for trial_id, observation in oracle.by_number() if _is_failure(observation)]
    if not failed:
        return None
    rows = [oracle.row(trial_id) for trial_id in [trial_id for trial_id, _ in measured] + failed]
    return fit(oracle.encoded(np.array(rows)), np.array([1.0] * len(measured) + [0.0] * len(failed)))


def _is_failure(observation: Observation) -> bool:
    return observation.merit is None and observation.outcome is Outcome.FAILED
