"""The trials that follow a search, which lower the bits of what it has measured. Plain; nothing loads Keras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from search.history import (
    POLISH,
    Measurement,
    NewTrial,
    TrialRecord,
    TrialStatus,
    Verdict,
    polish_of,
    trial_seed,
)
from search.results.kept import front_of
from search.scoring.best import best_trial
from search.scoring.forgiving_factor import factor_of
from search.spec.job import SearchSpec
from search.spec.polish import BitsPolish

#: Names of values that are not choices of the network.
_RESERVED = "tuner/"


def polished_trials(
    spec: SearchSpec, history: Sequence[TrialRecord], reference: float
) -> tuple[NewTrial, ...]:
    """The next trials that polish a job whose others have ended, as many as run at once; no trial is polished twice."""
    if isinstance(spec.polish, BitsPolish):
        return tuple(islice(_new_trials(spec, spec.polish, history, reference), spec.parallel_trials))
    return ()


def _new_trials(
    spec: SearchSpec, polish: BitsPolish, history: Sequence[TrialRecord], reference: float
) -> Iterator[NewTrial]:
    polished = {record.parent for record in history if polish_of(record) is not None}
    parents = {record.number: record.parent for record in history}
    following = max(parents, default=-1) + 1
    for record in _parents(spec, polish, history, reference):
        if record.number in polished:
            continue
        epochs = record.epochs or spec.training.epochs
        values = record.oracle_trial.get("values", {})
        chosen = {name: value for name, value in values.items() if not name.startswith(_RESERVED)}
        yield NewTrial(
            number=following,
            assignment=record.assignment,
            oracle_trial={"trial_id": str(following), "values": {**chosen, POLISH: polish.drop}},
            seed=trial_seed(spec.seed, following, record.number, parents),
            epochs=epochs,
            initial_epoch=epochs,
            parent=record.number,
        )
        following += 1


def _parents(
    spec: SearchSpec, polish: BitsPolish, history: Sequence[TrialRecord], reference: float
) -> list[TrialRecord]:
    """What the search itself has measured, of that the best or the front."""
    measured = [
        record for record in history if record.status == TrialStatus.DONE and polish_of(record) is None
    ]
    factor = factor_of(spec)
    if polish.of == "best":
        best = best_trial(measured, factor, reference)
        return [] if best is None else [best.trial]
    return front_of(measured, factor)


def unpolished(record: TrialRecord, measurement: Measurement) -> Verdict | None:
    """PRUNED for a trial that was to lower bits and left all as they were; None for another one."""
    drop, became = polish_of(record), measurement.assignment
    if drop is None or became is None or became.key != record.assignment.key:
        return None
    reason = (
        f"no tensor of trial {record.parent} can have fewer bits: the metric, {measurement.metric:g}, would lose more"
        f" than polish.drop {drop:g}"
    )
    return Verdict(TrialStatus.PRUNED, reason, {"polish_drop": drop, "parent_metric": measurement.metric})
