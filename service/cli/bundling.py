"""What `fewbits bundle` does: a trial with all that belongs to it in one zip."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from search.results.exports import ExportStatus
from search.trial_files import RECIPE_FILE, UPLOADS_FOLDER, parent_files
from service.cli.output import FAILED, show_error, usage_error
from service.cli.report import collect, page
from service.cli.text.model_card import model_card
from service.client import NotFound, SearchClient
from service.client.files import plain_name
from service.client.unpacking import unpack
from service.schemas.exports import ExportView
from service.schemas.jobs import JobView, TrialView

#: Names in the zip.
MODEL_FOLDER: Final = "model"
EXPORTS_FOLDER: Final = "exports"
CARD_FILE: Final = "README.md"
REPORT_FILE: Final = "report.html"
JOB_FILE: Final = "job.json"
DATA_FILE: Final = "data.json"


def bundle(
    client: SearchClient,
    job_id: str,
    number: int,
    target: Path,
    formats: Sequence[str] = (),
    *,
    with_uploads: bool = False,
) -> list[str]:
    """Write the zip of a trial, and return the names in it, sorted.

    `formats`: exports that are made first, where they are not; all that are done are in the zip. `with_uploads`: the
    uploaded model and data too. Exit code 1 for a trial without files; Invalid where a format cannot express it.
    """
    trial = client.trial(job_id, number)
    if not trial.artifacts:
        show_error(f"trial {number} is {trial.status} and has no files")
        raise typer.Exit(FAILED)
    job = client.job(job_id)
    with tempfile.TemporaryDirectory(prefix="fewbits-bundle-") as scratch:
        folder = Path(scratch)
        for artifact in trial.artifacts:
            client.download(
                job_id, number, artifact.name, folder / MODEL_FOLDER, size_bytes=artifact.size_bytes
            )
        recipe = _recipe(client, trial, folder / MODEL_FOLDER)
        exports = _exports(client, trial, folder, formats)
        if with_uploads:
            _uploads(client, job, folder / UPLOADS_FOLDER)
        (folder / REPORT_FILE).write_text(page(collect(client, job_id)))
        _write_json(folder / JOB_FILE, job.spec)
        _write_json(folder / DATA_FILE, {"data": job.spec["data"], "sha256": recipe.get("data_sha256", {})})
        (folder / CARD_FILE).write_text(model_card(job, trial, recipe, exports))
        return _zipped(folder, target)


def _recipe(client: SearchClient, trial: TrialView, folder: Path) -> dict[str, Any]:
    """The trial's recipe, and beside it the model that it continued; empty for a trial without one."""
    path = folder / RECIPE_FILE
    if not path.exists():
        return {}
    recipe: dict[str, Any] = json.loads(path.read_text())
    for name, beside in parent_files(recipe["start"], recipe.get("penalty")).items():
        try:
            with tempfile.TemporaryDirectory() as scratch:
                client.download(trial.job_id, recipe["parent"], name, scratch).replace(folder / beside)
        except NotFound:
            show_error(
                f"trial {trial.number} continued trial {recipe['parent']}, whose {name} has been deleted: the bundle "
                "cannot be run again"
            )
    return recipe


def _exports(
    client: SearchClient, trial: TrialView, folder: Path, formats: Sequence[str]
) -> tuple[ExportView, ...]:
    """The exports that are done, unpacked; those of `formats` are made first."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in formats:
            client.export_model(trial.job_id, trial.number, name, scratch)
        views = client.exports(trial.job_id, trial.number)
        done = tuple(view for view in views if view.status is ExportStatus.DONE)
        for view in done:
            packed = client.download_export(trial.job_id, trial.number, view.name, scratch)
            unpack(packed, folder / EXPORTS_FOLDER / plain_name(view.name), view.unpacked_bytes)
    return done


def _uploads(client: SearchClient, job: JobView, folder: Path) -> None:
    """The uploaded model and data of a job; one that was deleted is told of."""
    fetch = {"model": client.download_model, "data": client.download_dataset}
    for part, reference in uploads_of(job.spec).items():
        try:
            fetch[part](reference["id"], folder / part)
        except NotFound:
            show_error(f"the uploaded {part} {reference['id']} has been deleted: the bundle lacks it")


def uploads_of(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The uploads that a job names: model, data -> its id and SHA-256."""
    return {
        part: dict(spec[part])
        for part in ("model", "data")
        if isinstance(spec.get(part), Mapping) and spec[part].get("kind") == "uploaded"
    }


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n")


def _zipped(folder: Path, target: Path) -> list[str]:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.write(folder / name, name)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return names


def target_of(output: Path | None, job_id: str, number: int, *, force: bool) -> Path:
    """Where the zip is written; exit code 2 if a file is in the way."""
    target = output if output is not None else Path(f"{job_id}-{number}.zip")
    if target.suffix.lower() != ".zip":
        usage_error(f"{target} must end in .zip")
    if os.path.lexists(target) and not force:
        usage_error(f"{target} exists: choose another file (-o), or overwrite it with --force")
    return target
