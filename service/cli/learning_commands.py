"""`fewbits analysis`, `finalize` and `rerun`: what is done with a search once it has trials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_Url = Annotated[
    str, typer.Option("--url", help="Address of the service; default: FEWBITS_URL, or this machine's.")
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
_JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of a job.")]
_Trial = Annotated[int, typer.Argument(metavar="TRIAL", min=0, help="Number of the trial.")]


def analysis(job_id: _JobId, url: _Url = "", as_json: _AsJson = False) -> None:
    """Show what a search has learned: hypervolume, knee, and what each choice does to metric and cost."""
    from service.cli import learning, session

    with session.client(url) as client:
        session.show(client.analysis(job_id), learning.analysis, as_json=as_json)


def finalize(
    job_id: _JobId,
    trial: _Trial,
    epochs: Annotated[int, typer.Option("--epochs", "-e", min=1, max=10_000, help="Epochs to train on.")],
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for the end; exit code 1 if it failed.")
    ] = False,
    url: _Url = "",
    as_json: _AsJson = False,
) -> None:
    """Train a measured trial on, and measure it on validation and test data."""
    from service.cli import learning, session

    with session.client(url) as client:
        view = client.finalize(job_id, trial, epochs)
        if wait:
            view = learning.wait(client, view)
        session.show(view, learning.final, as_json=as_json)
    learning.exit_if_failed(view)


def rerun(
    job_id: _JobId,
    trial: _Trial,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="How far the metric may be off, as a share of it, or of 1; default: 0.005."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Data folder; default: FEWBITS_DATA_DIR.")
    ] = None,
    url: _Url = "",
) -> None:
    """Train a trial again by its recipe, on this machine; exit code 1 if the metric is off. Needs fewbits[worker]."""
    from service.cli import learning, session

    with session.client(url) as client:
        learning.rerun(client, job_id, trial, tolerance=tolerance, data=data)
