"""What does not fit oracles whose trials continue the trainings of others. Plain."""

from __future__ import annotations

from search.spec.oracle import (
    BoundSpec,
    DescentOracleSpec,
    GradientOracleSpec,
    HyperbandOracleSpec,
    NoBound,
    NoStopping,
    OracleSpec,
    StoppingSpec,
)
from search.spec.schedule import ScheduleSpec, WholeModelSchedule
from search.spec.training import Training


def continued_fault(
    oracle: OracleSpec, training: Training, stopping: StoppingSpec, schedule: ScheduleSpec, bound: BoundSpec
) -> str | None:
    """Why a job cannot run with its oracle, and what to set; None if it can."""
    if not isinstance(oracle, HyperbandOracleSpec | DescentOracleSpec | GradientOracleSpec):
        return None
    kind = oracle.kind
    if not isinstance(stopping, NoStopping):
        why = "stops trainings early by itself" if kind == "hyperband" else "continues every training"
        return f"{kind} {why}: set stopping to off"
    if training.executions > 1:
        return (
            f"{kind} continues trainings, but of several executions only the best is stored: set"
            " training.executions to 1"
        )
    if kind != "hyperband" and training.decay != "none":
        return (
            f"{kind} continues trainings, and a rate that decreases over all epochs would be almost 0 in its later"
            " stages: set training.decay to none"
        )
    return _gradient_fault(training, schedule, bound) if isinstance(oracle, GradientOracleSpec) else None


def _gradient_fault(training: Training, schedule: ScheduleSpec, bound: BoundSpec) -> str | None:
    if not isinstance(schedule, WholeModelSchedule):
        return "gradient trains the bits of all layers at once: set schedule to whole_model"
    if not isinstance(bound, NoBound):
        return (
            "bound compares costs before training, and gradient trains what a trial costs: set bound to off"
        )
    if training.sparsity == "keep":
        return "gradient trains which weights are 0: leave out training.sparsity"
    return None
