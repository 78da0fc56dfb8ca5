"""`fewbits bundle`, and `fewbits rerun` of what it wrote."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from fastapi import FastAPI

from search.trial_files import PARENT_MODEL_FILE, UPLOADS_FOLDER
from service.cli import bundling, retraining
from service.client import Damaged, SearchClient
from service.client.unpacking import FREE_BYTES, unpack
from service.schemas.jobs import JobView
from service.store import trials
from tests.service.api.test_exports import finish
from tests.service.conftest import Run
from tests.service.filled import JOB, Filler


def recipe(**changes: Any) -> dict[str, Any]:
    """The document of a recipe, as far as a command reads it."""
    return {
        "spec": JOB,
        "start": "scratch",
        "parent": None,
        "epochs": 3,
        "seed": 7,
        "machine": "Linux x86_64",
        "versions": {"keras": "3.15.1"},
        "data_sha256": {"x_train": "ab" * 32},
    } | changes


@pytest.fixture
def job_id(filler: Filler, app: FastAPI, tmp_path: Path) -> str:
    """A job with two measured trials; 1 continued 0. Trial 1 has an export."""
    filled = filler.job(JOB | {"name": "digits | <b>small</b>"})
    documents = (recipe(), recipe(start="parent", parent=0))
    for trial_id, document in zip(filler.queue(filled, 2), documents, strict=True):
        filler.measure(filled, trial_id)
        path = tmp_path / "recipe.json"
        path.write_text(json.dumps(document))
        with app.state.database.transaction() as session:
            trials.put_artifacts(session, trial_id, {"recipe.json": app.state.blobs.put(path)})
    return filled.job_id


def packed(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return path


# ---- bundle ----------------------------------------------------------------------------------------------------------


def test_a_bundle_has_model_exports_report_recipe_fingerprint_and_card(
    run: Run, client: SearchClient, app: FastAPI, job_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.exports._check_taken", lambda *_: None)
    client.request_export(job_id, 0, "keras")
    finish(app, job_id, "keras", packed(tmp_path / "made.zip", **{"model.keras": "k"}))
    target = tmp_path / "out" / "trial.zip"
    result = run("bundle", job_id, "0", "-o", str(target))
    assert result.exit_code == 0, result.stderr
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        card = archive.read("README.md").decode()
        data = json.loads(archive.read("data.json"))
        assert archive.read("model/model.keras") == b"bytes of trial 0"
        assert b"<html" in archive.read("report.html")
    assert names == sorted(
        [
            *("README.md", "data.json", "exports/keras/model.keras", "job.json", "report.html"),
            *("model/model.keras", "model/recipe.json", "model/report.json"),
        ]
    )
    assert data == {"data": client.job(job_id).spec["data"], "sha256": {"x_train": "ab" * 32}}
    trial = client.trial(job_id, 0)
    assert f"| accuracy, validation data | {trial.metric:.4f} |" in card
    assert "digits \\| \\<b\\>small" in card
    assert "| exports/keras | keras | 5 | 100.00 % | exact |" in card
    assert "ab" * 32 in card
    assert not list(target.parent.glob(".*"))


def test_the_model_that_a_trial_continued_is_in_its_bundle(run: Run, job_id: str, tmp_path: Path) -> None:
    target = tmp_path / "one.zip"
    assert json.loads(run("bundle", job_id, "1", "-o", str(target), "--json").stdout)["file"] == str(target)
    with zipfile.ZipFile(target) as archive:
        assert archive.read(f"model/{PARENT_MODEL_FILE}") == b"bytes of trial 0"


def test_a_file_in_the_way_is_kept(run: Run, job_id: str, tmp_path: Path) -> None:
    target = tmp_path / "one.zip"
    target.write_text("mine")
    result = run("bundle", job_id, "0", "-o", str(target))
    assert (result.exit_code, "--force" in result.stderr, target.read_text()) == (2, True, "mine")
    assert run("bundle", job_id, "0", "-o", str(target), "--force").exit_code == 0
    assert "must end in .zip" in run("bundle", job_id, "0", "-o", str(tmp_path / "x.tar")).stderr


def test_a_trial_without_files_has_no_bundle(run: Run, filler: Filler, tmp_path: Path) -> None:
    filled = filler.job()
    filler.queue(filled, 1)
    result = run("bundle", filled.job_id, "0", "-o", str(tmp_path / "x.zip"))
    assert (result.exit_code, "has no files" in result.stderr) == (1, True)


def test_uploads_are_in_a_bundle_where_they_are_asked_for(
    client: SearchClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, content = _uploaded(client, tmp_path)
    gone = {"kind": "uploaded", "id": "0" * 16, "sha256": "0" * 64}
    job = cast(JobView, SimpleNamespace(spec={"model": gone, "data": reference}))
    bundling._uploads(client, job, tmp_path / "bundle")
    assert (tmp_path / "bundle" / "data" / "data.npz").read_bytes() == content
    assert "the uploaded model 0000000000000000 has been deleted" in capsys.readouterr().err


# ---- rerun -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of the folder that a rerun was started in: name -> content."""
    files: dict[str, bytes] = {}

    def note(folder: Path, tolerance: float | None, data: Path | None) -> None:
        files.update(
            (path.relative_to(folder).as_posix(), path.read_bytes())
            for path in folder.rglob("*")
            if path.is_file()
        )

    monkeypatch.setattr(retraining, "_run", note)
    return files


def _uploaded(client: SearchClient, folder: Path) -> tuple[dict[str, str], bytes]:
    """An uploaded data set as a job names it, and its bytes."""
    path = folder / "data.npz"
    np.savez(path, x_train=np.zeros((4, 3), np.float32), y_train=np.arange(4))
    content = path.read_bytes()
    view = client.upload_dataset(path)
    path.unlink()
    return {"kind": "uploaded", "id": view.id, "sha256": hashlib.sha256(content).hexdigest()}, content


def test_a_bundle_is_run_again_by_itself(
    run: Run, job_id: str, tmp_path: Path, started: dict[str, bytes]
) -> None:
    target = tmp_path / "one.zip"
    assert run("bundle", job_id, "1", "-o", str(target)).exit_code == 0
    assert run("rerun", str(target)).exit_code == 0
    assert set(started) == {"recipe.json", PARENT_MODEL_FILE}
    assert run("rerun", str(target), "1").exit_code == 2
    assert run("rerun", job_id).exit_code == 2


def test_uploads_of_a_recipe_come_from_files_by_their_content(
    tmp_path: Path, started: dict[str, bytes]
) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    spec = JOB | {"model": {"kind": "uploaded", "id": "1" * 16, "sha256": digest}}
    source = tmp_path / "recipe.json"
    source.write_text(json.dumps(recipe(spec=spec)))
    (tmp_path / "any name.keras").write_bytes(b"weights")
    retraining.rerun_file(source, tolerance=None, data=None, files=[tmp_path / "any name.keras"])
    assert started[f"{UPLOADS_FOLDER}/{digest}"] == b"weights"


def test_a_file_that_a_recipe_does_not_name_is_refused(
    run: Run, tmp_path: Path, started: dict[str, bytes]
) -> None:
    source = tmp_path / "recipe.json"
    source.write_text(json.dumps(recipe()))
    (tmp_path / "other").write_bytes(b"other")
    result = run("rerun", str(source), "--file", str(tmp_path / "other"))
    assert (result.exit_code, started) == (2, {})
    assert "the recipe names no uploads" in result.stderr
    source.write_text("{}")
    assert "neither a bundle nor a recipe" in run("rerun", str(source)).stderr


def test_uploads_in_a_bundle_are_used(tmp_path: Path, started: dict[str, bytes]) -> None:
    digest = hashlib.sha256(b"rows").hexdigest()
    spec = JOB | {"data": {"kind": "uploaded", "id": "1" * 16, "sha256": digest}}
    source = packed(
        tmp_path / "b.zip",
        **{"model__recipe.json": json.dumps(recipe(spec=spec)), "uploads__data__mine.npz": "rows"},
    )
    retraining.rerun_file(source, tolerance=None, data=None)
    assert set(started) == {"recipe.json", f"{UPLOADS_FOLDER}/{digest}"}


def test_missing_uploads_are_fetched_from_the_service(
    run: Run, client: SearchClient, filler: Filler, app: FastAPI, tmp_path: Path, started: dict[str, bytes]
) -> None:
    reference, content = _uploaded(client, tmp_path)
    filled = filler.job()
    [trial_id] = filler.queue(filled, 1)
    filler.measure(filled, trial_id)
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe(spec=JOB | {"data": reference})))
    with app.state.database.transaction() as session:
        trials.put_artifacts(session, trial_id, {"recipe.json": app.state.blobs.put(path)})
    assert run("rerun", filled.job_id, "0").exit_code == 0
    assert started[f"{UPLOADS_FOLDER}/{reference['sha256']}"] == content


# ---- zips and recipes of strangers -----------------------------------------------------------------------------------


def bomb(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/recipe.json", bytes(FREE_BYTES + 1))
    return path


def damaged(path: Path, old: bytes, new: bytes) -> Path:
    packed(path, **{"model__recipe.json": json.dumps(recipe())})
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


#: Name -> what writes a file that is no bundle.
HOSTILE: dict[str, Callable[[Path], object]] = {
    "a bomb": bomb,
    "a wrong checksum": lambda path: damaged(path, b'"seed": 7', b'"seed": 8'),
    "no recipe": lambda path: packed(path, **{"model__model.keras": "k"}),
    "a list": lambda path: packed(path, **{"model__recipe.json": "[]"}),
    "a deep list": lambda path: packed(path, **{"model__recipe.json": "[" * 100_000}),
    "another specification": lambda path: packed(path, **{"model__recipe.json": json.dumps(recipe(spec=[]))}),
    "another parent": lambda path: packed(
        path, **{"model__recipe.json": json.dumps(recipe(start="parent", parent="../../1"))}
    ),
    "a path for a checksum": lambda path: packed(
        path,
        **{
            "model__recipe.json": json.dumps(
                recipe(spec=JOB | {"model": {"kind": "uploaded", "id": "1" * 16, "sha256": "/etc/passwd"}})
            )
        },
    ),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_what_is_no_bundle_is_refused(run: Run, tmp_path: Path, started: dict[str, bytes], name: str) -> None:
    HOSTILE[name](tmp_path / "stranger.zip")
    result = run("rerun", str(tmp_path / "stranger.zip"))
    assert (result.exit_code, started) == (2, {})
    assert "is neither a bundle nor a recipe" in result.stderr


@pytest.mark.parametrize("name", ["../up", "a/../../up", "/etc/up", "a\\..\\up", "a/\x1b[2Jb", "a//b"])
def test_an_export_is_unpacked_nowhere_else(tmp_path: Path, name: str) -> None:
    source, folder = tmp_path / "export.zip", tmp_path / "deep" / "folder"
    packed(source, **{"first": "1", name: "2"})
    with pytest.raises(Damaged):
        unpack(source, folder)
    assert not folder.parent.exists()


def test_an_export_unpacks_to_no_more_than_was_declared(tmp_path: Path) -> None:
    source = packed(tmp_path / "export.zip", a="12", b__c="3")
    with pytest.raises(Damaged, match="2 files of 3 bytes"):
        unpack(source, tmp_path / "less", 2)
    unpack(source, tmp_path / "all", 3)
    assert (tmp_path / "all" / "b" / "c").read_text() == "3"
    with pytest.raises(Damaged, match="would unpack"):
        unpack(bomb(tmp_path / "bomb.zip"), tmp_path / "bomb", 1e12)
