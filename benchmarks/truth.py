"""Whether what fewbits says of a network is true of the model it builds: random networks and assignments.

    python -m benchmarks.truth [--quick] [--json] [--check]

Each check draws networks of nearly all classes of layers and counts differences; all must be 0. `--check` exits 1 if
one is not. A new check is a function in `CHECKS`: from the number of a network to the differences of that network.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from tests.truth.acceptance import differences_of_acceptance
from tests.truth.checks import prices_of_built_models
from tests.truth.integers import differences_of_integers

#: Networks of a full and of a quick run.
NETWORKS: Final = 300
QUICK: Final = 20
#: Differences that are shown.
_SHOWN: Final = 10

#: From the number of a network to what differs there, one line each.
Check = Callable[[int], Sequence[str]]

#: Name of a check -> its function; `tests/truth` runs the same functions on fewer networks.
CHECKS: Final[Mapping[str, Check]] = {
    "price in the job = price of the built model": prices_of_built_models,
    "the dry run accepts what a worker trains": differences_of_acceptance,
    "integer network = fake-quantized model, where promised": differences_of_integers,
}


@dataclass(frozen=True)
class Outcome:
    """What one check found over all networks."""

    check: str
    networks: int
    differences: tuple[str, ...]
    seconds: float


def measure(check: str, networks: int, first: int) -> Outcome:
    """Run one check on networks `first`, `first + 1`, ..."""
    started = time.perf_counter()
    differences = [
        f"network {number}: {text}"
        for number in range(first, first + networks)
        for text in _differences(CHECKS[check], number)
    ]
    return Outcome(check, networks, tuple(differences), time.perf_counter() - started)


def _differences(check: Check, number: int) -> Sequence[str]:
    """What differs; an error is a difference, too: it should have been refused before."""
    try:
        return check(number)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"[:200]]


def show(outcomes: Sequence[Outcome]) -> None:
    """The table, and the first differences of each check."""
    print(f"{'check':60s} {'networks':>8s} {'differences':>11s} {'seconds':>8s}")
    for outcome in outcomes:
        print(
            f"{outcome.check:60s} {outcome.networks:8d} {len(outcome.differences):11d} {outcome.seconds:8.1f}"
        )
        for text in outcome.differences[:_SHOWN]:
            print(f"    {text}")


def main() -> None:
    """Run every check and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} networks instead of {NETWORKS}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 if anything differs")
    parser.add_argument("--first", type=int, default=0, help="number of the first network (default 0)")
    parser.add_argument("--only", default="", help="run the checks whose name contains this text")
    arguments = parser.parse_args()
    random.seed(0)
    networks = QUICK if arguments.quick else NETWORKS
    outcomes = [measure(name, networks, arguments.first) for name in CHECKS if arguments.only in name]
    if arguments.json:
        documents: list[dict[str, Any]] = [asdict(outcome) for outcome in outcomes]
        print(json.dumps(documents, indent=2))
    else:
        show(outcomes)
    if arguments.check and any(outcome.differences for outcome in outcomes):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
