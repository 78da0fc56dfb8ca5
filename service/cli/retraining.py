"""Final trainings that a command waits for, and `fewbits rerun`."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import typer

from search.installation import module_command
from search.results.final_training import FinalStatus
from search.trial_files import MODEL_FILE, PARENT_MODEL_FILE, RECIPE_FILE
from service.cli.output import FAILED, show_error
from service.client import NotFound, SearchClient
from service.schemas.final_training import FinalView

_ENDED: Final = frozenset({FinalStatus.DONE, FinalStatus.FAILED})
_POLL_S: Final = 1.0


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
    client: SearchClient, job_id: str, number: int, *, tolerance: float | None, data: Path | None
) -> None:
    """Train a trial again by its recipe, in a process of the worker package, which prints the comparison.

    Exit code 1 if the metric is not reproduced, or the trial has no recipe.
    """
    with tempfile.TemporaryDirectory(prefix="fewbits-rerun-") as path:
        folder = Path(path)
        _fetch_recipe(client, job_id, number, folder)
        command = module_command("worker.rerun", str(folder))
        command += [] if data is None else ["--data", str(data)]
        command += [] if tolerance is None else ["--tolerance", str(tolerance)]
        exit_code = subprocess.run(command, check=False).returncode
    if exit_code:
        raise typer.Exit(FAILED)


def _fetch_recipe(client: SearchClient, job_id: str, number: int, folder: Path) -> None:
    """Download the recipe of a trial, and the model it started from."""
    try:
        recipe = json.loads(client.download(job_id, number, RECIPE_FILE, folder).read_text())
    except NotFound:
        show_error(f"trial {number} has no {RECIPE_FILE}: it was not measured")
        raise typer.Exit(FAILED) from None
    if recipe["start"] == "parent":
        parent = client.download(job_id, recipe["parent"], MODEL_FILE, folder)
        parent.rename(folder / PARENT_MODEL_FILE)
