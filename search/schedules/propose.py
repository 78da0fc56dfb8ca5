"""Proposes the next trials of a job that searches in stages, each with its oracle, on top of the best before it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from search.engine import Proposal, WarmOracle, propose
from search.history import Assignment, NewTrial, TrialRecord, trial_seed
from search.oracles.base import RESERVED, CandidatePricer
from search.schedules import Stage, current_stage
from search.schedules.base import on_top_of
from search.scoring.best import best_trial
from search.scoring.forgiving_factor import factor_of
from search.space.sensitivity import Sensitivity
from search.spec.job import SearchSpec
from search.spec.oracle import Constraints


def propose_in_stages(
    spec: SearchSpec,
    stages: Sequence[Stage],
    pricer: CandidatePricer,
    reference: float,
    history: Sequence[TrialRecord],
    state: str | None,
    count: int,
    sensitivity: Sensitivity | None = None,
    warm: WarmSearch | None = None,
) -> Proposal:
    """`propose`, for the current stage; nothing until every trial of the stage before has ended.

    A trial of a later stage builds on the best trial of the one before: its assignment and, as `parent`, its weights.
    A stage without a measured trial settles nothing; the next one starts from what was settled before it.
    `warm` keeps the oracle of the stage for the job's next proposal; it never changes a proposal.
    """
    warm = warm or WarmSearch()
    if len(stages) == 1:
        oracle = warm.oracle
        return propose(spec, stages[0].choices, pricer, reference, history, state, count, sensitivity, oracle)
    stored: dict[str, Any] = json.loads(state) if state else {"stage": -1, "oracle": None, "exhausted": []}
    stage = current_stage(stages, history, frozenset(stored["exhausted"]))
    if stage is None:
        return Proposal((), json.dumps(stored), exhausted=True)
    if stage.index != stored["stage"]:
        stored |= {"stage": stage.index, "oracle": None}
    base = _base_trial(spec, stages[: stage.index], reference, history)
    search = _StageSearch(spec, stage, base, pricer, reference, sensitivity, warm)
    proposal = search.propose(history, stored["oracle"], count)
    stored["oracle"] = proposal.state
    if proposal.exhausted:
        stored["exhausted"] = sorted({*stored["exhausted"], stage.index})
    over = len(stored["exhausted"]) == len(stages)
    return Proposal(proposal.trials, json.dumps(stored), exhausted=over)


class WarmSearch:
    """Keeps the oracle of a job's current stage between its proposals. For one job in one process."""

    def __init__(self) -> None:
        self.oracle = WarmOracle()
        self._stage: tuple[int, int | None] | None = None
        self._records: dict[int, tuple[TrialRecord, TrialRecord]] = {}

    def begin(self, stage: tuple[int, int | None]) -> None:
        """Go on with a stage, known by its index and the number of the trial that it builds on."""
        if stage != self._stage:
            self.oracle, self._stage, self._records = WarmOracle(), stage, {}

    def records(
        self, job_records: Sequence[TrialRecord], of_stage: Callable[[TrialRecord], TrialRecord]
    ) -> list[TrialRecord]:
        """Trials of the job as those of the stage: the same object for the same one, so that only new ones are told."""
        earlier, self._records = self._records, {}
        for record in job_records:
            pair = earlier.get(record.number)
            if pair is None or pair[0] is not record:
                pair = (record, of_stage(record))
            self._records[record.number] = pair
        return [record for _, record in self._records.values()]


def _base_trial(
    spec: SearchSpec, before: Sequence[Stage], reference: float, history: Sequence[TrialRecord]
) -> TrialRecord | None:
    """The best trial of the last stage that has one."""
    factor = factor_of(spec)
    for stage in reversed(before):
        best = best_trial(stage.records(history), factor, reference)
        if best is not None:
            return best.trial
    return None


@dataclass(frozen=True)
class _StageSearch:
    """The search of one stage: trials numbered from 0, assignments without what earlier stages settled."""

    spec: SearchSpec  #: the job's
    stage: Stage
    base: TrialRecord | None  #: the trial that the stage builds on
    pricer: CandidatePricer
    reference: float
    sensitivity: Sensitivity | None
    warm: WarmSearch

    def propose(self, history: Sequence[TrialRecord], state: str | None, count: int) -> Proposal:
        """New trials of the job, given the trials of all stages."""
        self.warm.begin((self.stage.index, None if self.base is None else self.base.number))
        budget = self.spec.budget.model_copy(update={"trials": self.stage.trials})
        proposal = propose(
            self.spec.model_copy(update={"budget": budget}),
            self.stage.choices,
            _StagePricer(self.pricer, self._base_assignment),
            self.reference,
            self.warm.records(self.stage.records(history), self._stage_record),
            state,
            count,
            self.sensitivity,
            self.warm.oracle,
        )
        parents = {record.number: record.parent for record in history}
        trials = tuple(self._job_trial(trial, parents) for trial in proposal.trials)
        return replace(proposal, trials=trials)

    @property
    def _base_assignment(self) -> Assignment | None:
        return None if self.base is None else self.base.assignment

    def _stage_record(self, record: TrialRecord) -> TrialRecord:
        """A trial of the job as one of the stage."""
        values = record.oracle_trial["values"]
        labels = {name: value for name, value in values.items() if not name.startswith(RESERVED)}
        first = self.stage.first
        return replace(
            record,
            number=record.number - first,
            assignment=self.stage.choices.assignment(labels),
            parent=None if record.parent is None or record.parent < first else record.parent - first,
        )

    def _job_trial(self, trial: NewTrial, parents: dict[int, int | None]) -> NewTrial:
        """A trial of the stage as one of the job."""
        number = trial.number + self.stage.first
        parent = None if self.base is None else self.base.number
        if trial.parent is not None:
            parent = trial.parent + self.stage.first
        return replace(
            trial,
            number=number,
            assignment=on_top_of(self._base_assignment, trial.assignment),
            seed=trial_seed(self.spec.seed, number, parent, parents),
            parent=parent,
        )


@dataclass(frozen=True)
class _StagePricer:
    """Prices what a stage chooses as part of the whole network."""

    pricer: CandidatePricer
    base: Assignment | None

    def price_many(self, assignments: Sequence[Assignment]) -> Sequence[float | None]:
        """The cost of each whole network."""
        return self.pricer.price_many([on_top_of(self.base, assignment) for assignment in assignments])

    def keeps(self, assignment: Assignment, constraints: Constraints) -> bool:
        """Whether the whole network keeps the constraints."""
        return self.pricer.keeps(on_top_of(self.base, assignment), constraints)
