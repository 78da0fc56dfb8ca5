"""Schedules: whether a job searches its whole model at once or block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from search.history import Cost, TrialRecord
from search.schedules.base import Block, Stage, current_stage
from search.schedules.per_block import per_block
from search.schedules.whole_model import whole_model
from search.space.choices import Choices
from search.spec.job import SearchSpec
from search.spec.schedule import PerBlockSchedule

__all__ = ["SCHEDULES", "Block", "Stage", "blocks", "current_stage", "learning_rate_shares", "stages"]

#: Kind of schedule -> its stages.
SCHEDULES: Final[Mapping[str, Callable[..., tuple[Stage, ...]]]] = {
    "whole_model": whole_model,
    "per_block": per_block,
}


def stages(spec: SearchSpec, choices: Choices, reference: Cost) -> tuple[Stage, ...]:
    """The stages of a job, in order; their trials sum to at most the budget. InvalidSpec if blocks do not fit."""
    return SCHEDULES[spec.schedule.kind](spec, choices, reference)


def blocks(spec: SearchSpec, plan: Sequence[Stage]) -> tuple[Block, ...]:
    """The blocks of a job in the order of the search; none where it searches its whole model at once."""
    if not isinstance(spec.schedule, PerBlockSchedule):
        return ()
    return tuple(
        Block(stage.name, stage.first, stage.trials, tuple(stage.choices.quantized)) for stage in plan
    )


def learning_rate_shares(spec: SearchSpec, plan: Sequence[Stage], trial: TrialRecord) -> dict[str, float]:
    """Layers settled by the stages before that of a trial -> their share of the learning rate."""
    if not isinstance(spec.schedule, PerBlockSchedule):
        return {}
    stage = next(stage for stage in reversed(plan) if stage.first <= trial.number)
    settled = [layer for layer in trial.assignment.quantizers if layer not in stage.choices.quantized]
    return dict.fromkeys(settled, spec.schedule.settled_learning_rate)
