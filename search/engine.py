"""What to try next. A pure function of the job, its trials and the oracle's memory: rows in, proposals out."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from keras_tuner.engine.trial import Trial
from keras_tuner.engine.trial import TrialStatus as OracleStatus

from search.history import TRIAL_ENDED, NewTrial, TrialRecord, TrialStatus, paid, trial_seed
from search.oracles import ORACLES
from search.oracles.base import (
    RESERVED,
    DatabaseOracle,
    Prices,
    Setting,
    State,
    Told,
    ask,
    awake,
    end,
    restore,
    snapshot,
)
from search.process import without_collections
from search.scoring.forgiving_factor import ForgivingFactor, factor_of
from search.space.choices import Choices
from search.spec.job import SearchSpec
from search.spec.oracle import NoBound, NoPostTraining

#: Proposals in a row that would build a network already proposed, after which a space counts as used up.
MAX_REPEATS: Final = 200

#: Trials in a row that were judged without training, after which nothing better is believed to be left.
MAX_FREE: Final = 500


@dataclass(frozen=True, slots=True)
class Proposal:
    """New trials, the oracle's memory (JSON) to be stored with them, and whether there will never be more."""

    trials: tuple[NewTrial, ...]
    state: str
    exhausted: bool


# A thousand trials are restored for a question; the collector's passes over them take longer than the question.
@without_collections()
def propose(
    spec: SearchSpec,
    choices: Choices,
    prices: Prices,
    reference: float,
    history: Sequence[TrialRecord],
    state: str | None,
    count: int,
) -> Proposal:
    """At most `count` new trials, numbered from 0 through the job; the same arguments give the same proposal.

    `reference` is the reference cost, `history` all trials of the job so far, `state` the last proposal's (None at
    first). No two trials build the same network, but that one may continue another. Fewer than `count` are proposed
    where the budget or the space ends, and where the oracle first wants to know how running trials end. Trials judged
    without training cost nothing of the budget.
    """
    memory: State = json.loads(state) if state else {"oracle": None, "skipped": []}
    records = sorted(history, key=lambda record: record.number)
    factor = factor_of(spec)
    best = spec.objective.info.best
    setting = Setting(
        choices,
        spec.seed,
        spec.training.epochs,
        prices,
        factor,
        reference,
        spec.constraints,
        best_merit=None if best is None else factor.merit(best),
    )
    oracle = ORACLES[spec.oracle.kind](spec.oracle, setting)
    budget = _Budget(spec, records)
    with awake(oracle):
        told = _told(records, memory["skipped"], factor, reference)
        restore(oracle, memory["oracle"], told)
        asking = _Asking(oracle, choices, budget, records, spec.seed)
        hopeless = _is_hopeless(records)
        trials = asking.new_trials(0 if hopeless else min(count, budget.trials))
        memory = {"oracle": asking.state(), "skipped": [*memory["skipped"], *asking.skipped]}
    used_up = len(asking.seen) >= choices.size() and not asking.continues
    exhausted = asking.stopped or used_up or budget.is_spent or hopeless
    return Proposal(trials, json.dumps(memory, allow_nan=False), exhausted)


def _is_hopeless(records: Sequence[TrialRecord]) -> bool:
    return len(records) >= MAX_FREE and all(record.free for record in records[-MAX_FREE:])


class _Budget:
    """What is left of the budget. Trials under way count as if they were to train all of their epochs."""

    def __init__(self, spec: SearchSpec, records: Sequence[TrialRecord]) -> None:
        self._whole = spec.training.epochs
        self._executions = spec.training.executions
        counted = paid(records)
        self.trials = max(spec.budget.trials - len(counted), 0)
        used = sum(self._cost(record.epochs, record.initial_epoch) for record in counted)
        self.epochs = math.inf if spec.budget.epochs is None else spec.budget.epochs - used
        # A trial that has not ended yet may turn out to be free.
        looks = not isinstance(spec.post_training, NoPostTraining)
        self._judges = looks or not isinstance(spec.bound, NoBound) or spec.constraints.limits_cost
        self._may_grow = self._judges and any(record.status not in TRIAL_ENDED for record in records)

    @property
    def is_spent(self) -> bool:
        """True if no further trial can ever be paid for."""
        return self.trials == 0 and not self._may_grow

    def _cost(self, epochs: int | None, initial_epoch: int) -> int:
        """Epochs of a trial, in all of its executions."""
        return ((epochs or self._whole) - initial_epoch) * self._executions

    def takes(self, epochs: int | None, initial_epoch: int) -> bool:
        """Pay for a training; False if it is too long for what is left."""
        cost = self._cost(epochs, initial_epoch)
        if self.trials < 1 or cost > self.epochs:
            return False
        self.trials -= 1
        self.epochs -= cost
        self._may_grow = self._judges
        return True


@dataclass
class _Asking:
    """One round of questions to an oracle."""

    oracle: DatabaseOracle
    choices: Choices
    budget: _Budget
    records: Sequence[TrialRecord]
    seed: int  #: the job's
    stopped: bool = False
    skipped: list[State] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.seen = {record.assignment.key for record in self.records}
        self.continues = any(record.epochs is not None for record in self.records)
        self._numbers = {record.oracle_trial["trial_id"]: record.number for record in self.records}
        self._parents = {record.number: record.parent for record in self.records}
        self._next = self.records[-1].number + 1 if self.records else 0
        self._taken_back: State | None = None

    def state(self) -> State:
        """The oracle's memory, without a trial that could not be paid for: under a larger budget it is asked again."""
        return snapshot(self.oracle) if self._taken_back is None else self._taken_back

    def new_trials(self, count: int) -> tuple[NewTrial, ...]:
        """Up to `count` trials: assignments that were not proposed before, or continued trials."""
        found: list[NewTrial] = []
        repeats = 0
        while len(found) < count and not self.stopped:
            before = None if math.isinf(self.budget.epochs) else json.dumps(snapshot(self.oracle))
            trial = ask(self.oracle)
            if trial.status != OracleStatus.RUNNING:
                self.stopped = trial.status == OracleStatus.STOPPED
                break
            proposed = self._proposed(trial)
            if proposed.parent is None and proposed.assignment.key in self.seen:
                repeats += 1
                self._skip(trial)
                self.stopped = repeats >= MAX_REPEATS
                continue
            if not self.budget.takes(proposed.epochs, proposed.initial_epoch):
                self.stopped = True
                self._taken_back = None if before is None else json.loads(before)
                break
            repeats = 0
            self.seen.add(proposed.assignment.key)
            self._numbers[trial.trial_id] = proposed.number
            self._next += 1
            found.append(proposed)
        return tuple(found)

    def _proposed(self, trial: Trial) -> NewTrial:
        """The trial as the job's; how it is trained is among its values, under names of keras-tuner's own."""
        values = trial.hyperparameters.values
        chosen = {name: value for name, value in values.items() if not name.startswith(RESERVED)}
        epochs = values.get(f"{RESERVED}epochs")
        self.continues = self.continues or epochs is not None
        parent_id = values.get(f"{RESERVED}trial_id")
        parent = None if parent_id is None else self._numbers[parent_id]
        return NewTrial(
            number=self._next,
            assignment=self.choices.assignment(chosen),
            oracle_trial=_kept(trial),
            seed=trial_seed(self.seed, self._next, parent, self._parents),
            epochs=epochs,
            initial_epoch=values.get(f"{RESERVED}initial_epoch", 0),
            parent=parent,
        )

    def _skip(self, trial: Trial) -> None:
        """Other labels, the same network (widths that round to one): ended at once, so that it stays known."""
        end(self.oracle, Told(trial.trial_id, trial.hyperparameters.values, ended=True))
        self.skipped.append(_kept(trial))


def _kept(trial: Trial) -> State:
    return {"trial_id": trial.trial_id, "values": dict(trial.hyperparameters.values)}


def _told(
    records: Sequence[TrialRecord], skipped: Sequence[State], factor: ForgivingFactor, reference: float
) -> list[Told]:
    """Everything the oracle proposed, in its own order."""
    told = [_lesson(record, factor, reference) for record in records]
    told += [Told(each["trial_id"], each["values"], ended=True) for each in skipped]
    return sorted(told, key=lambda each: int(each.trial_id))


#: What was measured counts, also of a training that was given up.
_MEASURED: Final = frozenset({TrialStatus.DONE, TrialStatus.PRUNED})


def _lesson(record: TrialRecord, factor: ForgivingFactor, reference: float) -> Told:
    """What an oracle may learn of a trial; numbers that are not finite make it a failed one."""
    trial_id, values = record.oracle_trial["trial_id"], record.oracle_trial["values"]
    if record.status not in TRIAL_ENDED:
        return Told(trial_id, values, ended=False)
    if record.status not in _MEASURED or record.metric is None or record.cost is None:
        return Told(trial_id, values, ended=True, outcome=record.status, bound=record.bound)
    score = factor.score(record.metric, record.cost, reference)
    if not (math.isfinite(score) and math.isfinite(record.metric)):
        return Told(trial_id, values, ended=True, outcome=TrialStatus.FAILED)
    return Told(
        trial_id,
        values,
        ended=True,
        outcome=record.status,
        score=score,
        merit=factor.merit(record.metric),
        cost=record.cost,
    )
