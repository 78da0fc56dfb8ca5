"""Which trials keep their files once a search has ended. Plain; nothing loads Keras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from search.history import LANE, TrialRecord, TrialStatus
from search.scoring.forgiving_factor import ForgivingFactor
from search.scoring.pareto import on_front


def front_of(history: Sequence[TrialRecord], factor: ForgivingFactor) -> list[TrialRecord]:
    """The measured trials that no other one dominates in metric and cost, by number."""
    measured = [record for record in history if record.status == TrialStatus.DONE]
    merits = [np.nan if record.metric is None else factor.merit(record.metric) for record in measured]
    costs = [np.nan if record.cost is None else record.cost for record in measured]
    chosen = on_front(np.array(merits, dtype=np.float64), np.array(costs, dtype=np.float64))
    members = [record for record, is_chosen in zip(measured, chosen, strict=True) if is_chosen]
    return sorted(members, key=lambda record: record.number)


def kept_numbers(history: Sequence[TrialRecord], factor: ForgivingFactor, best: int) -> frozenset[int]:
    """Numbers of the trials whose files stay where a job keeps its front.

    Those on the front and the `best`; the trials that these have continued, which their recipes start from; and the
    last measured one of every lane, which a larger budget continues.
    """
    by_number = {record.number: record for record in history}
    results = {record.number for record in front_of(history, factor)} | {best}
    parents = {by_number[number].parent for number in results if number in by_number}
    return frozenset(results | {number for number in parents if number is not None} | {*_ends(history)})


def _ends(history: Sequence[TrialRecord]) -> Iterator[int]:
    last: dict[int, int] = {}
    for record in sorted(history, key=lambda record: record.number):
        lane = record.oracle_trial.get("values", {}).get(LANE)
        if lane is not None and record.status == TrialStatus.DONE:
            last[lane] = record.number
    yield from last.values()
