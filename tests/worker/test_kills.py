"""kill -9 of the worker, under every oracle and every schedule: the search goes on as if nothing had happened.

Each search is run once undisturbed and once by workers that are killed at steps drawn by chance (`tests.worker.lives`).
Trainings are made up, in searches in which every oracle and every schedule occurs; FEWBITS_TEST_ALL_SEARCHES=1 takes
every oracle under every schedule. FEWBITS_TEST_KILLS=20 trains, and kills so many workers in all (minutes: each worker
compiles its networks anew).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from search.history import JobStatus
from service.store import jobs, trials
from tests.worker.conftest import Bench, write_data

ORACLES: Final[dict[str, dict[str, Any]]] = {
    "random": {"kind": "random"},
    "grid": {"kind": "grid"},
    "bayesian": {"kind": "bayesian", "num_initial_points": 2},
    "hyperband": {"kind": "hyperband", "max_epochs": 4, "factor": 2},
    "evolution": {"kind": "evolution", "population": 4},
    "frugal": {"kind": "frugal", "initial_points": 2, "candidates": 50},
    "gradient": {"kind": "gradient", "stages": 4},
}

BLOCKS: Final = ["(fc1|relu1|fc2|relu2)", "(fc3|relu3|output)"]

SCHEDULES: Final[dict[str, dict[str, Any]]] = {
    "whole": {"kind": "whole_model"},
    "sequential": {"kind": "per_block", "blocks": BLOCKS, "order": "sequential"},
    "by cost": {"kind": "per_block", "blocks": BLOCKS, "order": "cost"},
}

EVERYTHING: Final = [
    (oracle, schedule)
    for schedule in SCHEDULES
    for oracle in ORACLES
    if oracle != "gradient" or schedule == "whole"  # which trains the bits of all layers at once
]

#: Of these every oracle and every schedule is one.
SOME: Final = [
    ("random", "by cost"),
    ("grid", "whole"),
    ("bayesian", "sequential"),
    ("hyperband", "whole"),
    ("evolution", "by cost"),
    ("frugal", "sequential"),
    ("gradient", "whole"),
]

#: Workers killed in all, in real trainings; 0: one or two in each search, in made-up ones.
KILLS: Final = int(os.environ.get("FEWBITS_TEST_KILLS", "0"))


@dataclass
class Lives:
    """The process that makes workers and sees them die."""

    process: subprocess.Popen[str]

    def one(self, home: Path, job_id: str, dies_at: int | None) -> dict[str, Any]:
        """How a worker ended that was to die at this step."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {"home": str(home), "job": job_id, "dies_at": dies_at, "trains": KILLS > 0}
        print(json.dumps(order), file=self.process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert answer["signal"] >= 0, "the worker failed by itself, see what it printed"
        return answer


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    """Makes workers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.worker.lives"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    yield Lives(process)
    process.communicate()  # the end of its orders ends it
    assert process.returncode == 0


def submitted(home: Path, oracle: str, schedule: str) -> tuple[Bench, str]:
    """A job of six trials in a new home."""
    bench = Bench(home)
    write_data(bench.settings.data_folder)
    job_id = bench.submit(
        oracle=ORACLES[oracle],
        schedule=SCHEDULES[schedule],
        training={"epochs": 2, "batch_size": 128},
        budget={"trials": 6},
        limits={"by_class": {"Dense": 8, "Activation": 4}},
        parallel_trials=1,
    )
    return bench, job_id


def outcome(bench: Bench, job_id: str) -> dict[str, Any]:
    """All that a search found, without times and ids."""
    with bench.database.reading() as session:
        job = jobs.get(session, job_id)
        rows = trials.page(session, job_id, limit=1000)
        result = {
            "status": job.status,
            "best": job.best_trial,
            "oracle": job.oracle_state,
            "trials": [
                (
                    row.number,
                    row.assignment,
                    row.oracle_trial,
                    row.seed,
                    row.epochs,
                    row.initial_epoch,
                    row.parent,
                )
                for row in rows
            ],
            "measured": [(row.number, row.status, row.metric, row.loss, row.cost) for row in rows],
            "epochs": [[epoch.epoch for epoch in trials.epochs(session, row)] for row in rows],
            "files": [[file.name for file in trials.artifacts(session, row)] for row in rows],
        }
    bench.database.dispose()
    return result


SEARCHES: Final = EVERYTHING if os.environ.get("FEWBITS_TEST_ALL_SEARCHES") and not KILLS else SOME


def kills_of(place: int) -> int:
    """How many workers die in the search at this place of the list."""
    if not KILLS:
        return 2 if place < len(ORACLES) else 1
    return KILLS // len(SEARCHES) + (place < KILLS % len(SEARCHES))


@pytest.mark.timeout(3600 if KILLS else 300)
@pytest.mark.parametrize(("oracle", "schedule"), SEARCHES)
def test_a_search_whose_workers_are_killed_is_the_undisturbed_one(
    oracle: str, schedule: str, lives: Lives, tmp_path: Path
) -> None:
    bench, job_id = submitted(tmp_path / "undisturbed", oracle, schedule)
    steps = lives.one(bench.settings.home, job_id, None)["steps"]
    expected = outcome(bench, job_id)
    assert expected["status"] == JobStatus.DONE
    assert [number for number, *_ in expected["trials"]] == list(range(len(expected["trials"])))

    bench, job_id = submitted(tmp_path / "killed", oracle, schedule)
    kills = kills_of(SEARCHES.index((oracle, schedule)))
    chance = random.Random(f"{oracle} {schedule}")
    died_at = []
    for _ in range(kills):
        # Together they make no more steps than the undisturbed worker: the job is not over before the last kill.
        moment = chance.randint(1, steps // kills)
        died_at.append(lives.one(bench.settings.home, job_id, moment))
        assert died_at[-1]["signal"] == 9, died_at
    assert lives.one(bench.settings.home, job_id, None)["signal"] == 0
    assert outcome(bench, job_id) == expected, died_at
