"""Random search: every assignment is drawn independently of the results."""

from __future__ import annotations

import keras_tuner

from search.oracles.base import DatabaseOracle, OracleContext, State, proposal
from search.spec.oracle import RandomOracleSpec


class RandomOracle(DatabaseOracle, keras_tuner.oracles.RandomSearchOracle):
    """keras-tuner's RandomSearchOracle, which gives up after 20 repetitions; this one then finds an untried assignment.

    So a small space is tried completely, without repeats.
    """

    def __init__(self, _: RandomOracleSpec, context: OracleContext) -> None:
        super().__init__(context, max_trials=None)

    def populate_space(self, trial_id: str) -> State:
        """Values of a new trial, or STOPPED when all have been tried."""
        return proposal(self.random_untried())
