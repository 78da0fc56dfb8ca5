"""The commands that steer a job: pause, resume, stop, cancel, retry, extend, change, clone, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import AsJson, JobId, Url, Yes

_Trials = Annotated[int | None, typer.Option("--trials", "-n", min=1, help="Trials.")]
_Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="Epochs of all trials together.")]
_Seconds = Annotated[float | None, typer.Option("--seconds", min=0.001, help="Seconds.")]


def pause(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Let no new trial of a job begin; those under way go on."""
    _move("pause", job_id, url, as_json=as_json)


def resume(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Go on with a job that was paused."""
    _move("resume", job_id, url, as_json=as_json)


def stop(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """End a job with what it has: trials under way are finished, then the best one is reported."""
    _move("stop", job_id, url, as_json=as_json)


def cancel(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """End a job now; what was measured stays."""
    _move("cancel", job_id, url, as_json=as_json)


def retry(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Run the failed trials of a job again."""
    _move("retry", job_id, url, as_json=as_json)


def _move(verb: str, job_id: str, url: str, *, as_json: bool) -> None:
    from service.cli import render, session

    with session.client(url) as client:
        session.show(getattr(client, verb)(job_id), render.job_line, as_json=as_json)


def extend(
    job_id: JobId,
    trials: _Trials = None,
    epochs: _Epochs = None,
    seconds: _Seconds = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Give a job that has ended so much more budget, and have it go on."""
    from service.cli import render, session

    more = session.given(trials=trials, epochs=epochs, seconds=seconds)
    if not more:
        session.usage("name at least one of --trials, --epochs, --seconds")
    with session.client(url) as client:
        session.show(client.extend(job_id, more), render.job_line, as_json=as_json)


def change(
    job_id: JobId,
    trials: _Trials = None,
    epochs: _Epochs = None,
    seconds: _Seconds = None,
    parallel: Annotated[int | None, typer.Option("--parallel", min=1, help="Trials at once.")] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", min=-100, max=100, help="Higher ones begin first.")
    ] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Change budget, parallelism or priority of a job under way."""
    from service.cli import render, session

    budget = session.given(trials=trials, epochs=epochs, seconds=seconds)
    changes = session.given(budget=budget or None, parallel_trials=parallel, priority=priority)
    if not changes:
        session.usage("name at least one of --trials, --epochs, --seconds, --parallel, --priority")
    with session.client(url) as client:
        session.show(client.patch(job_id, changes), render.job_line, as_json=as_json)


def clone(
    job_id: JobId,
    changes: Annotated[
        Path | None,
        typer.Option(
            "--changes",
            "-c",
            metavar="FILE",
            help="What is to differ, as in a job file (a merge patch); - reads standard input.",
            allow_dash=True,
        ),
    ] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Start a new job like this one."""
    from service.cli import session

    differs = {} if changes is None else session.read_job(changes)
    with session.client(url) as client:
        view = client.clone(job_id, differs)
        if as_json:
            session.print_json(view)
        else:
            session.submitted(view, client.url)


def delete(job_id: JobId, yes: Yes = False, url: Url = "", as_json: AsJson = False) -> None:
    """Remove a job that has ended, with its trials and files."""
    from service.cli import session

    if not yes:
        typer.confirm(f"Remove job {job_id} with its trials and files?", abort=True, err=True)
    with session.client(url) as client:
        client.delete(job_id)
    if as_json:
        session.print_json({"id": job_id, "deleted": True})
    else:
        typer.echo(f"job {job_id} is removed")
