"""Proposes a job's next trials. A pure function of the job, its trials and the oracle's state: rows in, trials out."""

from __future__ import annotations

import copy
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import attrgetter, is_not
from typing import Final

from keras_tuner.engine.trial import Trial
from keras_tuner.engine.trial import TrialStatus as OracleStatus

from search.history import (
    PENALTY,
    TRIAL_ENDED,
    Assignment,
    NewTrial,
    TrialRecord,
    TrialStatus,
    polish_of,
    trial_seed,
)
from search.oracles import ORACLES
from search.oracles.base import (
    RESERVED,
    CandidatePricer,
    DatabaseOracle,
    Observation,
    OracleContext,
    State,
    catch_up,
    next_trial,
    oracle_session,
    report,
    restore,
    snapshot,
    unsettled,
)
from search.oracles.budget import TrialBudget
from search.process import without_collections
from search.scoring.forgiving_factor import ForgivingFactor, factor_of
from search.space.choices import Choices
from search.space.sensitivity import Sensitivity
from search.spec.job import SearchSpec
from search.spec.oracle import Constraints

#: Consecutive repeats of networks already proposed after which a space counts as exhausted.
MAX_REPEATS: Final = 200

#: Consecutive trials judged without training after which the search ends: nothing better is likely to be left.
MAX_FREE: Final = 500


@dataclass(frozen=True, slots=True)
class Proposal:
    """New trials, the state to store with them (JSON), and whether these are the last."""

    trials: tuple[NewTrial, ...]
    state: str
    exhausted: bool


# A thousand trials are restored for a proposal; the collector's passes over them take longer than the proposal.
@without_collections()
def propose(
    spec: SearchSpec,
    choices: Choices,
    pricer: CandidatePricer,
    reference: float,
    history: Sequence[TrialRecord],
    state: str | None,
    count: int,
    sensitivity: Sensitivity | None = None,
    warm: WarmOracle | None = None,
) -> Proposal:
    """At most `count` new trials, numbered from 0 through the job; the same arguments give the same proposal.

    `reference` is the cost of the float network, `history` all trials of the job so far, `state` that of the last
    proposal (None at first), `sensitivity` what was measured of the job, for oracles that need it. No two trials build
    the same network, except that one may continue another. Fewer than `count` are proposed when the budget or the space
    is exhausted, or while the oracle waits for results of running trials. Trials judged without training do not count
    against the budget. `warm` keeps the oracle for the job's next proposal, which then takes no longer for many trials;
    it never changes a proposal.
    """
    stored: State = json.loads(state) if state else {"oracle": None, "skipped": []}
    everything = sorted(history, key=attrgetter("number"))
    records = [record for record in everything if polish_of(record) is None]  # the others no oracle proposed
    following = everything[-1].number + 1 if everything else 0
    if spec.goal.effective is not None:
        pricer = _trained_pricer(pricer, records)
    context = _context(spec, choices, pricer, reference, sensitivity)
    budget = TrialBudget(spec, records)
    kept = None if warm is None else warm.take(records, stored)
    oracle = ORACLES[spec.oracle.kind](spec.oracle, context) if kept is None else kept.oracle
    with oracle_session(oracle):
        if kept is None:
            restore(oracle, stored["oracle"], _observations(records, stored["skipped"], context))
            batch = _Batch(oracle, choices, budget, records, spec.seed, following)
        else:
            oracle.context = context
            count_all = len(records) + len(stored["skipped"])
            catch_up(oracle, stored["oracle"], kept.changes(records, stored, context), count_all)
            batch = kept.next_batch(budget, records, following)
        hopeless = _is_hopeless(records)
        trials = batch.new_trials(0 if hopeless else min(count, budget.trials))
        stored = {"oracle": batch.state(), "skipped": [*stored["skipped"], *batch.skipped]}
    if warm is not None:
        warm.keep(records, len(stored["skipped"]), batch)
    all_tried = len(batch.seen) >= choices.size() and not batch.continues
    exhausted = batch.stopped or all_tried or budget.is_spent or hopeless
    return Proposal(trials, json.dumps(stored, allow_nan=False), exhausted)


def _context(
    spec: SearchSpec,
    choices: Choices,
    pricer: CandidatePricer,
    reference: float,
    sensitivity: Sensitivity | None,
) -> OracleContext:
    factor = factor_of(spec)
    best = spec.objective.info.best
    return OracleContext(
        choices,
        spec.seed,
        spec.training.epochs,
        pricer,
        factor,
        reference,
        spec.constraints,
        best_merit=None if best is None else factor.merit(best),
        sensitivity=sensitivity,
    )


@dataclass(frozen=True)
class _TrainedPricer:
    """Prices candidates by their types, times the share of that which trained weights use."""

    pricer: CandidatePricer
    share: float

    def price_many(self, assignments: Sequence[Assignment]) -> Sequence[float | None]:
        """The expected cost of each assignment once it is trained."""
        costs = self.pricer.price_many(assignments)
        return [None if cost is None else cost * self.share for cost in costs]

    def keeps(self, assignment: Assignment, constraints: Constraints) -> bool:
        """As the pricer's: constraints are on what the types cost."""
        return self.pricer.keeps(assignment, constraints)


def _trained_pricer(pricer: CandidatePricer, records: Sequence[TrialRecord]) -> CandidatePricer:
    """The pricer of a goal that counts trained weights: by the geometric mean of what the measured trials use."""
    measured = [record for record in records if record.status == TrialStatus.DONE and (record.cost or 0) > 0]
    bounds = pricer.price_many([record.assignment for record in measured])
    shares = [
        record.cost / bound
        for record, bound in zip(measured, bounds, strict=True)
        if record.cost is not None and bound
    ]
    return _TrainedPricer(pricer, statistics.geometric_mean(shares)) if shares else pricer


def _is_hopeless(records: Sequence[TrialRecord]) -> bool:
    return len(records) >= MAX_FREE and all(record.free for record in records[-MAX_FREE:])


@dataclass
class _Batch:
    """The trials of one proposal, requested from the oracle one by one."""

    oracle: DatabaseOracle
    choices: Choices
    budget: TrialBudget
    records: Sequence[TrialRecord]
    seed: int  #: the job's
    following: int  #: number of the next trial
    stopped: bool = False
    skipped: list[State] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._parents: dict[int, int | None] = {}
        self._assignments: dict[int, Assignment] = {}
        self._known_keys: set[str] = set()
        self._known_epochs = False
        self._begin(self.records)

    def _begin(self, new: Sequence[TrialRecord]) -> None:
        """Begin to propose; `new`: the trials of the job that are not known yet."""
        for record in new:
            self._numbers[record.oracle_trial["trial_id"]] = record.number
            self._parents[record.number] = record.parent
            self._assignments[record.number] = record.assignment
            self._known_keys.add(record.assignment.key)
            self._known_epochs = self._known_epochs or record.epochs is not None
        self.seen, self.continues = set(self._known_keys), self._known_epochs
        self._next = self.following
        self._unpaid: State | None = None

    def continued(self, budget: TrialBudget, records: Sequence[TrialRecord], following: int) -> _Batch:
        """The next batch of the same oracle, which need not pass over the trials that this one knew."""
        batch, known = copy.copy(self), len(self.records)
        batch.budget, batch.records, batch.following = budget, records, following
        batch.stopped, batch.skipped = False, []
        batch._begin(records[known:])
        return batch

    def numbers(self, trial_ids: Iterable[str]) -> list[int]:
        """The numbers of the oracle's trials in the job; skipped trials have none."""
        return [self._numbers[trial_id] for trial_id in trial_ids if trial_id in self._numbers]

    def state(self) -> State:
        """The oracle's state, before a trial that could not be paid for: a larger budget has it proposed again."""
        return snapshot(self.oracle) if self._unpaid is None else self._unpaid

    def new_trials(self, count: int) -> tuple[NewTrial, ...]:
        """Up to `count` trials: assignments that were not proposed before, or continued trials."""
        trials: list[NewTrial] = []
        repeats = 0
        while len(trials) < count and not self.stopped:
            before = None if math.isinf(self.budget.epochs) else json.dumps(snapshot(self.oracle))
            oracle_trial = next_trial(self.oracle)
            if oracle_trial.status != OracleStatus.RUNNING:
                self.stopped = oracle_trial.status == OracleStatus.STOPPED
                break
            trial = self._new_trial(oracle_trial)
            if trial.parent is None and trial.assignment.key in self.seen:
                repeats += 1
                self._skip(oracle_trial)
                self.stopped = repeats >= MAX_REPEATS
                continue
            if not self.budget.pay(trial.epochs, trial.initial_epoch):
                self.stopped = True
                self._unpaid = None if before is None else json.loads(before)
                break
            repeats = 0
            self.seen.add(trial.assignment.key)
            self._numbers[oracle_trial.trial_id] = trial.number
            self._parents[trial.number] = trial.parent
            self._assignments[trial.number] = trial.assignment
            self._next += 1
            trials.append(trial)
        return tuple(trials)

    def _new_trial(self, oracle_trial: Trial) -> NewTrial:
        """The oracle's trial as one of the job; how it is trained is among its values, under keras-tuner's names."""
        values = oracle_trial.hyperparameters.values
        chosen = {name: value for name, value in values.items() if not name.startswith(RESERVED)}
        epochs = values.get(f"{RESERVED}epochs")
        self.continues = self.continues or epochs is not None
        parent_id = values.get(f"{RESERVED}trial_id")
        parent = None if parent_id is None else self._numbers[parent_id]
        assignment = self.choices.assignment(chosen)
        if parent is not None and PENALTY in values:
            assignment = self._assignments[parent]  # bits are trained on from what they became
        return NewTrial(
            number=self._next,
            assignment=assignment,
            oracle_trial=_document(oracle_trial),
            seed=trial_seed(self.seed, self._next, parent, self._parents),
            epochs=epochs,
            initial_epoch=values.get(f"{RESERVED}initial_epoch", 0),
            parent=parent,
        )

    def _skip(self, oracle_trial: Trial) -> None:
        """End a trial immediately whose labels give a known network, such as widths that round to the same number."""
        values = oracle_trial.hyperparameters.values
        report(self.oracle, Observation(oracle_trial.trial_id, values, ended=True))
        self.skipped.append(_document(oracle_trial))


@dataclass(frozen=True)
class _Kept:
    """An oracle as a proposal left it, and what it knew."""

    records: Sequence[TrialRecord]  #: records never change: a trial that does gets a new one
    skipped: int
    batch: _Batch

    @property
    def oracle(self) -> DatabaseOracle:
        """The oracle."""
        return self.batch.oracle

    def changes(
        self, records: Sequence[TrialRecord], stored: State, context: OracleContext
    ) -> dict[str, Observation]:
        """The trials that differ from what the oracle knows, and those that are or were open."""
        numbers = self.batch.numbers(unsettled(self.oracle, stored["oracle"]))
        changed = [
            *compress(records, map(is_not, self.records, records)),
            *records[len(self.records) :],
            *(records[number] for number in numbers if number < len(records)),
        ]
        observations = _observations(changed, stored["skipped"][self.skipped :], context)
        return {observation.trial_id: observation for observation in observations}

    def next_batch(self, budget: TrialBudget, records: Sequence[TrialRecord], following: int) -> _Batch:
        """What is proposed next."""
        return self.batch.continued(budget, records, following)


class WarmOracle:
    """Keeps the oracle of a job between its proposals. For one job, or one stage of it, in one process.

    Before the next proposal it is told what has changed, also by other workers: their proposals, trials that were
    retried. It proposes what one would that is built anew from the rows, which happens after a restart.
    """

    def __init__(self) -> None:
        self._kept: _Kept | None = None

    def take(self, records: Sequence[TrialRecord], stored: State) -> _Kept | None:
        """What was kept, unless the oracle must be built: for a state of an earlier version, or other trials."""
        kept, self._kept = self._kept, None
        if kept is None or stored["oracle"] is None or "start_order" in stored["oracle"]["oracle"]:
            return None
        if len(records) < len(kept.records) or len(stored["skipped"]) < kept.skipped:
            return None
        is_whole = not records or records[-1].number == len(records) - 1
        return kept if is_whole else None

    def keep(self, records: Sequence[TrialRecord], skipped: int, batch: _Batch) -> None:
        """Keep the oracle of a proposal that was made of these trials; `skipped`: how many it skips in all."""
        self._kept = _Kept(records, skipped, batch)


def _document(oracle_trial: Trial) -> State:
    return {"trial_id": oracle_trial.trial_id, "values": dict(oracle_trial.hyperparameters.values)}


def _observations(
    records: Sequence[TrialRecord], skipped: Sequence[State], context: OracleContext
) -> list[Observation]:
    """All that the oracle has proposed, in its order."""
    observations = [_observation(record, context.factor, context.reference) for record in records]
    observations += [Observation(trial["trial_id"], trial["values"], ended=True) for trial in skipped]
    return sorted(observations, key=lambda observation: int(observation.trial_id))


#: A metric counts, also that of a training that was stopped early.
_MEASURED: Final = frozenset({TrialStatus.DONE, TrialStatus.PRUNED})


def _observation(record: TrialRecord, factor: ForgivingFactor, reference: float) -> Observation:
    """A trial as its oracle sees it. One with a metric or score that is not finite counts as failed."""
    trial_id, values = record.oracle_trial["trial_id"], record.oracle_trial["values"]
    if record.status not in TRIAL_ENDED:
        return Observation(trial_id, values, ended=False)
    if record.status not in _MEASURED or record.metric is None or record.cost is None:
        return Observation(trial_id, values, ended=True, outcome=record.status, bound=record.bound)
    score = factor.score(record.metric, record.cost, reference)
    if not (math.isfinite(score) and math.isfinite(record.metric)):
        return Observation(trial_id, values, ended=True, outcome=TrialStatus.FAILED)
    return Observation(
        trial_id,
        values,
        ended=True,
        outcome=record.status,
        score=score,
        merit=factor.merit(record.metric),
        cost=record.cost,
    )
