"""What the process of a job does before its first task."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

STARTED = """
import gc, json, sys
from worker.job_process import load_keras

load_keras()
loaded, frozen = sorted(sys.modules), gc.get_freeze_count()
from tests.search.searches import Search, make_choices, make_spec

proposed = {
    kind: len(Search(make_spec(kind, trials=8), make_choices(7, 7, 5)).run().history)
    for kind in ("random", "grid", "bayesian", "hyperband", "evolution", "frugal")
}
print(json.dumps({"loaded": loaded, "frozen": frozen, "looks": gc.isenabled(), "proposed": proposed}))
"""


@pytest.fixture(scope="module")
def started() -> dict[str, Any]:
    """What a process says of itself once it has started."""
    done = subprocess.run([sys.executable, "-c", STARTED], stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_what_trials_need_is_loaded_before_the_first_trial(started: dict[str, Any]) -> None:
    assert {"search.engine", "search.training.trial", "tensorflow"} <= set(started["loaded"])


def test_what_only_bayesian_searches_need_is_not(started: dict[str, Any]) -> None:
    assert "sklearn" not in started["loaded"]


def test_the_collector_is_spared_what_was_loaded(started: dict[str, Any]) -> None:
    assert started["frozen"] > 100_000
    assert started["looks"]


def test_every_oracle_proposes_in_a_process_that_started_so(started: dict[str, Any]) -> None:
    assert set(started["proposed"].values()) == {8}
