"""How analyses and final trainings are shown, and how a trial is trained again."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search.results.final_training import FinalStatus
from search.trial_files import FINAL_PREFIX, MODEL_FILE, PARENT_MODEL_FILE, RECIPE_FILE
from service.cli.render import percent
from service.client import NotFound, SearchClient
from service.schemas.analysis import AnalysisView, ChoiceEffectView
from service.schemas.final_training import FinalView

_ENDED: Final = frozenset({FinalStatus.DONE, FinalStatus.FAILED})
_POLL_S: Final = 1.0


def analysis(found: AnalysisView) -> RenderableType:
    """What a search has learned, the choices by falling importance."""
    knee = "none yet" if found.knee is None else f"trial {found.knee}"
    lines = [
        f"{found.trials} measured trials; the front dominates {percent(found.hypervolume)} of its box; knee: {knee}",
        f"the effects below account for {percent(found.explained)} of the variance of {found.metric},"
        f" {percent(found.cost_explained)} of that of log2 {found.cost_unit}",
    ]
    table = Table("choice", "importance", "for the cost", f"{found.metric} a bit", "cost a bit", box=None)
    for choice in sorted(found.choices, key=lambda each: -each.importance):
        table.add_row(*_row(choice))
    return Group(*map(Text, lines), table)


def _row(choice: ChoiceEffectView) -> tuple[Text, ...]:
    slope = "-" if choice.sensitivity is None else f"{choice.sensitivity:+.4f}"
    factor = "-" if choice.cost_sensitivity is None else f"x{2**choice.cost_sensitivity:.3f}"
    cells = (choice.name, percent(choice.importance), percent(choice.cost_importance), slope, factor)
    return tuple(map(Text, cells))


def final(view: FinalView) -> RenderableType:
    """A final training in one line."""
    line = f"trial {view.number}: final training of {view.epochs} epochs {view.status}"
    if view.status is FinalStatus.DONE and view.metric is not None and view.test_metric is not None:
        line += f"; validation {view.metric:.4f}, test {view.test_metric:.4f}; its files are named {FINAL_PREFIX}..."
    elif view.status is FinalStatus.RUNNING:
        line += f", {view.epochs_done} epochs are done"
    return Text(line if view.reason is None else f"{line}: {view.reason}")


def wait(client: SearchClient, view: FinalView) -> FinalView:
    """The final training once it has ended."""
    while view.status not in _ENDED:
        time.sleep(_POLL_S)
        view = client.final(view.job_id, view.number)
    return view


def exit_if_failed(view: FinalView) -> None:
    """Exit code 1 for a final training that failed."""
    if view.status is FinalStatus.FAILED:
        raise typer.Exit(1)


def rerun(
    client: SearchClient, job_id: str, number: int, *, tolerance: float | None, data: Path | None
) -> None:
    """Fetch a trial's recipe, and the model it went on with, and have a process of its own train it again.

    Ends with that process' exit code.
    """
    with tempfile.TemporaryDirectory(prefix="fewbits-rerun-") as place:
        folder = Path(place)
        try:
            recipe = json.loads(client.download(job_id, number, RECIPE_FILE, folder).read_text())
        except NotFound:
            typer.echo(f"error: trial {number} has no {RECIPE_FILE}: it was not measured", err=True)
            raise typer.Exit(1) from None
        if recipe["start"] == "parent":
            parent = client.download(job_id, recipe["parent"], MODEL_FILE, folder)
            parent.rename(folder / PARENT_MODEL_FILE)
        command = [sys.executable, "-m", "worker.rerun", str(folder)]
        command += [] if data is None else ["--data", str(data)]
        command += [] if tolerance is None else ["--tolerance", str(tolerance)]
        done = subprocess.run(command, check=False).returncode
    if done:
        raise typer.Exit(1)
