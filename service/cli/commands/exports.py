"""`fewbits export`: a trial in the format of a device or tool, or all trials of a job as a table. `fewbits bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import AsJson, JobId, TrialNumber, Url


def export(
    job: Annotated[str, typer.Argument(metavar="ID", help="ID of the job; with --check also a job file.")],
    trial: Annotated[
        int | None, typer.Argument(metavar="[TRIAL]", min=0, help="Number of the trial to export.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Folder to unpack the export in, or a .zip; without TRIAL a file: .csv or .parquet.",
        ),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", "-t", metavar="FORMAT", help="Format of the export.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="An option of the format.")
    ] = None,
    final: Annotated[bool, typer.Option("--final", help="Export the model of the final training.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only show which formats take the trial, or every trial of a job file."),
    ] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Write a trial in a format of a device or tool, or all trials to one file.

    The export is run by its own runtime and compared with the model; formats: docs/exports.md, or --check.
    """
    from service.cli import exporting
    from service.cli.output import usage_error

    if check:
        exporting.show_formats(job, trial, url, as_json=as_json)
    elif to is not None:
        if trial is None:
            usage_error("name the TRIAL to export with --to")
        exporting.export_trial(
            job, trial, to, option or [], "final" if final else "trial", output, url, as_json=as_json
        )
    elif trial is not None:
        usage_error("name the format with --to FORMAT; --check shows which formats take the trial")
    elif output is None:
        usage_error("name the file to write all trials to: -o FILE, .csv or .parquet")
    else:
        exporting.export_table(job, output, url, as_json=as_json)


def bundle(
    job_id: JobId,
    trial: TrialNumber,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The .zip to write; default: ID-TRIAL.zip."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", "-t", metavar="FORMAT", help="Make this export first, unless it is there."),
    ] = None,
    uploads: Annotated[
        bool, typer.Option("--uploads", help="Put the uploaded model and data in, too.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Write a trial with its model card, report, recipe and exports to one zip.

    `fewbits rerun FILE.zip` trains it again anywhere.
    """
    from service.cli import bundling
    from service.cli.connection import connect
    from service.cli.files import show_written, writing

    target = bundling.target_of(output, job_id, trial, force=force)
    with connect(url) as client, writing(target):
        bundling.bundle(client, job_id, trial, target, to or [], with_uploads=uploads)
    show_written(target, as_json=as_json)
