"""The commands that submit and read jobs: submit, import, validate, jobs, watch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import AsJson, JobFile, JobId, Url


def submit(
    job: JobFile,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the job until it ends.")] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Submit a job."""
    from service.cli import live, output
    from service.cli.connection import connect
    from service.cli.job_file import read_job

    with connect(url) as client:
        view = client.submit(read_job(job))
        output.warn_without_worker(client)
        if watch:
            live.watch(client, view.id, as_json=as_json)
        else:
            output.show_submitted(view, client.url, as_json=as_json)


def import_job(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_CONFIG", help="Its file: JSON, Python that assigns it, or the notebook (.ipynb)."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Network to search: built-in, a file (.keras, JSON), or the id of an upload.",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            "--data", "-d", help="Data: built-in, a file as for `fewbits upload`, or the id of an upload."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Job file to write; default: standard output.")
    ] = None,
    url: Url = "",
) -> None:
    """Convert an AutoQKeras run_config to a job file.

    Code is read, never run. Files of --model and --data are uploaded; without them no service is needed. Settings that
    behave differently in AutoQKeras are listed on standard error.
    """
    from service.cli.importing import import_file

    import_file(source, model, data, output, url)


def validate(job: JobFile, url: Url = "", as_json: AsJson = False) -> None:
    """Check a job and show what it would search; nothing is stored."""
    from service.cli.connection import connect
    from service.cli.job_file import read_job
    from service.cli.output import show
    from service.cli.text.jobs import dry_run

    with connect(url) as client:
        show(client.validate(read_job(job)), dry_run, as_json=as_json)


def jobs(url: Url = "", as_json: AsJson = False) -> None:
    """List the jobs, newest first."""
    from service.cli.connection import connect
    from service.cli.output import show
    from service.cli.text.jobs import job_table

    with connect(url) as client:
        show(list(client.jobs()), job_table, as_json=as_json)


def watch(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Follow a job until it ends; exit with 1 unless its status is then done."""
    from service.cli import live
    from service.cli.connection import connect

    with connect(url) as client:
        live.watch(client, job_id, as_json=as_json)
