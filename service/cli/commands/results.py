"""The commands about finished searches: analysis, classes, finalize, rerun, rescore."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import AsJson, Count, JobId, TrialNumber, Url


class Part(StrEnum):
    """A part of the data that a trial is measured on."""

    VALIDATION = "validation"
    TEST = "test"
    FINAL_VALIDATION = "final_validation"
    FINAL_TEST = "final_test"


def analysis(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Show what a search has learned about its choices.

    That is the hypervolume of the front, its knee, and the effect of each choice on metric and cost.
    """
    from service.cli.connection import connect
    from service.cli.output import show
    from service.cli.text.results import analysis_table

    with connect(url) as client:
        show(client.analysis(job_id), analysis_table, as_json=as_json)


def classes(
    job_id: JobId,
    trial: TrialNumber,
    part: Annotated[
        Part | None,
        typer.Option(
            "--part", help="Part of the data whose classes are listed; default: test data if measured."
        ),
    ] = None,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="Also the examples by true and predicted class.")
    ] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Show what a trial gets right, class by class, and its confusion matrix.

    Also accuracy, macro F1, mean IoU and calibration error on every part of the data that it was measured on.
    """
    from service.cli.connection import connect
    from service.cli.output import show
    from service.cli.text.classes import class_report

    with connect(url) as client:
        view = client.class_report(job_id, trial)
        chosen = None if part is None else part.value
        show(view, lambda report: class_report(report, chosen, confusion=confusion), as_json=as_json)


def finalize(
    job_id: JobId,
    trial: TrialNumber,
    epochs: Annotated[int, typer.Option("--epochs", "-e", min=1, max=10_000, help="Epochs to train.")],
    distill: Annotated[
        bool, typer.Option("--distill", help="Learn from the float model too; default: as the job's trials.")
    ] = False,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=100, help="Of --distill; default: 4.")
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of the float model in the loss, of --distill; default: 0.5."),
    ] = None,
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

    stated = {"temperature": temperature, "share": share}
    options = {name: value for name, value in stated.items() if value is not None}
    if options and not distill:
        raise typer.BadParameter(f"--{next(iter(options))} belongs to --distill: give both")
    with connect(url) as client:
        view = client.finalize(job_id, trial, epochs, options if distill else None)
        if wait:
            view = retraining.wait(client, view)
        show(view, final_training_line, as_json=as_json)
    retraining.exit_if_failed(view)


def rerun(
    source: Annotated[
        str,
        typer.Argument(metavar="ID|FILE", help="ID of the job, or the zip of a bundle, or a recipe.json."),
    ],
    trial: Annotated[
        int | None, typer.Argument(metavar="[TRIAL]", min=0, help="Number of the trial; not for a file.")
    ] = None,
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
    file: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="An uploaded model or data that the recipe names; known by its content. Default: from the service.",
        ),
    ] = None,
    url: Url = "",
) -> None:
    """Train a trial again by its recipe, on this machine, and compare.

    Exits with 1 if the metric differs by more than the tolerance. Needs fewbits[worker].
    """
    from service.cli import retraining
    from service.cli.connection import connect
    from service.cli.output import usage_error

    if Path(source).suffix.lower() in (".zip", ".json"):
        if trial is not None:
            usage_error(f"{source} is a file, which has one trial: leave {trial} out")
        retraining.rerun_file(Path(source), tolerance=tolerance, data=data, files=file or [])
    elif trial is None:
        usage_error("name the TRIAL; only a bundle's .zip and a recipe's .json stand alone")
    else:
        with connect(url) as client:
            retraining.rerun(client, source, trial, tolerance=tolerance, data=data, files=file or [])


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
