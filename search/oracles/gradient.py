"""Bits by gradient: trainings whose bits are trained, each trial a stage at a higher penalty on the cost."""

from __future__ import annotations

import math

from keras_tuner.engine.trial import TrialStatus

from search.history import PENALTY
from search.history import TrialStatus as Outcome
from search.oracles.base import DatabaseOracle, Label, OracleContext, State, Values, proposal
from search.oracles.lanes import Lane, lanes_of
from search.space.trained_bits import start_first
from search.spec.oracle import GradientOracleSpec


class GradientOracle(DatabaseOracle):
    """Trains bits with the weights; the penalty on the cost rises by equal factors from stage to stage.

    A stage is a trial of as many epochs as the job's trainings have. It starts with weights, bits and optimizer of the
    stage before; the first with the candidates of about `start_bits`. Where several trials run at once, each is in a
    lane of its own, from other weights and with penalties between those of the others. A lane that has ended, or whose
    first trial failed, is followed by the next, whose first assignment differs in the last choice, and so on.
    """

    def __init__(self, spec: GradientOracleSpec, context: OracleContext) -> None:
        super().__init__(context, max_trials=None)
        self._spec = spec
        self._labels = start_first(context.choices, spec.start_bits)

    def populate_space(self, trial_id: str) -> State:
        """The next stage of the first lane that can go on, else the first stage of a new lane."""
        # What costs too much is known after training: later stages cost less.
        dear = [
            trial_id
            for trial_id, observation in self.observations.items()
            if observation.outcome == Outcome.INFEASIBLE
        ]
        lanes = lanes_of(self.trials, dear)
        for lane in lanes:
            if not lane.is_waiting and lane.parent is not None and len(lane.trials) < self._spec.stages:
                return proposal(self._values(lane))
        new = Lane(len(lanes), ())
        if new.number < self._size:
            return proposal(self._values(new))
        return {"status": TrialStatus.IDLE} if any(lane.is_waiting for lane in lanes) else proposal(None)

    @property
    def _size(self) -> int:
        return math.prod(len(labels) for labels in self._labels.values())

    def _values(self, lane: Lane) -> Values:
        return {**self._start(lane), **lane.training(self.context.epochs), PENALTY: self._penalty(lane)}

    def _start(self, lane: Lane) -> dict[str, Label]:
        """The labels that a lane starts from; the last choice varies fastest."""
        values, rest = {}, lane.number
        for name, labels in reversed(self._labels.items()):
            rest, index = divmod(rest, len(labels))
            values[name] = labels[index]
        return values

    def _penalty(self, lane: Lane) -> float:
        """That of the lane's next stage; lanes lie between each other."""
        first, last = self._spec.first_penalty, self._spec.last_penalty
        position = min((len(lane.trials) + lane.offset) / (self._spec.stages - 1), 1.0)
        return float(first * (last / first) ** position)
