"""The commands about trials: points, export, diff, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import AsJson, JobId, Url

_First = Annotated[int, typer.Argument(metavar="A", min=0, help="Number of a trial.")]
_Second = Annotated[int, typer.Argument(metavar="B", min=0, help="Number of another trial.")]


def trials(
    job_id: JobId,
    sort: Annotated[
        str | None, typer.Option("--sort", help="A field; - in front: largest first, as in -score.")
    ] = None,
    conditions: Annotated[
        str | None, typer.Option("--filter", help="Conditions: status:done,energy_pj<1000,metric>=0.9")
    ] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """List the trials of a job."""
    from service.cli import render, session

    with session.client(url) as client:
        found = list(client.trials(job_id, sort=sort, filter=conditions))
        session.show_many(found, render.trials, as_json=as_json)


def points(
    job_id: JobId,
    front: Annotated[bool, typer.Option("--front", help="Only those on the Pareto front.")] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Print every trial in a line: number, status, metric, cost, score, front. Tabs between, for other programs."""
    from service.cli import columns, session

    with session.client(url) as client:
        found = client.points(job_id)
    if as_json:
        session.print_json(columns.rows(found, only_front=front))
    else:
        typer.echo(columns.tabbed(found, only_front=front), nl=False)


def export(
    job_id: JobId,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="File to write: .csv or .parquet.")
    ],
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Write all trials of a job with their quantizers to one file."""
    from service.cli import session

    if output.suffix.lower() not in (".csv", ".parquet"):
        session.usage(f"{output} must end in .csv or .parquet")
    with session.client(url) as client, session.writing(output):
        client.export(job_id, output)
    session.wrote(output, as_json=as_json)


def diff(
    job_id: JobId,
    a: _First,
    b: _Second,
    every: Annotated[bool, typer.Option("--all", help="Also layers in which nothing differs.")] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Compare two trials: quantizers and energy layer by layer, metric, cost, score."""
    from service.cli import diffing, session

    with session.client(url) as client:
        job, first, second = client.job(job_id), client.trial(job_id, a), client.trial(job_id, b)
    found = diffing.compare(first, second)
    session.show(found, lambda shown: diffing.table(shown, job.cost_unit, every=every), as_json=as_json)


def report(
    job_id: JobId,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="HTML file to write.")
    ] = Path("report.html"),
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Write one HTML file with the plots and tables of a job. It loads nothing and runs nothing."""
    from service.cli import report as reports
    from service.cli import session

    with session.client(url) as client, session.writing(output):
        output.write_text(reports.page(reports.collect(client, job_id)), encoding="utf-8")
    session.wrote(output, as_json=as_json)
