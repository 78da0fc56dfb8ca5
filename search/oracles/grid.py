"""Grid search: every assignment in order, the last choice varying fastest."""

from __future__ import annotations

from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial

from search.oracles.base import DatabaseOracle, OracleContext, State, Values, proposal
from search.spec.oracle import GridOracleSpec


class GridOracle(DatabaseOracle, keras_tuner.oracles.GridSearchOracle):
    """keras-tuner's GridSearchOracle in its order, with the position in that order as its state.

    keras-tuner keeps a linked list of trials that is not in its state, and proposes a second trial only after the first
    has ended, because building a network there may add choices. Here it cannot.
    """

    def __init__(self, _: GridOracleSpec, context: OracleContext) -> None:
        super().__init__(context, max_trials=None)
        self._last: Values | None = None

    def populate_space(self, trial_id: str) -> State:
        """The next untried assignment, or STOPPED."""
        while True:
            following = self._following()
            if following is None:
                return proposal(None)
            self._last = following
            if not self._duplicate(following):
                return proposal(following)

    def _following(self) -> Values | None:
        if self._last is None:
            return {parameter.name: parameter.default for parameter in self.hyperparameters.space}
        following: Values | None = self._get_next_combination(dict(self._last))
        return following

    def end_trial(self, trial: Trial) -> None:
        """Record the end and nothing else: the next assignment does not depend on it."""
        keras_tuner.Oracle.end_trial(self, trial)

    def get_state(self) -> State:
        """With the position in the order."""
        state: State = super().get_state()
        return {**state, "last": None if self._last is None else dict(self._last)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the position in the order."""
        super().set_state(state)
        self._last = state["last"]
