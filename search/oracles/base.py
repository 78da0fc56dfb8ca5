"""keras-tuner's oracles without its Tuner, project directory and chief process.

An oracle lives for one call: it is built, brought up to date (`restore`), queried for trials (`next_trial`) and
discarded. Between calls its state is the JSON of `snapshot`, together with the trials themselves.
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
from search.space.sensitivity import Sensitivity
from search.spec.oracle import Constraints

SCORE: Final = "score"

#: Limit on failures, out of reach: keras-tuner stops for good at its limit, and the service has its own rules.
NEVER: Final = 2**31

#: Values that are keras-tuner's own, not choices of the network.
RESERVED: Final = "tuner/"

Label = str | float
Values = Mapping[str, str | float | int | bool]
State = dict[str, Any]


class CandidatePricer(Protocol):
    """Prices networks before they are trained."""

    def price_many(self, assignments: Sequence[Assignment]) -> Sequence[float | None]:
        """The cost of each assignment under the job's goal; None where no network can be built."""

    def keeps(self, assignment: Assignment, constraints: Constraints) -> bool:
        """False if its cost breaks a constraint or no network can be built."""


@dataclass(frozen=True)
class OracleContext:
    """What an oracle knows about its job."""

    choices: Choices
    seed: int
    epochs: int  #: of a whole training
    pricer: CandidatePricer
    factor: ForgivingFactor
    reference: float  #: cost of the float network
    constraints: Constraints
    best_merit: float | None = 1.0  #: upper bound of a trial's merit; None where there is none
    sensitivity: Sensitivity | None = None  #: where the oracle needs it (`needs_sensitivity`)

    @cached_property
    def space(self) -> keras_tuner.HyperParameters:
        """The choices, as keras-tuner's hyperparameters."""
        return hyperparameters(self.choices)

    @cached_property
    def dimensions(self) -> Mapping[str, tuple[Label, ...]]:
        """Name of each choice -> its labels, in order."""
        return self.choices.dimensions()


@dataclass(frozen=True, slots=True)
class Observation:
    """A trial as its oracle sees it: running, or ended. `score` is None for a trial that ended without one.

    `outcome` is how it ended; None for an assignment that was skipped because it gives a network tried before. `merit`
    and `cost` are what the score was computed from: the merit is the metric with the sign that makes larger better.
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
    """Base class, placed before an oracle of keras-tuner: what that writes to files stays in memory.

    Further state that an oracle needs to continue exactly where it was belongs in `get_state` and `set_state`.
    """

    def __init__(self, context: OracleContext, **arguments: Any) -> None:
        super().__init__(
            objective=keras_tuner.Objective(SCORE, "max"),
            hyperparameters=context.space,
            seed=context.seed + 1,  # keras-tuner draws a random seed for 0
            max_retries_per_trial=0,
            max_consecutive_failed_trials=NEVER,
            **arguments,
        )
        self.context = context
        self.observations: dict[str, Observation] = {}  #: the trials that ended, by id

    def save(self) -> None:
        """Does nothing: `snapshot` returns the state instead."""

    def _save_trial(self, trial: Trial) -> None:
        """Does nothing: trials are rows of the database."""

    def _check_consecutive_failures(self) -> None:
        """Does nothing: keras-tuner would pass over all trials at the end of each, for a limit out of reach."""

    def score_of(self, observation: Observation) -> float | None:
        """The score that the oracle is given for a trial that ended; None if the trial counts as failed."""
        return observation.score

    def by_number(self) -> list[tuple[str, Observation]]:
        """Id and observation of the trials that ended, in the order in which they were proposed."""
        return sorted(self.observations.items(), key=lambda entry: int(entry[0]))

    def generator(self, trial_id: str) -> np.random.Generator:
        """Random numbers for one proposal. They depend on the seed and the trial's id alone: no state is stored."""
        return np.random.default_rng([self.seed, int(trial_id)])

    def next_untried(self) -> Values | None:
        """The first untried combination in order, from a random one on; None if all have been tried.

        Checks at most one combination more than have been tried.
        """
        dimensions = list(self.context.dimensions.items())
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

    def random_untried(self) -> Values | None:
        """Random values that have not been tried; None if all have been."""
        # keras-tuner gives up after a few collisions: a small space would never be tried completely.
        values: Values | None = self._random_values()
        return self.next_untried() if values is None else values


@cache
def _thread_pools() -> ThreadpoolController:
    """The thread pools of the loaded libraries. The look-up takes 80 ms, so it is done once."""
    return ThreadpoolController()


@contextmanager
def oracle_session(oracle: DatabaseOracle) -> Iterator[None]:
    """The scope in which an oracle may be used. Afterwards keras-tuner's globals hold neither it nor its lock.

    BLAS runs on one thread: the matrices of a search are small, threads waiting for each other on a busy machine take
    fifty times as long, and the last digits of a sum do not depend on the number of cores.
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


#: Parts of keras-tuner's state that the trials tell, or that nothing reads: they would grow with each of them.
_UNTOLD: Final[State] = {"start_order": [], "end_order": [], "run_times": {}, "id_to_hash": {}}


def restore(oracle: DatabaseOracle, state: State | None, observations: Sequence[Observation]) -> None:
    """Bring a new oracle to where `snapshot` left it, then report the trials that ended since.

    Without a state the oracle starts anew, but all trials are registered with it, so it repeats none of them.
    """
    if state is None:
        _register(oracle, observations)
    else:
        _set_state(oracle, state, observations)
    for observation in observations:
        if observation.ended and observation.trial_id not in oracle.observations:
            report(oracle, observation)


def _set_state(oracle: DatabaseOracle, state: State, observations: Sequence[Observation]) -> None:
    # The order matters: `set_state` looks up the ongoing trials among the trials.
    open_ids = set(state["oracle"]["ongoing_trials"].values())
    for observation in observations:
        finished = observation.trial_id not in open_ids
        oracle.trials[observation.trial_id] = _trial(oracle, observation, finished=finished)
        if finished:
            oracle.observations[observation.trial_id] = observation
        else:
            oracle.observations.pop(observation.trial_id, None)
        hashed = oracle._compute_values_hash(oracle.trials[observation.trial_id].hyperparameters.values)
        oracle._id_to_hash[observation.trial_id] = hashed
    _set_own_state(oracle, state["oracle"])


def _set_own_state(oracle: DatabaseOracle, state: State) -> None:
    """keras-tuner's state, of what `snapshot` stores and what the trials tell: copies of that would take time."""
    hashes = oracle._id_to_hash
    if "untried" in state:
        tried = {*hashes.values(), *state["tried_so_far"]} - set(state["untried"])
    else:  # as earlier versions stored it
        tried = set(state["tried_so_far"])
    oracle.set_state(state | _UNTOLD | {"tried_so_far": ()})
    oracle._id_to_hash, oracle._tried_so_far = hashes, tried
    oracle.start_order = list(oracle.trials)
    oracle.tuner_ids = set(oracle.ongoing_trials)


def catch_up(oracle: DatabaseOracle, state: State, changed: Mapping[str, Observation], count: int) -> None:
    """`restore`, for an oracle that was restored before, whatever it has proposed since.

    `changed` are the observations that have changed, and those of `unsettled`; `count` is the number of all trials.
    """
    while len(oracle.trials) > count:  # proposals that were not stored
        oracle._id_to_hash.pop(oracle.trials.popitem()[0], None)
    ordered = sorted(changed.values(), key=lambda observation: int(observation.trial_id))
    _set_state(oracle, state, ordered)
    for observation in ordered:
        if observation.ended and observation.trial_id not in oracle.observations:
            report(oracle, observation)


def unsettled(oracle: DatabaseOracle, state: State) -> set[str]:
    """Ids of the trials that are open in the state, or for the oracle."""
    ongoing = {trial.trial_id for trial in oracle.ongoing_trials.values()}
    return ongoing | set(state["oracle"]["ongoing_trials"].values())


def _register(oracle: DatabaseOracle, observations: Sequence[Observation]) -> None:
    for observation in observations:
        trial = _trial(oracle, observation, finished=False)
        tuner_id = _tuner_id(observation.trial_id)
        oracle.trials[observation.trial_id] = trial
        oracle.start_order.append(observation.trial_id)
        oracle.ongoing_trials[tuner_id] = trial
        oracle.tuner_ids.add(tuner_id)
        oracle._record_values(trial)


def _trial(oracle: DatabaseOracle, observation: Observation, *, finished: bool) -> Trial:
    """A trial of keras-tuner as it was: running, or `finished` with the result already reported to the oracle."""
    # All trials share the space, which never changes; only the values are each trial's. `copy.copy` would do the same
    # ten times slower, and a thousand trials are restored for every proposal.
    shared = oracle.hyperparameters
    space = object.__new__(type(shared))
    space.__dict__ |= shared.__dict__ | {"values": dict(observation.values)}
    trial = Trial(space, trial_id=observation.trial_id)
    if finished:
        trial.score = oracle.score_of(observation)
        trial.status = TrialStatus.FAILED if trial.score is None else TrialStatus.COMPLETED
    return trial


def report(oracle: DatabaseOracle, observation: Observation) -> None:
    """Report the result of a trial that ended."""
    score = oracle.score_of(observation)
    if score is not None:
        oracle.update_trial(observation.trial_id, {SCORE: score})
    trial = oracle.trials[observation.trial_id]
    trial.status = TrialStatus.FAILED if score is None else TrialStatus.COMPLETED
    oracle.observations[observation.trial_id] = observation
    oracle.end_trial(trial)


def next_trial(oracle: DatabaseOracle) -> Trial:
    """The oracle's next trial. Its status is RUNNING, IDLE (others must end first) or STOPPED (there is none left)."""
    # One tuner per trial: an oracle returns a tuner's ongoing trial to it again.
    return oracle.create_trial(_tuner_id(str(len(oracle.trials))))


def _tuner_id(trial_id: str) -> str:
    return f"tuner-{int(trial_id)}"


def snapshot(oracle: DatabaseOracle) -> State:
    """What `restore` needs besides the trials: JSON values, equal for equal histories.

    Its size does not grow with the trials. `tried_so_far` are the hashes of values that no trial has, `untried` those
    of trials that do not count as tried.
    """
    state = oracle.get_state()
    hashes, tried = set(state["id_to_hash"].values()), set(state["tried_so_far"])
    for name in _UNTOLD:
        del state[name]
    state["tried_so_far"], state["untried"] = sorted(tried - hashes), sorted(hashes - tried)
    state["display"] = {"search_start": None, "trial_start": {}, "trial_number": {}}
    return {"oracle": state}


def proposal(values: Values | None) -> State:
    """The result of `populate_space`: these values, or STOPPED if there are none."""
    if values is None:
        return {"status": TrialStatus.STOPPED, "values": None}
    return {"status": TrialStatus.RUNNING, "values": dict(values)}
