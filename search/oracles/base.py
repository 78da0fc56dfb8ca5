"""A keras-tuner oracle without its Tuner, its folder and its chief.

An oracle lives for one call: it is built, given what happened so far (`restore`, `tell`), asked, and thrown away. Its
memory between calls is `snapshot`, which is JSON, and the trials themselves.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final, Protocol

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.src.engine.oracle import LOCKS, THREADS
from threadpoolctl import ThreadpoolController

from search.history import Assignment
from search.history import TrialStatus as Outcome
from search.oracles.hyperparameters import hyperparameters
from search.scoring.forgiving_factor import ForgivingFactor
from search.space.choices import Choices
from search.spec.oracle import Constraints

SCORE: Final = "score"

#: keras-tuner stops by itself after this many failures, and cannot go on after that: the service has its own rules.
NEVER: Final = 2**31

#: Values that are keras-tuner's own, not choices of the network.
RESERVED: Final = "tuner/"

Label = str | float
Values = Mapping[str, str | float | int | bool]
State = dict[str, Any]


class Prices(Protocol):
    """What a network costs before it is trained."""

    def price_many(self, assignments: Sequence[Assignment]) -> Sequence[float | None]:
        """The cost of each assignment under the job's goal; None where no network can be built."""

    def keeps(self, assignment: Assignment, constraints: Constraints) -> bool:
        """False if its cost breaks a constraint or no network can be built."""


@dataclass(frozen=True)
class Setting:
    """What an oracle may know of its job."""

    choices: Choices
    seed: int
    epochs: int  #: of a whole training
    prices: Prices
    factor: ForgivingFactor
    reference: float  #: cost of the float network
    constraints: Constraints
    best_merit: float | None = 1.0  #: no trial has a larger one; None: there is no such bound

    @cached_property
    def space(self) -> keras_tuner.HyperParameters:
        """The choices, as keras-tuner's hyperparameters."""
        return hyperparameters(self.choices)

    @cached_property
    def dimensions(self) -> Mapping[str, tuple[Label, ...]]:
        """Name of each choice -> its labels, in order."""
        return self.choices.dimensions()


@dataclass(frozen=True, slots=True)
class Told:
    """A trial as an oracle must know it. `score` is None for a trial that ended without one.

    `outcome` is how it ended; None for an assignment that was never tried, because it gives a network tried before.
    `merit` and `cost` are what the score was made of: the merit is the metric with the sign that makes larger better.
    `bound` is a score that the trial could not have exceeded.
    """

    trial_id: str
    values: Values
    ended: bool
    outcome: Outcome | None = None
    score: float | None = None
    merit: float | None = None
    cost: float | None = None
    bound: float | None = None


class DatabaseOracle(keras_tuner.Oracle):
    """Mixed into an oracle of keras-tuner, before it: what that writes to files stays in memory.

    Further state an oracle needs to go on exactly where it was belongs into `get_state` and `set_state`.
    """

    def __init__(self, setting: Setting, **arguments: Any) -> None:
        super().__init__(
            objective=keras_tuner.Objective(SCORE, "max"),
            hyperparameters=setting.space,
            seed=setting.seed + 1,  # keras-tuner draws one for 0
            max_retries_per_trial=0,
            max_consecutive_failed_trials=NEVER,
            **arguments,
        )
        self.setting = setting
        self.known: dict[str, Told] = {}  #: trials that ended

    def save(self) -> None:
        """Nothing: `snapshot` is asked for instead."""

    def _save_trial(self, trial: Trial) -> None:
        """Nothing: trials are rows."""

    def score_of(self, told: Told) -> float | None:
        """What the oracle learns of a trial that ended; None: that it failed."""
        return told.score

    def random_of(self, trial_id: str) -> np.random.Generator:
        """Chance for one proposal: it depends on the seed and the proposal's number only, so there is none to store."""
        return np.random.default_rng([self.seed, int(trial_id)])

    def untried(self) -> Values | None:
        """The first combination not tried yet, from a random one on; looks at most at one more than were tried."""
        dimensions = list(self.setting.dimensions.items())
        size = math.prod(len(labels) for _, labels in dimensions)
        start = random.Random(self._seed_state).randrange(size)
        self._seed_state += 1
        for rank in range(start, start + size):
            values, rest = {}, rank % size
            for name, labels in dimensions:
                rest, index = divmod(rest, len(labels))
                values[name] = labels[index]
            if not self._duplicate(values):
                return values
        return None

    def fresh(self) -> Values | None:
        """Random values not tried yet; None when all have been."""
        # keras-tuner gives up after a few collisions: a small space would never be tried completely.
        values: Values | None = self._random_values()
        return self.untried() if values is None else values


@cache
def _thread_pools() -> ThreadpoolController:
    """Of the libraries that are loaded; finding them takes 80 ms, so it is done once."""
    return ThreadpoolController()


@contextmanager
def awake(oracle: DatabaseOracle) -> Iterator[None]:
    """The time in which an oracle may be used. Afterwards keras-tuner's globals no longer hold it or its lock.

    Matrices are multiplied on one thread: those of a search are small, threads that wait for each other on a busy
    machine take fifty times as long, and the last digits of a sum do not depend on the number of cores.
    """
    oracle.verbose = 0
    try:
        with _thread_pools().limit(limits=1, user_api="blas"), warnings.catch_warnings():
            # keras-tuner 1.4.8 names its threads with functions that Python 3.10 deprecated.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="keras_tuner")
            yield
    finally:
        LOCKS.pop(oracle, None)
        THREADS.pop(oracle, None)


def restore(oracle: DatabaseOracle, state: State | None, trials: Sequence[Told]) -> None:
    """Bring a new oracle to where `snapshot` left it; then tell it of the trials that ended since.

    Without a state the oracle starts afresh but knows the trials, so it repeats none.
    """
    if state is None:
        _adopt(oracle, trials)
    else:
        _set_state(oracle, state, trials)
    known = set(oracle.end_order)
    for told in trials:
        if told.ended and told.trial_id not in known:
            end(oracle, told)


def _set_state(oracle: DatabaseOracle, state: State, trials: Sequence[Told]) -> None:
    # The order matters: `set_state` looks the ongoing trials up among the trials.
    ended = set(state["oracle"]["end_order"])
    for told in trials:
        finished = told.trial_id in ended
        oracle.trials[told.trial_id] = _trial(oracle, told, finished=finished)
        if finished:
            oracle.known[told.trial_id] = told
    oracle.set_state(state["oracle"])
    oracle.tuner_ids = set(state["tuner_ids"])


def _adopt(oracle: DatabaseOracle, trials: Sequence[Told]) -> None:
    for told in trials:
        trial = _trial(oracle, told, finished=False)
        oracle.trials[told.trial_id] = trial
        oracle.start_order.append(told.trial_id)
        oracle.ongoing_trials[_tuner(told.trial_id)] = trial
        oracle.tuner_ids.add(_tuner(told.trial_id))
        oracle._record_values(trial)


def _trial(oracle: DatabaseOracle, told: Told, *, finished: bool) -> Trial:
    """A trial as it was: running, or with the end the oracle has already taken note of."""
    # The space is shared by all trials and never changes; only the values are each trial's own. `copy.copy` would do
    # the same ten times slower, and a thousand trials are restored for every question.
    shared = oracle.hyperparameters
    space = object.__new__(type(shared))
    space.__dict__ |= shared.__dict__ | {"values": dict(told.values)}
    trial = Trial(space, trial_id=told.trial_id)
    if finished:
        trial.score = oracle.score_of(told)
        trial.status = TrialStatus.FAILED if trial.score is None else TrialStatus.COMPLETED
    return trial


def end(oracle: DatabaseOracle, told: Told) -> None:
    """Tell the oracle how a trial ended."""
    score = oracle.score_of(told)
    if score is not None:
        oracle.update_trial(told.trial_id, {SCORE: score})
    trial = oracle.trials[told.trial_id]
    trial.status = TrialStatus.FAILED if score is None else TrialStatus.COMPLETED
    oracle.known[told.trial_id] = told
    oracle.end_trial(trial)


def ask(oracle: DatabaseOracle) -> Trial:
    """The next trial. Its status is RUNNING, IDLE (first others must end) or STOPPED (there is none)."""
    # One tuner per trial: an oracle gives a tuner that has a trial the same trial again.
    return oracle.create_trial(_tuner(str(len(oracle.trials))))


def _tuner(trial_id: str) -> str:
    return f"tuner-{int(trial_id)}"


def snapshot(oracle: DatabaseOracle) -> State:
    """What `restore` needs besides the trials: JSON values, and the same ones for the same history."""
    state = oracle.get_state()
    state["tried_so_far"] = sorted(state["tried_so_far"])
    return {"oracle": state, "tuner_ids": sorted(oracle.tuner_ids)}


def proposal(values: Values | None) -> State:
    """The answer of `populate_space`: values, or STOPPED where there are none."""
    if values is None:
        return {"status": TrialStatus.STOPPED, "values": None}
    return {"status": TrialStatus.RUNNING, "values": dict(values)}
