"""Final trainings that a command waits for, and `fewbits rerun`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from search.installation import module_command
from search.results.final_training import FinalStatus
from search.trial_files import (
    PARENT_BITS_FILE,
    PARENT_MODEL_FILE,
    RECIPE_FILE,
    UPLOADS_FOLDER,
    parent_files,
)
from service.cli.bundling import MODEL_FOLDER, uploads_of
from service.cli.files import writing
from service.cli.output import FAILED, show_error, usage_error
from service.client import Damaged, NotFound, SearchClient
from service.client.unpacking import reading_zip
from service.schemas.final_training import FinalView

_ENDED: Final = frozenset({FinalStatus.DONE, FinalStatus.FAILED})
_POLL_S: Final = 1.0
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class NoRecipe(Exception):
    """A document is no recipe."""


def wait(client: SearchClient, view: FinalView) -> FinalView:
    """The final training once it has ended."""
    while view.status not in _ENDED:
        time.sleep(_POLL_S)
        view = client.final(view.job_id, view.number)
    return view


def exit_if_failed(view: FinalView) -> None:
    """Exit code 1 for a final training that failed."""
    if view.status is FinalStatus.FAILED:
        raise typer.Exit(FAILED)


def rerun(
    client: SearchClient,
    job_id: str,
    number: int,
    *,
    tolerance: float | None,
    data: Path | None,
    files: Sequence[Path] = (),
) -> None:
    """Train a trial again by its recipe, in a process of the worker package, which prints the comparison.

    `files`: uploads that the recipe names; those that are missing are fetched from the service. Exit code 1 if the
    metric is not reproduced, or something is missing, which is named.
    """
    with tempfile.TemporaryDirectory(prefix="fewbits-rerun-") as path:
        folder = Path(path)
        recipe = _fetch_recipe(client, job_id, number, folder)
        for part, reference in _take(recipe, files, folder).items():
            _fetch_upload(client, part, reference, folder)
        _run(folder, tolerance, data)


def rerun_file(
    source: Path, *, tolerance: float | None, data: Path | None, files: Sequence[Path] = ()
) -> None:
    """As `rerun`, of the zip of a bundle, or a recipe.json, beside which lies parent.keras where it needs one."""
    with tempfile.TemporaryDirectory(prefix="fewbits-rerun-") as path:
        folder = Path(path)
        try:
            recipe = _unpack(source, folder) if zipfile.is_zipfile(source) else _copy(source, folder)
        except (OSError, KeyError, NoRecipe, Damaged) as error:
            usage_error(f"{source} is neither a bundle nor a recipe: {error}")
        _take(recipe, files, folder)
        _run(folder, tolerance, data)


def _run(folder: Path, tolerance: float | None, data: Path | None) -> None:
    command = module_command("worker.rerun", str(folder))
    command += [] if data is None else ["--data", str(data)]
    command += [] if tolerance is None else ["--tolerance", str(tolerance)]
    if subprocess.run(command, check=False).returncode:
        raise typer.Exit(FAILED)


def _fetch_recipe(client: SearchClient, job_id: str, number: int, folder: Path) -> dict[str, Any]:
    """Download the recipe of a trial, and the model it started from."""
    try:
        path = client.download(job_id, number, RECIPE_FILE, folder)
    except NotFound:
        show_error(f"trial {number} has no {RECIPE_FILE}: it was not measured")
        raise typer.Exit(FAILED) from None
    try:
        recipe = _recipe(path)
    except NoRecipe as error:
        show_error(f"the service sent no recipe: {error}")
        raise typer.Exit(FAILED) from None
    for name, beside in parent_files(recipe["start"], recipe.get("penalty")).items():
        with contextlib.suppress(NotFound):  # the process says what is missing, all of it
            client.download(job_id, recipe["parent"], name, folder).rename(folder / beside)
    return recipe


def _unpack(source: Path, folder: Path) -> dict[str, Any]:
    """What a bundle has of a recipe: itself, the model it started from, uploads."""
    with reading_zip(source) as archive:
        for name in (RECIPE_FILE, PARENT_MODEL_FILE, PARENT_BITS_FILE):
            if f"{MODEL_FOLDER}/{name}" in archive.namelist() or name == RECIPE_FILE:
                with archive.open(f"{MODEL_FOLDER}/{name}") as content, (folder / name).open("wb") as file:
                    shutil.copyfileobj(content, file)
        for name in archive.namelist():
            if name.startswith(f"{UPLOADS_FOLDER}/") and not name.endswith("/"):
                with (
                    archive.open(name) as content,
                    tempfile.NamedTemporaryFile(dir=folder, delete=False) as copy,
                ):
                    shutil.copyfileobj(content, copy)
                _keep(Path(copy.name), folder)
    return _recipe(folder / RECIPE_FILE)


def _recipe(path: Path) -> dict[str, Any]:
    """The recipe in a file. NoRecipe for another document."""
    try:
        recipe: dict[str, Any] = json.loads(path.read_text())
        uploads = uploads_of(recipe["spec"])
        fitting = all(_SHA256.fullmatch(reference["sha256"]) for reference in uploads.values())
        fitting &= isinstance(recipe["start"], str) and isinstance(recipe["parent"], int | None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NoRecipe(f"{path.name}: {error!r}"[:200]) from None
    if not fitting or "model" not in recipe["spec"]:
        raise NoRecipe(f"{path.name} lacks fields of a recipe, or has other values")
    return recipe


def _copy(source: Path, folder: Path) -> dict[str, Any]:
    shutil.copyfile(source, folder / RECIPE_FILE)
    for name in (PARENT_MODEL_FILE, PARENT_BITS_FILE):
        if source.with_name(name).is_file():
            shutil.copyfile(source.with_name(name), folder / name)
    return _recipe(source)


def _take(recipe: Mapping[str, Any], files: Sequence[Path], folder: Path) -> dict[str, dict[str, Any]]:
    """Take the files that the recipe names as uploads; those that are still missing. Exit code 2 for any other file."""
    named = uploads_of(recipe["spec"])
    for path in files:
        copy = folder / f"given-{path.name}"
        with writing(path):
            shutil.copyfile(path, copy)
        kept = _keep(copy, folder)
        if kept.name not in [reference["sha256"] for reference in named.values()]:
            needed = ", ".join(f"the {part} with SHA-256 {entry['sha256']}" for part, entry in named.items())
            usage_error(
                f"--file {path} has the SHA-256 {kept.name}; the recipe names {needed or 'no uploads'}. Tables and "
                "images are stored as arrays: `fewbits datasets --download ID` has the file that is meant"
            )
    return {
        part: reference
        for part, reference in named.items()
        if not (folder / UPLOADS_FOLDER / str(reference["sha256"])).exists()
    }


def _fetch_upload(client: SearchClient, part: str, reference: Mapping[str, Any], folder: Path) -> None:
    """Fetch an upload from the service, unless it was deleted there."""
    fetch = {"model": client.download_model, "data": client.download_dataset}[part]
    with contextlib.suppress(NotFound), tempfile.TemporaryDirectory(dir=folder) as scratch:
        _keep(fetch(reference["id"], scratch), folder)


def _keep(path: Path, folder: Path) -> Path:
    """Move a file to where the process looks for uploads, under its SHA-256."""
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    target = folder / UPLOADS_FOLDER / digest
    target.parent.mkdir(exist_ok=True)
    return path.replace(target)
