"""The commands about finished searches: analysis, finalize, rerun, rescore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import AsJson, Count, JobId, TrialNumber, Url


def analysis(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Show what a search has learned about its choices.

    That is the hypervolume of the front, its knee, and the effect of each choice on metric and cost.
    """
    from service.cli.connection import connect
    from service.cli.output import show
    from service.cli.text.results import analysis_table

    with connect(url) as client:
        show(client.analysis(job_id), analysis_table, as_json=as_json)


def finalize(
    job_id: JobId,
    trial: TrialNumber,
    epochs: Annotated[int, typer.Option("--epochs", "-e", min=1, max=10_000, help="Epochs to train.")],
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for the end; exit with 1 if the training failed.")
    ] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Train a measured trial further and evaluate it on test data.

    Looks at the test data of a job are counted: figures that may be too good are marked.
    """
    from service.cli import retraining
    from service.cli.connection import connect
    from service.cli.output import show
    from service.cli.text.results import final_training_line

    with connect(url) as client:
        view = client.finalize(job_id, trial, epochs)
        if wait:
            view = retraining.wait(client, view)
        show(view, final_training_line, as_json=as_json)
    retraining.exit_if_failed(view)


def rerun(
    job_id: JobId,
    trial: TrialNumber,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Allowed difference of the metric; relative where the metric is larger than 1; default: 0.005.",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the data; default: FEWBITS_DATA_DIR.")
    ] = None,
    url: Url = "",
) -> None:
    """Train a trial again by its recipe, on this machine, and compare.

    Exits with 1 if the metric differs by more than the tolerance. Needs fewbits[worker].
    """
    from service.cli import retraining
    from service.cli.connection import connect

    with connect(url) as client:
        retraining.rerun(client, job_id, trial, tolerance=tolerance, data=data)


def rescore(
    job_id: JobId,
    goal: Annotated[
        Path,
        typer.Option(
            "--goal",
            "-g",
            help="Goal, or a job that has one: a file, YAML or JSON; - reads standard input.",
            allow_dash=True,
        ),
    ],
    k: Count = 10,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Rank the measured trials of a job under another goal.

    Nothing is trained, and nothing that is stored changes.
    """
    from service.cli.connection import connect
    from service.cli.job_file import read_job
    from service.cli.output import show
    from service.cli.text.trials import ranking_table

    document = read_job(goal)
    with connect(url) as client:
        show(client.rescore(job_id, document.get("goal", document), k), ranking_table, as_json=as_json)
