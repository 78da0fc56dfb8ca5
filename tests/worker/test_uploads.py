"""Jobs on uploaded models and data: from the user's own weights, or refused before anything is trained."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from search.history import JobStatus, TrialStatus
from search.plan import Plan
from search.spec.job import SearchSpec
from service.api.upload_reception import DATASETS, MODELS, UploadResource
from service.store import jobs, trials, uploads
from service.store.models import Job, now
from service.store.upload_parts import UploadParts
from service.store.uploads import Content, NewUpload, UploadKind
from tests.worker.conftest import Bench, tiny_job
from worker import float_model, preparation
from worker.advance import advance_job
from worker.sweep import sweep
from worker.uploads import uploaded_weights


def model(seed: int = 1) -> keras.Model:
    """A tagger on the data of the bench, with weights that no training would find."""
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            keras.Input((16,)),
            keras.layers.Dense(24),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return network


def saved(network: keras.Model, folder: Path) -> bytes:
    network.save(folder / "mine.keras")
    return (folder / "mine.keras").read_bytes()


def put(bench: Bench, resource: UploadResource, data: bytes) -> str:
    """Upload as the API does; the id."""
    incoming = UploadParts(bench.settings.incoming_folder, bench.runtime.blobs)
    with bench.database.transaction() as session:
        upload = uploads.create(session, NewUpload(resource.kind, "mine", len(data), None))
    with incoming.writing(upload.id, None) as piece:
        piece.write(data)
        sha256 = piece.finish()
        form, details = resource.check(incoming.path(upload.id))
        incoming.move_to_blobs(upload.id, sha256)
    with bench.database.transaction() as session:
        content = Content(sha256, len(data), form, json.loads(json.dumps(details)))
        uploads.complete(session, resource.kind, upload.id, content)
    return upload.id


def submit(bench: Bench, model_id: str, data_id: str | None = None, **changes: Any) -> str:
    """A job on uploads, stored as the API stores it."""
    with bench.database.reading() as session:
        named = {"kind": "uploaded", "id": model_id, **changes.pop("model", {})}
        named["sha256"] = uploads.get(session, UploadKind.MODEL, model_id).sha256
        changes["model"] = named
        if data_id is not None:
            address = uploads.get(session, UploadKind.DATA, data_id).sha256
            changes["data"] = {"kind": "uploaded", "id": data_id, "sha256": address, "preprocessing": "none"}
    return bench.submit(**({"training": {"epochs": 1, "batch_size": 64, "start": "float"}} | changes))


def history(bench: Bench, job_id: str) -> Any:
    with bench.database.reading() as session:
        return jobs.get(session, job_id), trials.history(session, job_id)


def plan_of(bench: Bench, job: Job) -> Plan:
    return preparation.plan(bench.runtime, job.id, preparation.specification(job))


def evaluated(network: keras.Model, bench: Bench, job_id: str) -> float:
    """Accuracy of a model on the job's validation data."""
    with bench.database.reading() as session:
        job = jobs.get(session, job_id)
    data = preparation.dataset(bench.runtime, plan_of(bench, job))
    (y,) = data.y_validation if isinstance(data.y_validation, tuple | list) else (data.y_validation,)
    return float(network.evaluate(data.x_validation, y, verbose=0)[1])


def test_a_job_starts_from_the_uploaded_weights(bench: Bench, tmp_path: Path) -> None:
    mine = model()
    with np.load(bench.settings.data_folder / "tiny.npz") as arrays:
        x, y = arrays["x_train"], arrays["y_train"]
    mine.fit(x, y, epochs=12, batch_size=16, verbose=0)
    data = (bench.settings.data_folder / "tiny.npz").read_bytes()
    job_id = submit(bench, put(bench, MODELS, saved(mine, tmp_path)), put(bench, DATASETS, data))
    bench.work()
    job, rows = history(bench, job_id)
    assert job.status == JobStatus.DONE, job.reason
    assert [trial.status for trial in rows] == [TrialStatus.DONE] * 2
    assert job.float_metric == pytest.approx(evaluated(mine, bench, job_id), abs=1e-6)
    assert job.float_metric > 0.7
    (folder,) = (bench.settings.home / "float").iterdir()
    best = keras.models.load_model(folder / "model.keras")
    for ours, theirs in zip(best.weights, mine.weights, strict=True):
        assert np.array_equal(ours, theirs), ours.path


def takes_uploaded_weights(bench: Bench, job_id: str) -> bool:
    with bench.database.reading() as session:
        return uploaded_weights(plan_of(bench, jobs.get(session, job_id))) is not None


def test_whose_weights_the_float_model_has(bench: Bench, tmp_path: Path) -> None:
    whole, bare = put(bench, MODELS, saved(model(), tmp_path)), put(bench, MODELS, model().to_json().encode())
    assert takes_uploaded_weights(bench, submit(bench, whole))
    assert not takes_uploaded_weights(bench, submit(bench, whole, model={"weights": False}))
    assert not takes_uploaded_weights(bench, submit(bench, bare))
    assert not takes_uploaded_weights(bench, bench.submit())


def with_weights(data: bytes, change: Callable[[h5py.File], object]) -> bytes:
    """A `.keras` file with its weights changed."""
    memory, out = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    memory.write(parts["model.weights.h5"])
    with h5py.File(memory, "r+") as file:
        change(file)
    parts["model.weights.h5"] = memory.getvalue()
    with zipfile.ZipFile(out, "w") as target:
        for name, part in parts.items():
            target.writestr(name, part)
    return out.getvalue()


def external(file: h5py.File) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/")


def transposed(file: h5py.File) -> None:
    array = file["layers/dense/vars/0"][()].T
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = array


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (external, "link to another object"),
        (transposed, "the model needs (16, 24)"),
        (lambda file: file.__delitem__("layers/dense_1"), "lacks 'layers/dense_1/vars/0'"),
        (lambda file: file.create_dataset("layers/more/vars/0", data=[1.0]), "which the model lacks"),
    ],
    ids=["external link", "another shape", "missing", "more"],
)
def test_refused_weights_end_the_job_before_anything_is_trained(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[h5py.File], object],
    word: str,
) -> None:
    monkeypatch.setattr(
        "search.training.trial.run_trial", lambda *_, **__: pytest.fail("something was trained")
    )
    scratch = tmp_path / "temporary"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    job_id = submit(bench, put(bench, MODELS, with_weights(saved(model(), tmp_path), change)))
    bench.work()
    job, rows = history(bench, job_id)
    assert job.status == JobStatus.FAILED
    assert "the uploaded weights are refused" in job.reason
    assert word in job.reason
    assert all(trial.metric is None for trial in rows)
    assert list(scratch.iterdir()) == []
    assert [path for path in (bench.settings.home / "float").rglob("*") if path.is_file()] == []


def test_content_that_is_gone_ends_the_job_with_its_reason(bench: Bench, tmp_path: Path) -> None:
    model_id = put(bench, MODELS, saved(model(), tmp_path))
    job_id = submit(bench, model_id)
    with bench.database.reading() as session:
        bench.runtime.blobs.path(uploads.get(session, UploadKind.MODEL, model_id).sha256 or "").unlink()
    for _ in range(bench.settings.max_attempts):
        advance_job(bench.runtime, job_id)
    job, _ = history(bench, job_id)
    assert job.status == JobStatus.FAILED
    assert "has been deleted" in job.reason


def test_the_sweep_forgets_half_uploads_and_keeps_whole_ones(bench: Bench, tmp_path: Path) -> None:
    whole = put(bench, MODELS, saved(model(), tmp_path))
    incoming = UploadParts(bench.settings.incoming_folder, bench.runtime.blobs)
    with bench.database.transaction() as session:
        half = uploads.create(session, NewUpload(UploadKind.MODEL, "half", 100, None))
        half.touched_at = now() - bench.settings.upload_patience - timedelta(minutes=1)
    with incoming.writing(half.id, None) as piece:
        piece.write(b"PK")
    os.utime(incoming.path(half.id), (0, 0))
    sweep(bench.runtime)
    assert not incoming.path(half.id).exists()
    with bench.database.reading() as session:
        assert [row.id for row in uploads.page(session, UploadKind.MODEL, limit=10)] == [whole]


def test_jobs_on_other_content_do_not_share_a_float_model() -> None:
    spec = SearchSpec.model_validate(
        tiny_job() | {"model": {"kind": "uploaded", "id": "0" * 16, "sha256": "0" * 64}}
    )
    other = SearchSpec.model_validate(
        tiny_job() | {"model": {"kind": "uploaded", "id": "0" * 16, "sha256": "1" * 64}}
    )
    assert float_model._recipe(spec) != float_model._recipe(other)
