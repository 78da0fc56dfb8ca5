"""Looks at the test data: counted, because a figure that was chosen among several is too good. Plain.

A figure is fair where its trial was chosen without any figure on the test data: the first look of a job, and the first
final training of the trial that was the job's best, which the first look was at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class LookKind(StrEnum):
    """Why test data were looked at."""

    REPORT = "report"  #: the best trial, when its search ended
    FINAL_TRAINING = "final_training"  #: a trial that its user had trained further


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the test data of a job. `number` counts all of them, from 1."""

    number: int
    trial: int
    kind: LookKind
    optimistic: bool

    @property
    def note(self) -> str:
        """The look in words."""
        what = f"{_ordinal(self.number)} look at the test data"
        return f"{what}: the figure is optimistic" if self.optimistic else what


def next_look(earlier: Sequence[Look], trial: int, kind: LookKind) -> Look:
    """The look that follows those of `earlier`, in order."""
    is_fair = not earlier or (
        [(look.trial, look.kind) for look in earlier] == [(trial, LookKind.REPORT)]
        and kind is LookKind.FINAL_TRAINING
    )
    return Look(len(earlier) + 1, trial, kind, optimistic=not is_fair)


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
