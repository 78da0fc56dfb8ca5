"""Random search: every assignment is drawn independently of what happened."""

from __future__ import annotations

import keras_tuner

from search.oracles.base import DatabaseOracle, Setting, State, proposal
from search.spec.oracle import RandomOracleSpec


class RandomOracle(DatabaseOracle, keras_tuner.oracles.RandomSearchOracle):
    """keras-tuner's RandomSearchOracle, which gives up after 20 repetitions; this one then looks for what is left.

    So a small space is tried completely, and nothing twice.
    """

    def __init__(self, _: RandomOracleSpec, setting: Setting) -> None:
        super().__init__(setting, max_trials=None)

    def populate_space(self, trial_id: str) -> State:
        """Values of a new trial, or STOPPED when all have been tried."""
        return proposal(self.fresh())
