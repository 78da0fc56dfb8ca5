"""Descent: one training after another along the front, each continuing the one before with fewer bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus

from search.oracles.base import DatabaseOracle, OracleContext, State, Values, proposal
from search.oracles.candidates import Candidates, Rows
from search.oracles.guide import Belief, Guide, rows_of
from search.spec.oracle import DescentOracleSpec

#: Sums of damages at the first and the last stage: shares by which the error of the float model is predicted to grow.
#: Where the cheapest network has less, the last stage is that one, and the first has at most a tenth.
_FIRST, _LAST = 0.1, 5.0

_LANE: Final = "tuner/lane"
_STAGE: Final = "tuner/stage"


@dataclass(frozen=True)
class _Lane:
    """The trials of one descent so far, by stage."""

    number: int
    trials: Sequence[Trial]

    @property
    def is_waiting(self) -> bool:
        """True while its last trial is trained."""
        return any(trial.status not in (TrialStatus.COMPLETED, TrialStatus.FAILED) for trial in self.trials)

    @property
    def parent(self) -> Trial | None:
        """The trial that its next one continues: the last one that was measured."""
        measured = [trial for trial in self.trials if trial.status == TrialStatus.COMPLETED]
        return measured[-1] if measured else None


class DescentOracle(DatabaseOracle):
    """Descends the front that the sensitivities predict, from precise to cheap networks, training on and on.

    A stage is a trial of as many epochs as the job's trainings have. It starts with the weights of the stage before,
    whose bits it lowers to the cheapest assignment of the front with at most so much predicted damage. The damage that
    is allowed grows by equal factors from stage to stage; the factors of `search.oracles.guide` are corrected by every
    measured trial. Where several trials run at once, each is in a lane of its own, whose stages lie between those of
    the others. A lane that has ended is followed by the next.
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
        lanes = self._lanes()
        belief = self._belief()
        for lane in [*lanes, _Lane(len(lanes), ())]:
            if not lane.is_waiting and len(lane.trials) < self._stages:
                values = self._next(lane, belief)
                if values is not None:
                    return proposal(values)
        return proposal(None)

    def _lanes(self) -> list[_Lane]:
        lanes: dict[int, list[Trial]] = {}
        for trial_id in sorted(self.trials, key=int):
            trial = self.trials[trial_id]
            lanes.setdefault(trial.hyperparameters.values[_LANE], []).append(trial)
        return [_Lane(number, trials) for number, trials in sorted(lanes.items())]

    def _belief(self) -> Belief:
        measured = [observation for _, observation in self.by_number() if observation.merit is not None]
        rows = rows_of(self._candidates, [dict(observation.values) for observation in measured])
        return self._guide.belief(
            rows, np.array([observation.merit for observation in measured], dtype=float)
        )

    def _next(self, lane: _Lane, belief: Belief) -> Values | None:
        """The values of the lane's next stage; None if nothing on the front is cheaper than its last one."""
        row = self._row(lane, belief)
        if row is None:
            return None
        parent, done = lane.parent, 0
        training: dict[str, Any] = {_LANE: lane.number, _STAGE: len(lane.trials)}
        if parent is not None:
            done = int(parent.hyperparameters.values["tuner/epochs"])
            training["tuner/trial_id"] = parent.trial_id
        training |= {"tuner/initial_epoch": done, "tuner/epochs": done + self.context.epochs}
        return {**self._candidates.values(row), **training}

    def _row(self, lane: _Lane, belief: Belief) -> Rows | None:
        """The cheapest of the front with the damage allowed, or else the least step down from the lane's last trial."""
        front = self._guide.front(belief)
        limit = np.inf
        if lane.trials:
            last = self._candidates.row(lane.trials[-1].hyperparameters.values)
            limit = float(self._guide.price(last[None])[0])
        cheaper = np.flatnonzero(front.costs < limit)
        if not len(cheaper):
            return None
        allowed = cheaper[front.damages[cheaper] <= self._allowed(lane, float(front.damages.max()))]
        chosen = allowed[0] if len(allowed) else cheaper[-1]
        return np.asarray(front.rows[chosen])

    def _allowed(self, lane: _Lane, most: float) -> float:
        """The damage allowed to the lane's next trial; `most`: that of the cheapest network on the front."""
        last = min(_LAST, most)
        first = min(_FIRST, last / 10)
        position = (len(lane.trials) + _between(lane.number)) / (self._stages - 1)
        return float(first * (last / first) ** position) if last > 0 else 0.0


def _between(number: int) -> float:
    """0, 1/2, 1/4, 3/4, 1/8, ...: places that halve the distances of those before (van der Corput, 1935)."""
    place, share = 0.0, 0.5
    while number:
        number, bit = divmod(number, 2)
        place += bit * share
        share /= 2
    return place
