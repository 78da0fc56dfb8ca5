"""Searches played without training: choices made by hand, outcomes made up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from quantization.specs.parse import parse_quantizer
from search.engine import Proposal, propose
from search.history import Assignment, TrialRecord, TrialStatus
from search.space.choices import Choices, Slot, Width
from search.space.sensitivity import Sensitivity
from search.spec.job import SearchSpec
from search.spec.oracle import Constraints

REFERENCE = 1000.0


class PricerByBits:
    """Ten for every bit; what `measured` says it costs."""

    def price_many(self, assignments: Sequence[Assignment]) -> list[float | None]:
        """The cost of each."""
        return [10.0 * max(bits(assignment), 1) for assignment in assignments]

    def keeps(self, assignment: Assignment, constraints: Constraints) -> bool:
        """Whether this number of bits is allowed."""
        return constraints.max_bits is None or bits(assignment) <= constraints.max_bits


PRICER = PricerByBits()

Outcome = tuple[TrialStatus, float | None, float | None]


def make_choices(*sizes: int, widths: tuple[tuple[int, tuple[float, ...]], ...] = ()) -> Choices:
    """Slots of as many candidates as `sizes` say; widths as (filters, multipliers)."""
    slots = tuple(
        Slot(
            f"layer{index}.kernel",
            (f"layer{index}",),
            "kernel",
            "kernel",
            tuple(parse_quantizer(f"quantized_bits({bits},0,1)") for bits in range(2, size + 2)),
        )
        for index, size in enumerate(sizes)
    )
    multiples = tuple(
        Width(f"wide{index}.filters", (f"wide{index}",), multipliers)
        for index, (_, multipliers) in enumerate(widths)
    )
    return Choices(
        slots=slots,
        widths=multiples,
        quantized=tuple(f"layer{index}" for index in range(len(sizes))),
        base_widths={f"wide{index}": filters for index, (filters, _) in enumerate(widths)},
    )


#: A space that no search of these tests comes to the end of, and that every oracle can still look through at once.
LARGE = make_choices(5, 4, 4, 3, 2)


def make_sensitivity(choices: Choices) -> Sensitivity:
    """Of a float model with a metric of 0.95: a quarter of the loss for each bit less; layers differ by half."""
    divergences = {
        slot.name: {str(spec.label): 0.25**spec.bits * (1 + index / 2) for spec in slot.candidates}
        for index, slot in enumerate(choices.slots)
    }
    return Sensitivity(0.95, 512, divergences)


#: Oracles that are quick, and early through with what is random.
QUICK: dict[str, dict[str, Any]] = {
    "frugal": {"candidates": 60},
    "evolution": {"population": 6},
    "bayesian": {"num_initial_points": 5},
    "gradient": {"stages": 6},
}


def make_spec(kind: str = "random", trials: int = 20, seed: int = 1, **changes: Any) -> SearchSpec:
    """A job; which model it names does not matter here."""
    return SearchSpec.model_validate(
        {
            "model": {"kind": "zoo", "name": "jet_mlp"},
            "limits": {"by_class": {"Dense": 8}},
            "oracle": {"kind": kind, **QUICK.get(kind, {})},
            "budget": {"trials": trials},
            "seed": seed,
        }
        | changes
    )


def bits(assignment: Assignment) -> int:
    """Sum of all bits: a stand-in for a cost."""
    return sum(spec.bits for slots in assignment.quantizers.values() for spec in slots.values() if spec)


def measured(assignment: Assignment) -> Outcome:
    """More bits have a better metric and a higher cost."""
    return TrialStatus.DONE, 1 - 1 / (1 + bits(assignment)), 10.0 * bits(assignment)


def failed(_: Assignment) -> Outcome:
    """No trial can be measured."""
    return TrialStatus.FAILED, None, None


def diverged(_: Assignment) -> Outcome:
    """A metric no oracle can learn from."""
    return TrialStatus.DONE, math.inf, 1.0


@dataclass
class Search:
    """A running job: the part of it that the store holds."""

    spec: SearchSpec
    choices: Choices
    outcome: Callable[[Assignment], Outcome] = measured
    history: list[TrialRecord] = field(default_factory=list)
    state: str | None = None

    def propose(self, trials: int) -> Proposal:
        """Ask, without storing the answer."""
        return propose(
            self.spec,
            self.choices,
            PRICER,
            REFERENCE,
            self.history,
            self.state,
            trials,
            make_sensitivity(self.choices),
        )

    def add(self, proposal: Proposal) -> None:
        """Store an answer."""
        self.state = proposal.state
        self.history += [
            TrialRecord(
                trial.number,
                trial.assignment,
                TrialStatus.QUEUED,
                oracle_trial=trial.oracle_trial,
                epochs=trial.epochs,
                initial_epoch=trial.initial_epoch,
                parent=trial.parent,
            )
            for trial in proposal.trials
        ]

    def end_first(self) -> None:
        """End the running trial that was proposed first."""
        index = next(i for i, trial in enumerate(self.history) if trial.status is TrialStatus.QUEUED)
        self.end(index)

    def end(self, index: int) -> None:
        """The trial of this number ends."""
        status, metric, cost = self.outcome(self.history[index].assignment)
        self.history[index] = replace(self.history[index], status=status, metric=metric, cost=cost)

    def in_flight(self) -> int:
        """The number of running trials."""
        return sum(trial.status is TrialStatus.QUEUED for trial in self.history)

    def run(self, parallel: int = 1) -> Search:
        """The whole search, asking whenever a trial has ended."""
        for _ in self.steps(parallel):
            pass
        return self

    def steps(self, parallel: int) -> Iterator[Proposal]:
        """The proposals of a whole search."""
        for _ in count():
            proposal = self.propose(parallel - self.in_flight())
            self.add(proposal)
            yield proposal
            if not self.in_flight():
                assert proposal.exhausted, "nothing runs, nothing is proposed, and yet it is not over"
                return
            self.end_first()

    def keys(self) -> list[str]:
        """What would be built, trial by trial."""
        return [trial.assignment.key for trial in self.history]

    def works(self) -> list[tuple[str, int]]:
        """What would be trained, trial by trial: the network and the epoch it starts after."""
        return [(trial.assignment.key, trial.initial_epoch) for trial in self.history]
