"""A spiking job through the tasks of a worker, and its trial made again by its recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantization.export.formats import export_format
from quantization.export.run import Outputs
from quantization.spiking.simulator import simulate
from quantization.spiking.specification import XyloParameters
from search.history import JobStatus, TrialStatus
from search.results.exports import ExportStatus
from search.results.recipe import Recipe
from service.errors import Conflict
from service.store import final_trainings, jobs, trials
from service.views.exports import export_view
from tests.worker.conftest import Bench
from tests.worker.test_exports import ask, row_of
from worker import rerun

SPIKING = {
    "model": {"kind": "xylo", "name": "spiking_digits"},
    "data": "spiking_digits",
    "limits": {},
    "training": {},
    "oracle": "grid",
    "budget": {"trials": 4},
    "spiking": {"methods": ["channel"], "bits_per_weight": [3, 8], "bits_per_threshold": [10, 16]},
}


@pytest.fixture
def searched(bench: Bench) -> str:
    """A spiking job that has ended."""
    job_id = bench.submit(**SPIKING)
    bench.work()
    return job_id


def document(bench: Bench, job_id: str, number: int, name: str) -> dict[str, object]:
    with bench.database.reading() as session:
        row = trials.artifact(session, trials.get(session, job_id, number), name)
    return json.loads(bench.runtime.blobs.path(row.sha256).read_text())  # type: ignore[no-any-return]


def test_a_spiking_job_runs_to_its_report(bench: Bench, searched: str) -> None:
    with bench.database.reading() as session:
        job, rows = jobs.get(session, searched), trials.page(session, searched, limit=10)
        files = [file.name for file in trials.artifacts(session, rows[0])]
    assert (job.status, [trial.reason for trial in rows]) == (JobStatus.DONE, [None] * 4)
    assert files == ["network.npz", "recipe.json", "report.json", "settings.json"]
    assert all(trial.status == TrialStatus.DONE and trial.epochs_done == 0 for trial in rows)
    few, many = rows[0], rows[3]
    assert (few.energy_pj or 0) < (many.energy_pj or 0)
    assert (few.metric or 0) < (many.metric or 0)
    assert job.best_trial is not None
    report = document(bench, searched, job.best_trial, "report.json")
    assert report["test"]["metric"] > 0.8  # type: ignore[index]


def test_a_spiking_trial_made_again_has_the_same_metric(bench: Bench, searched: str, tmp_path: Path) -> None:
    recipe = Recipe.from_json(document(bench, searched, 2, "recipe.json"))
    assert rerun.rerun(recipe, tmp_path, bench.settings.data_folder).metric == recipe.metric


def test_a_spiking_trial_cannot_be_trained_on(bench: Bench, searched: str) -> None:
    with pytest.raises(Conflict, match="no trained model"), bench.database.transaction() as session:
        final_trainings.request(session, searched, 0, 5)


@pytest.mark.parametrize("has_rockpool", [False, True])
def test_a_spiking_trial_is_exported_for_rockpool(
    bench: Bench, searched: str, has_rockpool: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Rockpool the readouts' events are those of the written arrays, by the simulator here."""
    if has_rockpool and (missing := list(export_format("xylo").missing())):
        pytest.skip(f"not installed: {', '.join(missing)}")
    if not has_rockpool:
        monkeypatch.setenv("FEWBITS_XYLO_PYTHON", "python")
        monkeypatch.setattr("search.spiking.exporting.run_exports", _simulated)
    assert ask(bench, searched, "xylo") == "xylo"
    bench.work()
    row = row_of(bench, searched, "xylo")
    assert (row.status, row.reason) == (ExportStatus.DONE, None)
    view = export_view(searched, 0, row)
    assert view.proof is not None
    assert (view.proof.exact, view.proof.equal_classes) == (True, 1.0)
    with bench.database.reading() as session:
        metric = trials.get(session, searched, 0).metric
    assert view.proof.metric == view.proof.model_metric == metric
    assert [file.name for file in view.files] == ["export.json", "specification.npz", "xylo_network.py"]


def _simulated(name: str, runs: list[tuple[Path, Any]]) -> list[Outputs]:
    results = []
    for folder, events in runs:
        with np.load(folder / "specification.npz") as arrays:
            network = XyloParameters.from_arrays(dict(arrays))
        results.append(Outputs((simulate(network, events).counts,), {name: "here"}))
    return results
