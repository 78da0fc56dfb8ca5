"""What version 0.1.0 saved is read, continued and computed with by this version: a home with jobs, a trial's files."""

from __future__ import annotations

import json
import tarfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import quantization.layers  # noqa: F401 -- registers the quantized layers
from quantization.export.integers import export_integers
from quantization.models.convert import read_quantizers
from service.app import create_app
from service.queue import TaskName
from service.settings import Settings
from service.store import job_actions, jobs
from service.store.trials import history
from tests.service.conftest import URL
from tests.worker.conftest import Bench
from worker import preparation

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette asks for another HTTP client than the one fewbits uses
    from starlette.testclient import TestClient

DATA = Path(__file__).parent / "data"
ANSWERS: dict[str, Any] = json.loads((DATA / "answers.json").read_text())
DIGITS, OWN_MODEL, SPIKING = ANSWERS["jobs"]


def unpack(name: str, folder: Path) -> Path:
    """The contents of an archive of saved files."""
    with tarfile.open(DATA / name) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A service's home as 0.1.0 left it: three jobs, an uploaded model and its data."""
    return unpack("home.tar.xz", tmp_path) / "home"


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    """The files of a trial as 0.1.0 handed them out."""
    return unpack("trial.tar.xz", tmp_path / "trial")


@pytest.fixture
def bench(home: Path) -> Iterator[Bench]:
    """A worker on the saved home."""
    worker = Bench(home)
    preparation.clear()
    yield worker
    worker.database.dispose()


def test_a_saved_model_predicts_as_before(trial: Path) -> None:
    model = keras.models.load_model(trial / "model.keras")
    images = np.linspace(-1, 1, 4 * 64, dtype="float32").reshape(4, 8, 8, 1)
    np.testing.assert_allclose(model.predict(images, verbose=0), ANSWERS["predictions"], rtol=1e-5, atol=1e-7)


def test_saved_integers_are_those_of_the_saved_model(trial: Path) -> None:
    model = keras.models.load_model(trial / "model.keras")
    arrays = export_integers(model)
    with np.load(trial / "weights.npz") as saved:
        assert set(saved.files) <= set(arrays)
        for name in saved.files:
            np.testing.assert_array_equal(saved[name], arrays[name], err_msg=name)


def test_saved_quantizers_are_those_of_the_saved_model(trial: Path) -> None:
    model = keras.models.load_model(trial / "model.keras")
    layers = json.loads((trial / "quantizers.json").read_text())["layers"]
    saved = {
        layer["name"]: {slot: row["text"] for slot, row in layer["quantizers"].items()} for layer in layers
    }
    specs = {
        layer: {slot: str(spec) for slot, spec in slots.items() if spec is not None}
        for layer, slots in read_quantizers(model).items()
    }
    assert {layer: slots for layer, slots in specs.items() if slots} == {
        layer: slots for layer, slots in saved.items() if slots
    }


def includes(now: Any, before: Any, where: str = "") -> None:
    """What was answered before is still answered; more may be."""
    if isinstance(before, Mapping):
        for key, value in before.items():
            assert key in now, f"{where}/{key} is gone"
            includes(now[key], value, f"{where}/{key}")
    elif isinstance(before, list):
        assert len(now) == len(before), where
        for index, value in enumerate(before):
            includes(now[index], value, f"{where}/{index}")
    else:
        assert now == before, where


@pytest.mark.parametrize("job_id", [DIGITS, OWN_MODEL, SPIKING])
def test_a_saved_job_is_answered_as_before(home: Path, job_id: str) -> None:
    Bench(home).database.dispose()  # migrates
    before = ANSWERS["jobs"][job_id]
    with TestClient(create_app(Settings(home=home)), base_url=URL) as http:
        includes(http.get(f"/v1/jobs/{job_id}").json(), before["job"])
        includes(http.get(f"/v1/jobs/{job_id}/trials").json()["items"], before["trials"])
        includes(http.get(f"/v1/jobs/{job_id}/points").json(), before["points"])
        for number in range(len(before["trials"])):
            for name in http.get(f"/v1/jobs/{job_id}/trials/{number}").json()["artifacts"]:
                assert http.get(f"/v1/jobs/{job_id}/trials/{number}/artifacts/{name['name']}").is_success


@pytest.mark.parametrize("job_id", [DIGITS, OWN_MODEL, SPIKING])
def test_a_saved_job_goes_on(bench: Bench, job_id: str) -> None:
    with bench.database.transaction() as session:
        spec = dict(jobs.get(session, job_id).spec)
        trials = spec["budget"]["trials"] + 1
        job_actions.extend(session, job_id, spec | {"budget": spec["budget"] | {"trials": trials}})
        bench.queue.enqueue(TaskName.ADVANCE_JOB, job_id)
    bench.work()
    with bench.database.reading() as session:
        assert jobs.get(session, job_id).status == "done"
        assert len(history(session, job_id)) == trials
