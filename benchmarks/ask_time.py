"""Time of a proposal after many trials and among many choices.

It is processor time on one thread, so other load on the machine does not count.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from quantization.specs.parse import parse_quantizer
from search.engine import propose
from search.history import Assignment, NewTrial, TrialRecord, TrialStatus
from search.space.choices import Choices, Slot
from search.spec.job import SearchSpec
from search.spec.oracle import Constraints

#: Limits of the 95th percentile, in seconds, by oracle.
LIMITS_S: Final[Mapping[str, float]] = {"random": 0.05, "hyperband": 0.05, "bayesian": 2.0, "frugal": 2.0}

TRIALS: Final = 1000
CHOICES: Final = 20


class _BitsPricer:
    """Prices an assignment by the sum of its bits."""

    def price_many(self, assignments: Sequence[Assignment]) -> list[float | None]:
        return [float(_bits(assignment)) for assignment in assignments]

    def keeps(self, assignment: Assignment, constraints: Constraints) -> bool:
        return True


def _bits(assignment: Assignment) -> int:
    return sum(spec.bits for slots in assignment.quantizers.values() for spec in slots.values() if spec)


def p95(oracle: str, asks: int) -> float:
    """95th percentile of the seconds of a proposal, from rows to rows, after 1,000 trials with noisy scores."""
    space, history, state = _space(), _trials(), None
    job = _job(oracle)
    seconds = []
    gc.collect()
    gc.freeze()  # as workers do: otherwise collections pass over all objects of Keras
    for _ in range(asks + 1):
        began = time.process_time()
        proposal = propose(job, space, _BitsPricer(), 1000.0, history, state, 1)
        seconds.append(time.process_time() - began)
        state = proposal.state
        history += [_measured(trial, len(history)) for trial in proposal.trials]
    return statistics.quantiles(seconds[1:], n=20)[-1]  # the first one restores all trials without a state


def _space() -> Choices:
    candidates = tuple(parse_quantizer(f"quantized_bits({bits},0,1)") for bits in range(2, 8))
    names = [f"layer{i}" for i in range(CHOICES)]
    slots = tuple(Slot(f"{name}.kernel", (name,), "kernel", "kernel", candidates) for name in names)
    return Choices(slots, (), tuple(names), {})


def _job(oracle: str) -> SearchSpec:
    limits = {"by_class": {"Dense": 8}}
    job = {"model": "jet_mlp", "limits": limits, "oracle": oracle, "budget": {"trials": 100_000}}
    return SearchSpec.model_validate(job)


def _trials() -> list[TrialRecord]:
    """Trials of a random search, which any oracle can continue."""
    proposal = propose(_job("random"), _space(), _BitsPricer(), 1000.0, [], None, TRIALS)
    return [_measured(trial, number) for number, trial in enumerate(proposal.trials)]


def _measured(trial: NewTrial, seed: int) -> TrialRecord:
    noise = np.random.default_rng([1, seed]).normal(0, 0.01)
    cost = float(_bits(trial.assignment))
    metric = float(np.clip(1 - 0.5 * np.exp(-cost / 40) + noise, 0, 1))
    done = TrialRecord(trial.number, trial.assignment, TrialStatus.DONE, metric, cost, trial.oracle_trial)
    return replace(done, epochs=trial.epochs, initial_epoch=trial.initial_epoch, parent=trial.parent)
