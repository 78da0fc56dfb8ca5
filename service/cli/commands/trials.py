"""The commands that read trials: trials, points, best, pareto, fetch, export, diff, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import AsJson, Count, JobId, TrialNumber, Url


def trials(
    job_id: JobId,
    sort: Annotated[
        str | None,
        typer.Option("--sort", help="Field to sort by; with a leading -, largest first: -score."),
    ] = None,
    conditions: Annotated[
        str | None,
        typer.Option(
            "--filter", help="Conditions, separated by commas: status:done,energy_pj<1000,metric>=0.9"
        ),
    ] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """List the trials of a job."""
    from service.cli.connection import connect
    from service.cli.output import show
    from service.cli.text.trials import trial_table

    with connect(url) as client:
        trials = list(client.trials(job_id, sort=sort, filter=conditions))
        unit = "" if as_json else client.job(job_id).cost_unit
        show(trials, lambda listed: trial_table(listed, unit), as_json=as_json)


def points(
    job_id: JobId,
    front: Annotated[bool, typer.Option("--front", help="Only trials on the Pareto front.")] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Print a line for each trial, separated by tabs, for other programs.

    The columns are number, status, metric, cost, score and front.
    """
    from service.cli.connection import connect
    from service.cli.output import print_json
    from service.cli.text.points import rows, tab_separated

    with connect(url) as client:
        view = client.points(job_id)
    if as_json:
        print_json(rows(view, only_front=front))
    else:
        typer.echo(tab_separated(view, only_front=front), nl=False)


def best(
    job_id: JobId,
    k: Count = 10,
    delta_p: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=100,
            help="Percent of the metric forgiven per reduction of the cost by --rate; default: the goal's.",
        ),
    ] = None,
    delta_n: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=100,
            help="Percent of the metric deducted per increase of the cost by --rate; default: the goal's.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=1, help="Ratio of costs that --delta-p and --delta-n refer to; default: the goal's."
        ),
    ] = None,
    stress: Annotated[
        float | None, typer.Option(min=0, help="Factor on the reference cost; default: the goal's.")
    ] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Show the trials with the highest scores."""
    from service.cli.connection import connect
    from service.cli.output import show_points

    with connect(url) as client:
        highest = client.best(job_id, k, delta_p=delta_p, delta_n=delta_n, rate=rate, stress=stress)
        show_points(client, job_id, highest, "Best by score", as_json=as_json)


def pareto(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Show the Pareto front: the trials that no other trial dominates."""
    from service.cli.connection import connect
    from service.cli.output import show_points

    with connect(url) as client:
        show_points(client, job_id, client.pareto(job_id).items, "Pareto front", as_json=as_json)


def fetch(
    job_id: JobId,
    trial: TrialNumber,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path(),
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files with these names and other content.")
    ] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Download the files of a trial.

    Among them are the trained model, its quantizers, integer weights and a report.
    """
    from service.cli import files
    from service.cli.connection import connect

    with connect(url) as client:
        files.fetch(client, job_id, trial, output, as_json=as_json, force=force)


def diff(
    job_id: JobId,
    a: Annotated[int, typer.Argument(metavar="A", min=0, help="Number of a trial.")],
    b: Annotated[int, typer.Argument(metavar="B", min=0, help="Number of another trial.")],
    every: Annotated[bool, typer.Option("--all", help="Also show the layers that do not differ.")] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Compare two trials, layer by layer.

    Shows their quantizers, widths and energies, and above them metric, cost and score.
    """
    from service.cli.comparison import compare
    from service.cli.connection import connect
    from service.cli.output import show
    from service.cli.text.comparison import comparison_table

    with connect(url) as client:
        job, first, second = client.job(job_id), client.trial(job_id, a), client.trial(job_id, b)
    show(
        compare(first, second),
        lambda comparison: comparison_table(comparison, job.cost_unit, every=every),
        as_json=as_json,
    )


def report(
    job_id: JobId,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="HTML file to write.")
    ] = Path("report.html"),
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Draw plots that need no script instead of the dashboard's charts."),
    ] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Write charts and tables of a job to one HTML file.

    The charts are the dashboard's, sliders included. The page loads nothing; it needs neither a service nor a network.
    """
    from service.cli import report as reports
    from service.cli.connection import connect
    from service.cli.files import show_written, writing

    with connect(url) as client, writing(output):
        output.write_text(reports.page(reports.collect(client, job_id), plain=plain), encoding="utf-8")
    show_written(output, as_json=as_json)
