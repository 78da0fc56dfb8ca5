"""Trials that a worker trains together on JAX. The backend is chosen once a process, so they run in another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

JOBS = """
import json, sys
from pathlib import Path

import search.training.trial
from search.training.program import cache as programs
from search.errors import Diverged
from service.store import trials
from tests.worker.conftest import Bench, write_data
from worker import preparation

assemble = search.training.trial.assemble
FEW = {  # what is compiled grows with the kinds
    "kernel": {"quantized_bits(4,0,1,alpha=1.0)": 4, "quantized_bits(8,0,1,alpha=1.0)": 8, "ternary": 2},
    "bias": {"quantized_bits(4,0,1)": 4, "quantized_bits(8,3,1)": 8},
    "activation": {"quantized_relu(3,1)": 3, "quantized_relu(4,2)": 4},
    "linear": {"quantized_bits(4,1)": 4},
}


def job(name, together, broken=()):
    bench = Bench(Path(sys.argv[1]) / name)
    write_data(bench.settings.data_folder)
    preparation.clear()
    bench.settings.__dict__["trials_together"] = together
    job_id = bench.submit(
        budget={"trials": 3}, parallel_trials=3, training={"epochs": 2, "batch_size": 60}, quantizers=FEW
    )
    bench.step()
    with bench.database.reading() as session:
        seeds = [trial.seed for trial in trials.page(session, job_id, limit=9)]

    def build(assignment, architecture, seed):
        if seeds.index(seed) in broken:
            raise Diverged("for a test")
        return assemble(assignment, architecture, seed)

    search.training.trial.assemble = build
    steps = 0
    while bench.queue.messages and bench.step() == "fewbits.run_trial":
        steps += 1
        if together > 1:
            break
    bench.work()
    with bench.database.reading() as session:
        rows = trials.page(session, job_id, limit=9)
        return [
            {
                "status": row.status,
                "attempt": row.attempt,
                "metric": row.metric,
                "epochs": [(each.epoch, each.metrics) for each in trials.epochs(session, row)],
                # the best trial's tensors are described at the end
                "files": [file.name for file in trials.artifacts(session, row) if file.name != "tensors.json"],
                "started": row.started_at.isoformat(),
                "finished": None if row.finished_at is None else row.finished_at.isoformat(),
            }
            for row in rows
        ]


found = {
    "together": job("together", 3),
    "programs": len(programs._programs),
    "traces": programs.traces(),
    "alone": job("alone", 1),
    "broken": job("broken", 3, broken=[1]),
}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "-c", JOBS, str(tmp_path_factory.mktemp("together"))],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
        },
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return results


@pytest.mark.timeout(900)  # compiling takes minutes on a busy machine
def test_trials_trained_together_are_trials_of_their_own(outcome: dict[str, Any]) -> None:
    for row in outcome["together"]:
        assert (row["status"], row["attempt"], row["files"]) == ("done", 1, outcome["alone"][0]["files"])
        assert [epoch for epoch, _ in row["epochs"]] == [0, 1]


def test_they_run_at_the_same_time_in_one_program(outcome: dict[str, Any]) -> None:
    rows = outcome["together"]
    assert max(row["started"] for row in rows) < min(row["finished"] for row in rows)
    assert outcome["programs"] == 1


def test_they_get_the_metrics_they_get_alone(outcome: dict[str, Any]) -> None:
    for together, alone in zip(outcome["together"], outcome["alone"], strict=True):
        assert together["metric"] == pytest.approx(alone["metric"], abs=0.05)
        for (_, one), (_, other) in zip(together["epochs"], alone["epochs"], strict=True):
            assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)


def test_one_that_fails_does_not_take_the_others_with_it(outcome: dict[str, Any]) -> None:
    rows = outcome["broken"]
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    for index in (0, 2):
        assert rows[index]["metric"] == pytest.approx(outcome["together"][index]["metric"], abs=0.05)
