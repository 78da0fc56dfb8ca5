"""Frugal: the cost of every candidate is known before training, only its metric has to be guessed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from search.history import TrialStatus as Outcome
from search.oracles.affordable import affordable, keeping
from search.oracles.base import DatabaseOracle, Setting, State, Told, Values, proposal
from search.oracles.candidates import Candidates, Floats, Rows
from search.oracles.surrogate import Surrogate, excess, fit
from search.spec.oracle import FrugalOracleSpec

#: Where among the costs of random candidates the first trials lie: spread over the cheaper half, where a forgiving
#: factor has the best scores; then over the rest. Of candidates so near to it the one with the least rounding errors.
_QUANTILES: Final = (0.2, 0.05, 0.4, 0.1, 0.75, 0.3, 0.95, 0.5, 0.6)
_NEAR: Final = 0.05

#: Candidates whose neighbours are looked at, and how often those climb at most.
_CLIMBERS, _CLIMBS = 3, 10

#: Different widths among the candidates of one proposal: a network must be laid out anew for each.
_WIDTHS: Final = 24

#: With fewer candidates below a cap on cost, others are made cheaper until they keep it.
_FEWEST: Final = 12

#: Chance of success that is left to the candidates most like those that failed.
_LEAST_LIKELY: Final = 0.01


@dataclass(frozen=True)
class _Pool:
    """Candidates with what they cost; those without a network are left out."""

    rows: Rows
    costs: Floats

    def __add__(self, other: _Pool) -> _Pool:
        return _Pool(np.concatenate([self.rows, other.rows]), np.concatenate([self.costs, other.costs]))


class FrugalOracle(DatabaseOracle):
    """Proposes the candidate whose expected gain is largest, of score or of dominated area.

    The merit (the metric, or its negative if it is minimised) is guessed by `surrogate` from bits, kinds and widths of
    the trials that ended; the cost is priced, not guessed, for hundreds of candidates at each proposal. A candidate
    that cannot win with the best of metrics gains nothing and is not proposed while another may. Trials under way count
    as measured at their guess. Where trials failed, a gain counts as much as another trial there is likely not to.
    """

    def __init__(self, spec: FrugalOracleSpec, setting: Setting) -> None:
        super().__init__(setting, max_trials=None)
        self._spec = spec
        self._candidates = Candidates(setting.choices)

    def populate_space(self, trial_id: str) -> State:
        """Trials spread over the costs first, then those with the largest expected gain."""
        if not len(self._candidates.sizes):
            return proposal(self.fresh())
        chance = self.random_of(trial_id)
        measured = [(number, told) for number, told in self.in_order() if told.merit is not None]
        pool = self._drawn(self._spec.candidates, chance)
        if len(self.trials) < self._spec.initial_points or len(measured) < 2 or not len(pool.rows):
            return proposal(self._first(self._spread(pool), pool.rows))
        rows, order = self._climbed(pool, _Gains(self, measured))
        return proposal(self._first(order, rows))

    def in_order(self) -> list[tuple[str, Told]]:
        """The trials that ended, by number."""
        return sorted(self.known.items(), key=lambda each: int(each[0]))

    def row(self, trial_id: str) -> Rows:
        """The row of a trial."""
        return self._candidates.row(self.trials[trial_id].hyperparameters.values)

    def encoded(self, rows: Rows) -> Floats:
        """Features of rows."""
        return self._candidates.encoded(rows)

    def _drawn(self, count: int, chance: np.random.Generator) -> _Pool:
        rows = self._candidates.random(count, chance)
        resized = [i for i, name in enumerate(self._candidates.names) if name in self._width_names()]
        if resized:
            few = self._candidates.random(_WIDTHS, chance)[:, resized]
            rows[:, resized] = few[chance.integers(0, len(few), size=count)]
        _, first = np.unique(rows, axis=0, return_index=True)
        drawn = self._priced(rows[np.sort(first)])
        kept = self._kept(drawn)
        if len(kept.rows) >= _FEWEST or not len(drawn.rows):
            return kept
        return kept + self._priced(affordable(self.setting, self._candidates, drawn.rows, chance))

    def _kept(self, pool: _Pool) -> _Pool:
        """Those that keep the constraints."""
        kept = keeping(self.setting, self._candidates, pool.rows)
        return _Pool(pool.rows[kept], pool.costs[kept])

    def _width_names(self) -> set[str]:
        return {width.name for width in self.setting.choices.widths}

    def _priced(self, rows: Rows) -> _Pool:
        choices = self.setting.choices
        assignments = [choices.assignment(values) for values in self._candidates.every_values(rows)]
        costs = np.array(self.setting.prices.price_many(assignments), dtype=float)  # None becomes NaN
        known = np.isfinite(costs) & (costs > 0)
        return _Pool(rows[known], costs[known])

    def _spread(self, pool: _Pool) -> Rows:
        """Candidates with a cost near the quantile whose turn it is, the least damaged first; then the others."""
        wanted = _QUANTILES[len(self.trials) % len(_QUANTILES)]
        place = np.argsort(np.argsort(pool.costs, kind="stable")) / max(len(pool.costs), 1)
        distance = np.abs(place - wanted)
        return np.lexsort((self._candidates.damage(pool.rows), np.maximum(distance, _NEAR)))

    def _climbed(self, pool: _Pool, gains: _Gains) -> tuple[Rows, Rows]:
        """The pool's rows and the neighbours of its best, and of the best of those, while that helps; their order."""
        expected = gains(pool)
        climbed: set[bytes] = set()
        for _ in range(_CLIMBS):
            best = np.argsort(-expected, kind="stable")[: 2 * _CLIMBERS]
            top = [i for i in best.tolist() if pool.rows[i].tobytes() not in climbed][:_CLIMBERS]
            if not top:
                break
            climbed.update(pool.rows[i].tobytes() for i in top)
            further = self._kept(self._priced(self._candidates.neighbours(pool.rows[top])))
            pool = pool + further
            expected = np.concatenate([expected, gains(further)])
        return pool.rows, np.argsort(-expected, kind="stable")

    def _first(self, order: Rows, rows: Rows) -> Values | None:
        """The first candidate in this order that was not tried."""
        for row in rows[order]:
            values = self._candidates.values(row)
            if not self._duplicate(values):
                return values
        return self.untried()


class _Gains:
    """What a candidate may be expected to gain, given the trials that ended."""

    def __init__(self, oracle: FrugalOracle, measured: list[tuple[str, Told]]) -> None:
        self._oracle = oracle
        self._model = _surrogate(oracle, measured)
        self._success = _success(oracle, measured)
        self._by = {"score": self._score, "front": self._area}[oracle._spec.gain]
        setting = oracle.setting
        self._incumbent = max(told.score for _, told in measured if told.score is not None)
        self._front = _staircase(measured, setting)

    def __call__(self, pool: _Pool) -> Floats:
        """The expected gain of each candidate."""
        mean, deviation = self._model.predict(self._oracle.encoded(pool.rows))
        gains = self._by(pool.costs, mean, deviation)
        if self._success is None:
            return gains
        likely, _ = self._success.predict(self._oracle.encoded(pool.rows))
        return gains * np.clip(likely, _LEAST_LIKELY, 1.0)

    def _score(self, costs: Floats, mean: Floats, deviation: Floats) -> Floats:
        return score_improvement(self._oracle.setting, self._incumbent, costs, mean, deviation)

    def _area(self, costs: Floats, mean: Floats, deviation: Floats) -> Floats:
        """Expected growth of the area of merit and log cost that the trials dominate, up to the reference's cost.

        At a known cost the area is, level by level, the width up to the first trial that has the level.
        """
        logs = np.log(costs)
        levels, reached = self._front
        gain = np.zeros(len(costs))
        for low, high, width in zip(levels[:-1], levels[1:], reached, strict=True):
            share = excess(low, mean, deviation) - excess(high, mean, deviation)
            gain += np.maximum(width - logs, 0) * np.maximum(share, 0)
        return gain


def score_improvement(
    setting: Setting, incumbent: float, costs: Floats, mean: Floats, deviation: Floats
) -> Floats:
    """Expected improvement of the best score, `incumbent`, for candidates with a normal merit. Shapes (candidates,).

    At a known cost the score is the merit times a known slope, so the improvement is the slope times that of the merit
    over the merit that the incumbent's score takes there; of merits no larger than the best possible one.
    """
    below_zero = incumbent < 0
    slopes = np.array(
        [setting.factor.slope(cost, setting.reference, below_zero=below_zero) for cost in costs.tolist()]
    )
    level = incumbent / slopes
    gain = excess(level, mean, deviation)
    if setting.best_merit is not None:
        level = np.minimum(level, setting.best_merit)
        gain = excess(level, mean, deviation) - excess(setting.best_merit, mean, deviation)
    return np.asarray(slopes * np.maximum(gain, 0))


def _surrogate(oracle: FrugalOracle, measured: list[tuple[str, Told]]) -> Surrogate:
    rows = [oracle.row(number) for number, _ in measured]
    merits = [told.merit for _, told in measured if told.merit is not None]
    pending = [oracle._candidates.row(t.hyperparameters.values) for t in oracle.ongoing_trials.values()]
    waiting = oracle.encoded(np.array(pending)) if pending else None
    return fit(oracle.encoded(np.array(rows)), np.array(merits), waiting)


def _success(oracle: FrugalOracle, measured: list[tuple[str, Told]]) -> Surrogate | None:
    """A model of whether a trial can be measured at all; None if all could."""
    failed = [number for number, told in oracle.in_order() if _is_failure(told)]
    if not failed:
        return None
    rows = [oracle.row(number) for number in [number for number, _ in measured] + failed]
    return fit(oracle.encoded(np.array(rows)), np.array([1.0] * len(measured) + [0.0] * len(failed)))


def _is_failure(told: Told) -> bool:
    return told.merit is None and told.outcome is Outcome.FAILED


def _staircase(measured: list[tuple[str, Told]], setting: Setting) -> tuple[Floats, Floats]:
    """Levels of the merit, and for each step between them the log cost at which it is reached.

    They begin at 0, or at the least merit measured if that is negative, and end at the best possible one; where there
    is none, as far above the best measured one as the least is below. Levels not reached yet count as reached at the
    cost of the reference, or of the dearest trial if that is more.
    """
    points = sorted((float(t.cost or 0), float(t.merit or 0)) for _, t in measured)
    merits = [merit for _, merit in points]
    ceiling = np.log(max(points[-1][0], setting.reference))
    levels, reached = [min(0.0, *merits)], []
    for cost, merit in points:
        if merit > levels[-1]:
            levels.append(merit)
            reached.append(np.log(cost))
    top = 2 * max(merits) - min(merits) if setting.best_merit is None else setting.best_merit
    if levels[-1] < top:
        levels.append(top)
        reached.append(ceiling)
    return np.array(levels), np.array(reached)
