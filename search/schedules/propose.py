"""What to try next when a job goes stage by stage: each stage asks an oracle of its own, on top of what is settled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from search.engine import Proposal, propose
from search.history import Assignment, NewTrial, TrialRecord, trial_seed
from search.oracles.base import RESERVED, Prices
from search.schedules import Stage, current_stage
from search.schedules.base import on_top_of
from search.scoring.best import best_trial
from search.scoring.forgiving_factor import factor_of
from search.spec.job import SearchSpec
from search.spec.oracle import Constraints


def propose_in_stages(
    spec: SearchSpec,
    stages: Sequence[Stage],
    prices: Prices,
    reference: float,
    history: Sequence[TrialRecord],
    state: str | None,
    count: int,
) -> Proposal:
    """`propose`, for the stage under way; nothing until every trial of the stage before has ended.

    A trial of a later stage stands on the best trial of the one before: its assignment, and as `parent` its weights.
    A stage without any measured trial settles nothing; the next one starts from what was settled before it.
    """
    if len(stages) == 1:
        return propose(spec, stages[0].choices, prices, reference, history, state, count)
    memory: dict[str, Any] = json.loads(state) if state else {"stage": -1, "oracle": None, "exhausted": []}
    exhausted = frozenset(memory["exhausted"])
    stage = current_stage(stages, history, exhausted)
    if stage is None:
        return Proposal((), json.dumps(memory), exhausted=True)
    if stage.index != memory["stage"]:
        memory |= {"stage": stage.index, "oracle": None}
    settled = _settled(spec, stages[: stage.index], reference, history)
    found = _ask(spec, stage, settled, prices, reference, history, memory["oracle"], count)
    memory["oracle"] = found.state
    if found.exhausted:
        memory["exhausted"] = sorted({*memory["exhausted"], stage.index})
    over = len(memory["exhausted"]) == len(stages)
    return Proposal(found.trials, json.dumps(memory), exhausted=over)


def _settled(
    spec: SearchSpec, before: Sequence[Stage], reference: float, history: Sequence[TrialRecord]
) -> TrialRecord | None:
    """The best trial of the last stage that has one."""
    factor = factor_of(spec)
    for stage in reversed(before):
        best = best_trial(stage.records(history), factor, reference)
        if best is not None:
            return best.trial
    return None


def _ask(
    spec: SearchSpec,
    stage: Stage,
    settled: TrialRecord | None,
    prices: Prices,
    reference: float,
    history: Sequence[TrialRecord],
    state: str | None,
    count: int,
) -> Proposal:
    """The stage's own search: its trials numbered from 0, its assignments without what is settled."""
    base = None if settled is None else settled.assignment
    own_spec = spec.model_copy(update={"budget": spec.budget.model_copy(update={"trials": stage.trials})})
    own_history = [_inside(stage, record) for record in stage.records(history)]
    on_top = _OnTop(prices, base)
    found = propose(own_spec, stage.choices, on_top, reference, own_history, state, count)
    parents = {record.number: record.parent for record in history}
    trials = [_outside(stage, settled, trial) for trial in found.trials]
    seeded = (
        replace(trial, seed=trial_seed(spec.seed, trial.number, trial.parent, parents)) for trial in trials
    )
    return replace(found, trials=tuple(seeded))


def _inside(stage: Stage, record: TrialRecord) -> TrialRecord:
    """A trial of the job as the stage knows it."""
    values = record.oracle_trial["values"]
    chosen = {name: value for name, value in values.items() if not name.startswith(RESERVED)}
    own_parent = record.parent is not None and record.parent >= stage.first
    return replace(
        record,
        number=record.number - stage.first,
        assignment=stage.choices.assignment(chosen),
        parent=(record.parent or 0) - stage.first if own_parent else None,
    )


def _outside(stage: Stage, settled: TrialRecord | None, trial: NewTrial) -> NewTrial:
    """A trial of the stage as the job knows it, but for its seed."""
    parent = None if settled is None else settled.number
    return replace(
        trial,
        number=trial.number + stage.first,
        assignment=on_top_of(None if settled is None else settled.assignment, trial.assignment),
        parent=parent if trial.parent is None else trial.parent + stage.first,
    )


@dataclass(frozen=True)
class _OnTop:
    """Prices of what a stage chooses, on top of what is settled."""

    prices: Prices
    base: Assignment | None

    def price_many(self, assignments: Sequence[Assignment]) -> Sequence[float | None]:
        """The cost of each whole network."""
        return self.prices.price_many([on_top_of(self.base, each) for each in assignments])

    def keeps(self, assignment: Assignment, constraints: Constraints) -> bool:
        """Whether the whole network keeps the constraints."""
        return self.prices.keeps(on_top_of(self.base, assignment), constraints)
