"""Descent: one training after another along the front, each continuing the one before with fewer bits."""

from __future__ import annotations

import math

import numpy as np

from search.oracles.base import DatabaseOracle, OracleContext, State, Values, proposal
from search.oracles.candidates import Candidates, Rows
from search.oracles.guide import Belief, Guide, rows_of
from search.oracles.knapsack import Front
from search.oracles.lanes import Lane, lanes_of
from search.spec.oracle import DescentOracleSpec

#: Sums of damages at the first and the last stage: shares by which the error of the float model is predicted to grow.
#: Where the cheapest network has less, the last stage is that one, and the first has at most a tenth.
_FIRST, _LAST = 0.1, 5.0

#: Networks that were trained -> the epochs from which on.
_Taken = dict[tuple[int, ...], set[int]]


class DescentOracle(DatabaseOracle):
    """Descends the front that the sensitivities predict, from precise to cheap networks, training on and on.

    A stage is a trial of as many epochs as the job's trainings have. It starts with the weights of the stage before,
    whose bits it lowers to the cheapest assignment of the front with at most so much predicted damage. The damage that
    is allowed grows by equal factors from stage to stage; the factors of `search.oracles.guide` are corrected by every
    measured trial. Where several trials run at once, each is in a lane of its own, whose stages lie between those of
    the others. A lane that has ended is followed by the next. No network is trained twice from the same epoch on: a
    lane whose point was taken goes to the next one, and where the front has no new start, an untried network is one.
    """

    def __init__(self, spec: DescentOracleSpec, context: OracleContext) -> None:
        super().__init__(context, max_trials=None)
        if context.sensitivity is None:
            raise ValueError(
                "the oracle needs the sensitivity of the job: measure it before trials are proposed"
            )
        self._stages = spec.stages
        self._candidates = Candidates(context.choices)
        self._guide = Guide(context, self._candidates, context.sensitivity)

    def populate_space(self, trial_id: str) -> State:
        """The next stage of the first lane that can go on, else the first stage of a new lane."""
        lanes = lanes_of(self.trials)
        taken, front = self._taken(), self._guide.front(self._belief())
        new = Lane(len(lanes), ())
        for lane in [*lanes, new]:
            if not lane.is_waiting and len(lane.trials) < self._stages:
                row = self._row(lane, front, taken)
                if row is not None:
                    return proposal(self._values(lane, row))
        row = self._untried(taken)
        return proposal(None if row is None else self._values(new, row))

    def _taken(self) -> _Taken:
        taken: _Taken = {}
        for trial in self.trials.values():
            values = trial.hyperparameters.values
            taken.setdefault(_key(self._candidates.row(values)), set()).add(values["tuner/initial_epoch"])
        return taken

    def _belief(self) -> Belief:
        measured = [observation for _, observation in self.by_number() if observation.merit is not None]
        rows = rows_of(self._candidates, [dict(observation.values) for observation in measured])
        return self._guide.belief(
            rows, np.array([observation.merit for observation in measured], dtype=float)
        )

    def _values(self, lane: Lane, row: Rows) -> Values:
        """The values of the lane's next stage, which trains this network."""
        return {**self._candidates.values(row), **lane.training(self.context.epochs)}

    def _row(self, lane: Lane, front: Front, taken: _Taken) -> Rows | None:
        """The cheapest of the front with the damage allowed, or else the least step down from the lane's last trial.

        None if every network of the front that is cheaper than the last one was trained from this epoch on.
        """
        limit = np.inf
        if lane.trials:
            last = self._candidates.row(lane.trials[-1].hyperparameters.values)
            limit = float(self._guide.price(last[None])[0])
        done = lane.epochs_done
        free = [not _is_taken(taken, row, done) for row in front.rows]
        cheaper = np.flatnonzero((front.costs < limit) & np.array(free, dtype=bool))
        if not len(cheaper):
            return None
        allowed = cheaper[front.damages[cheaper] <= self._allowed(lane, float(front.damages.max()))]
        chosen = allowed[0] if len(allowed) else cheaper[-1]
        return np.asarray(front.rows[chosen])

    def _untried(self, taken: _Taken) -> Rows | None:
        """The first network in order that was not trained at all; None if all were."""
        sizes = self._candidates.sizes.tolist()
        for rank in range(min(len(taken) + 1, math.prod(sizes))):
            digits, rest = [], rank
            for size in reversed(sizes):
                rest, digit = divmod(rest, size)
                digits.append(digit)
            row = np.array(digits[::-1], dtype=np.intp)
            if _key(row) not in taken:
                return row
        return None

    def _allowed(self, lane: Lane, most: float) -> float:
        """The damage allowed to the lane's next trial; `most`: that of the cheapest network on the front."""
        last = min(_LAST, most)
        first = min(_FIRST, last / 10)
        position = (len(lane.trials) + lane.offset) / (self._stages - 1)
        return float(first * (last / first) ** position) if last > 0 else 0.0


def _key(row: Rows) -> tuple[int, ...]:
    return tuple(row.tolist())


def _is_taken(taken: _Taken, row: Rows, done: int) -> bool:
    """Whether a network was trained from this epoch on; what starts anew must not have been trained at all."""
    starts = taken.get(_key(row), ())
    return done in starts if done else bool(starts)
