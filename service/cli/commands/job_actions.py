"""The commands that steer a job: pause, resume, stop, cancel, retry, extend, change, clone, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import AsJson, JobId, Url


def pause(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Pause a job: no new trial starts; running trials continue."""
    _act("pause", job_id, url, as_json=as_json)


def resume(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Resume a paused job."""
    _act("resume", job_id, url, as_json=as_json)


def stop(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Stop a job: running trials finish, then the best is reported."""
    _act("stop", job_id, url, as_json=as_json)


def cancel(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Cancel a job at once; measured trials are kept."""
    _act("cancel", job_id, url, as_json=as_json)


def retry(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Run the failed trials of a job again."""
    _act("retry", job_id, url, as_json=as_json)


def _act(action: str, job_id: str, url: str, *, as_json: bool) -> None:
    from service.cli.connection import connect
    from service.cli.output import show
    from service.cli.text.jobs import job_line

    with connect(url) as client:
        show(getattr(client, action)(job_id), job_line, as_json=as_json)


def extend(
    job_id: JobId,
    trials: Annotated[int | None, typer.Option("--trials", "-n", min=1, help="Additional trials.")] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Additional epochs, over all trials.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.001, help="Additional time, in seconds.")
    ] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Add budget to a finished job and resume it."""
    from service.cli.connection import connect
    from service.cli.job_file import without_none
    from service.cli.output import show, usage_error
    from service.cli.text.jobs import job_line

    budget = without_none(trials=trials, epochs=epochs, seconds=seconds)
    if not budget:
        usage_error("name at least one of --trials, --epochs, --seconds")
    with connect(url) as client:
        show(client.extend(job_id, budget), job_line, as_json=as_json)


def change(
    job_id: JobId,
    trials: Annotated[int | None, typer.Option("--trials", "-n", min=1, help="Trials of the job.")] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Epochs of the job, over all trials.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.001, help="Time of the job, in seconds.")
    ] = None,
    parallel: Annotated[
        int | None, typer.Option("--parallel", min=1, help="Trials that may run at once.")
    ] = None,
    priority: Annotated[
        int | None,
        typer.Option("--priority", min=-100, max=100, help="Jobs with a higher priority run first."),
    ] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Change budget, parallelism or priority of an unfinished job."""
    from service.cli.connection import connect
    from service.cli.job_file import without_none
    from service.cli.output import show, usage_error
    from service.cli.text.jobs import job_line

    budget = without_none(trials=trials, epochs=epochs, seconds=seconds)
    changes = without_none(budget=budget or None, parallel_trials=parallel, priority=priority)
    if not changes:
        usage_error("name at least one of --trials, --epochs, --seconds, --parallel, --priority")
    with connect(url) as client:
        show(client.patch(job_id, changes), job_line, as_json=as_json)


def clone(
    job_id: JobId,
    changes: Annotated[
        Path | None,
        typer.Option(
            "--changes",
            "-c",
            metavar="FILE",
            help="The fields to change, as in a job file (a JSON merge patch); - reads standard input.",
            allow_dash=True,
        ),
    ] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Submit a copy of a job, with changes if you like."""
    from service.cli.connection import connect
    from service.cli.job_file import read_job
    from service.cli.output import show_submitted

    patch = {} if changes is None else read_job(changes)
    with connect(url) as client:
        show_submitted(client.clone(job_id, patch), client.url, as_json=as_json)


def delete(
    job_id: JobId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Delete a finished job with its trials and files."""
    from service.cli.connection import connect
    from service.cli.output import print_json

    if not yes:
        typer.confirm(f"Delete job {job_id} with its trials and files?", abort=True, err=True)
    with connect(url) as client:
        client.delete(job_id)
    if as_json:
        print_json({"id": job_id, "deleted": True})
    else:
        typer.echo(f"job {job_id} is deleted")
