"""Time of a proposal after many trials and among many choices.

    OMP_NUM_THREADS=1 python -m benchmarks.ask_time [--oracle bayesian ...] [--trials 10000] [--asks 20] [--check]

It is processor time on one thread, so other load on the machine does not count. The trials before are random. Here the
oracle is kept between proposals, as a worker keeps it; `p95` builds it anew for each. `--check` fails where a proposal
takes more than LIMITS_S.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from quantization.specs.parse import parse_quantizer
from search.engine import WarmOracle, propose
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
    return statistics.quantiles(seconds_of(oracle, asks, TRIALS, None), n=20)[-1]


def seconds_of(oracle: str, asks: int, trials: int, warm: WarmOracle | None) -> list[float]:
    """Seconds of each proposal after so many trials, by an oracle that `warm` keeps."""
    space, history, state = _space(), _trials(trials), None
    job = _job(oracle)
    seconds = []
    gc.collect()
    gc.freeze()  # as workers do: otherwise collections pass over all objects of Keras
    for _ in range(asks + 1):
        began = time.process_time()
        proposal = propose(job, space, _BitsPricer(), 1000.0, list(history), state, 1, warm=warm)
        seconds.append(time.process_time() - began)
        state = proposal.state
        history += [_measured(trial, len(history)) for trial in proposal.trials]
    return seconds[1:]  # the first one restores all trials without a state


def _space() -> Choices:
    candidates = tuple(parse_quantizer(f"quantized_bits({bits},0,1)") for bits in range(2, 8))
    names = [f"layer{i}" for i in range(CHOICES)]
    slots = tuple(Slot(f"{name}.kernel", (name,), "kernel", "kernel", candidates) for name in names)
    return Choices(slots, (), tuple(names), {})


def _job(oracle: str) -> SearchSpec:
    limits = {"by_class": {"Dense": 8}}
    job = {"model": "jet_mlp", "limits": limits, "oracle": oracle, "budget": {"trials": 100_000}}
    return SearchSpec.model_validate(job)


def _trials(count: int) -> list[TrialRecord]:
    """Trials of a random search, which any oracle can continue."""
    proposal = propose(_job("random"), _space(), _BitsPricer(), 1000.0, [], None, count)
    return [_measured(trial, number) for number, trial in enumerate(proposal.trials)]


def _measured(trial: NewTrial, seed: int) -> TrialRecord:
    noise = np.random.default_rng([1, seed]).normal(0, 0.01)
    cost = float(_bits(trial.assignment))
    metric = float(np.clip(1 - 0.5 * np.exp(-cost / 40) + noise, 0, 1))
    done = TrialRecord(trial.number, trial.assignment, TrialStatus.DONE, metric, cost, trial.oracle_trial)
    return replace(done, epochs=trial.epochs, initial_epoch=trial.initial_epoch, parent=trial.parent)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ask_time", description=__doc__)
    parser.add_argument("--oracle", nargs="+", choices=LIMITS_S, default=list(LIMITS_S))
    parser.add_argument("--trials", type=int, nargs="+", default=[TRIALS], help="trials before the proposals")
    parser.add_argument("--asks", type=int, default=20, help="proposals that are measured")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a proposal takes too long")
    options = parser.parse_args()
    slow = []
    for oracle in options.oracle:
        for trials in options.trials:
            seconds = seconds_of(oracle, options.asks, trials, WarmOracle())
            median, worst = statistics.median(seconds), max(seconds)
            print(f"{oracle:10} {trials:>6} trials: median {median:.3f} s, worst {worst:.3f} s", flush=True)
            if worst > LIMITS_S[oracle]:
                slow.append(f"{oracle}: {worst:.3f} s at {trials} trials, more than {LIMITS_S[oracle]:g}")
    if options.check and slow:
        sys.exit("\n".join(slow))


if __name__ == "__main__":
    main()
