"""What went wrong, named by what the caller must do.

SearchError
├── InvalidSpec      tell the user: the job cannot run as written (a list of problems with pointers)
├── Infeasible       never retry this trial: no such network exists
├── OutOfMemory      never retry this trial here: it needs more memory than there is
├── Diverged         never retry this trial: its numbers left the finite range
├── Retryable        try the trial again: the cause lies outside it
├── Cancelled        stop quietly: the user asked for it
└── Fatal            stop the job: no trial of it can work
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a job. `pointer` is the JSON pointer (RFC 6901) of the field at fault."""

    pointer: str
    message: str


def pointer_token(part: str | int) -> str:
    """A key or index as one token of a JSON pointer (RFC 6901)."""
    return str(part).replace("~", "~0").replace("/", "~1")


#: Faults that are told of at most: the first ones are what a person can mend.
MAX_PROBLEMS: Final = 100


def first_problems(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The problems, or the first of them and how many more there are."""
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    more = len(problems) - MAX_PROBLEMS + 1
    return (*problems[: MAX_PROBLEMS - 1], Problem("", f"{more} more faults are not listed"))


class SearchError(Exception):
    """Anything the search itself raises."""


class InvalidSpec(SearchError):
    """The job cannot run as written."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = first_problems(problems)
        super().__init__("; ".join(f"{problem.pointer}: {problem.message}" for problem in self.problems))


class Infeasible(SearchError):
    """No network can be built from this assignment; another trial may work."""


class OutOfMemory(SearchError):
    """The trial needs more memory than there is."""


class Diverged(SearchError):
    """Loss or metric became NaN or infinite."""


class Retryable(SearchError):
    """The trial failed for a cause outside it; the same trial may work elsewhere."""


class Cancelled(SearchError):
    """The user asked for the trial to end."""


class Fatal(SearchError):
    """No trial of this job can work."""
