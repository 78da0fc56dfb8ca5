"""The main job over real HTTP with a real worker: from a posted search to the best model, downloaded, measured anew."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.acceptance.conftest import SEARCH
from tests.acceptance.server import Server, until

pytestmark = pytest.mark.timeout(600)

ENDED = {"done", "failed", "cancelled"}

#: Trials of a job whose worker is killed after the first one.
KILLED = 8

#: What neither PostgreSQL nor Redis has a part in.
embedded = pytest.mark.parametrize("server", ["embedded"], indirect=True, scope="module")


def submit(server: Server, job: dict[str, Any]) -> str:
    answer = server.http.post("/v1/jobs", json=job)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    job_id: str = answer.json()["id"]
    return job_id


def read(server: Server, path: str) -> Any:
    answer = server.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait(server: Server, job_id: str) -> dict[str, Any]:
    """The job when it has ended."""

    def ended() -> dict[str, Any] | None:
        job: dict[str, Any] = read(server, f"/v1/jobs/{job_id}")
        return job if job["status"] in ENDED else None

    return until(ended, f"job {job_id} to end; log:\n{server.log()}")


def trials(server: Server, job_id: str) -> list[dict[str, Any]]:
    return list(read(server, f"/v1/jobs/{job_id}/trials")["items"])


@pytest.fixture(scope="module")
def searched(server: Server) -> str:
    """A job that is done."""
    job_id = submit(server, SEARCH)
    done = wait(server, job_id)
    assert done["status"] == "done", done["reason"]
    return job_id


@embedded
def test_the_best_model_gives_the_reported_metric_and_energy_in_a_new_process(
    server: Server, searched: str, tmp_path: Path
) -> None:
    job_id = searched
    best = read(server, f"/v1/jobs/{job_id}/best")["items"][0]
    for name in ("model.keras", "report.json", "quantizers.json", "weights.npz"):
        answer = server.http.get(f"/v1/jobs/{job_id}/trials/{best['number']}/artifacts/{name}")
        assert answer.status_code == 200, answer.text
        (tmp_path / name).write_bytes(answer.content)
    report = json.loads((tmp_path / "report.json").read_text())
    printed = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.reload", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    again = json.loads(printed.splitlines()[-1])
    assert again["validation"] == report["validation"]["metric"] == best["metric"]
    assert again["test"] == report["test"]["metric"]
    assert again["energy_pj"] == report["cost"]["energy_pj"] == best["energy_pj"]


@embedded
def test_trials_are_numbered_once_and_hold_what_was_asked_for(server: Server, searched: str) -> None:
    page = trials(server, searched)
    assert [trial["number"] for trial in page] == [0, 1, 2]
    detail = read(server, f"/v1/jobs/{searched}/trials/0")
    assert [epoch["epoch"] for epoch in detail["epochs"]] == [0, 1]
    assert sum(layer["included_pj"] for layer in detail["layers"]) == pytest.approx(
        detail["energy_pj"], abs=20
    )
    assert {"keras", "tensorflow", "fewbits"} <= set(detail["versions"])


@embedded
def test_one_seed_gives_one_table_of_trials(server: Server, searched: str) -> None:
    again = submit(server, SEARCH)
    wait(server, again)
    first, second = (
        [(t["number"], t["metric"], t["energy_pj"]) for t in trials(server, job_id)]
        for job_id in (searched, again)
    )
    assert first == second


def test_a_killed_worker_loses_no_finished_trial_and_the_job_goes_on(
    server: Server, job: dict[str, Any]
) -> None:
    job_id = submit(server, job | {"budget": {"trials": KILLED}})
    until(lambda: any(t["status"] == "done" for t in trials(server, job_id)), "a first finished trial")
    before = {t["number"]: t["metric"] for t in trials(server, job_id) if t["status"] == "done"}
    server.kill_workers()
    assert wait(server, job_id)["status"] == "done"
    after = trials(server, job_id)
    assert [trial["status"] for trial in after] == ["done"] * KILLED
    assert {t["number"]: t["metric"] for t in after if t["number"] in before} == before


def test_a_killed_service_goes_on_after_its_restart(server: Server, job: dict[str, Any]) -> None:
    job_id = submit(server, job | {"budget": {"trials": KILLED}})
    until(lambda: any(t["status"] == "done" for t in trials(server, job_id)), "a first finished trial")
    server.kill()
    server.start()
    assert wait(server, job_id)["status"] == "done"
    assert [trial["status"] for trial in trials(server, job_id)] == ["done"] * KILLED


def test_a_cancelled_job_ends_its_running_trials(server: Server, job: dict[str, Any]) -> None:
    long = job | {"training": {"epochs": 5000, "batch_size": 1}}
    job_id = submit(server, long)
    until(lambda: any(t["status"] == "running" for t in trials(server, job_id)), "a running trial")
    assert server.http.post(f"/v1/jobs/{job_id}:cancel").status_code in (200, 202)
    assert wait(server, job_id)["status"] == "cancelled"
    assert {trial["status"] for trial in trials(server, job_id)} == {"cancelled"}


@embedded
def test_a_bad_job_is_refused_and_nothing_is_stored(server: Server, job: dict[str, Any]) -> None:
    before = read(server, "/v1/jobs")["items"]
    answer = server.http.post("/v1/jobs", json=job | {"limits": {"by_name": {"no_such_layer": [4]}}})
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["errors"][0]["pointer"] == "/limits/by_name/no_such_layer"
    assert read(server, "/v1/jobs")["items"] == before


@embedded
def test_a_job_whose_trials_all_diverge_fails_with_the_commonest_reason(
    server: Server, job: dict[str, Any]
) -> None:
    data = server.home / "data"
    data.mkdir(exist_ok=True)
    x = np.random.default_rng(0).normal(size=(200, 10)).astype("float32")
    y = np.linspace(-3e38, 3e38, 200, dtype="float32")  # the squared error of these is infinite
    np.savez(data / "huge.npz", x_train=x, y_train=y, x_test=x[:50], y_test=y[:50])
    wild = {"model": "diabetes_mlp", "data": {"kind": "npz", "file": "huge.npz"}, "objective": "r2"}
    ended = wait(server, submit(server, job | wild | {"filters": {"by": "none"}}))
    assert ended["status"] == "failed"
    assert "none of 3 trials could be measured; 3 of them: " in ended["reason"]
