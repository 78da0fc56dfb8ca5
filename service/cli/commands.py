"""The commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli import (
    cost_commands,
    job_commands,
    keys,
    learning_commands,
    rescoring,
    trial_commands,
    upload_commands,
)
from service.cli.options import AsJson, JobId, Url

app = typer.Typer(
    name="fewbits",
    help="Find the quantizer, bit width and filter count of every layer of a Keras model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

JobFile = Annotated[
    Path,
    typer.Argument(metavar="JOB", help="Job file: YAML or JSON; - reads standard input.", allow_dash=True),
]


# --- the service ---


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trials trained at once.")] = None,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Also run a worker.")] = True,
) -> None:
    """Run the service: API, dashboard and, unless told otherwise, a worker."""
    from search.process import without_collections

    with without_collections():
        from service.cli.serving import serve_here

    serve_here(host=host, port=port, workers=workers if worker else 0)


@app.command()
def worker(
    workers: Annotated[int | None, typer.Option(min=1, help="Trials trained at once.")] = None,
    beat: Annotated[bool, typer.Option(help="Also look for dead workers and lost messages.")] = True,
    check: Annotated[
        bool, typer.Option("--check", help="Run none; exit with 1 unless one was heard of lately.")
    ] = False,
) -> None:
    """Run a worker."""
    from service.cli.serving import become_worker, check_worker

    if check:
        check_worker()
    else:
        become_worker(workers, beat=beat)


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    from service.cli.serving import migrate_database

    migrate_database()


# --- jobs ---


@app.command()
def submit(
    job: JobFile,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the job to its end.")] = False,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Start a job."""
    from service.cli import session

    with session.client(url) as client:
        view = client.submit(session.read_job(job))
        if watch:
            session.watch(client, view.id, as_json=as_json)
            return
        if as_json:
            session.print_json(view)
        else:
            session.submitted(view, client.url)


@app.command("import")
def import_job(
    source: Annotated[Path, typer.Argument(metavar="RUN_CONFIG", help="File: JSON or a Python dictionary.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Network of the zoo the search is for.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Job file to write.")] = None,
) -> None:
    """Turn an AutoQKeras run_config into a job file, and list the quirks it would have met there."""
    from service.cli.importing import import_file

    import_file(source, model, output)


@app.command()
def validate(job: JobFile, url: Url = "", as_json: AsJson = False) -> None:
    """Check a job and show what it would search; nothing is stored."""
    from service.cli import render, session

    with session.client(url) as client:
        session.show(client.validate(session.read_job(job)), render.dry_run, as_json=as_json)


@app.command()
def jobs(url: Url = "", as_json: AsJson = False) -> None:
    """List the jobs, newest first."""
    from service.cli import render, session

    with session.client(url) as client:
        session.show_many(list(client.jobs()), render.jobs, as_json=as_json)


@app.command()
def watch(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Follow a job to its end; exit code 1 unless it ends done."""
    from service.cli import session

    with session.client(url) as client:
        session.watch(client, job_id, as_json=as_json)


app.command()(job_commands.pause)
app.command()(job_commands.resume)
app.command()(job_commands.stop)
app.command()(job_commands.cancel)
app.command()(job_commands.retry)
app.command()(job_commands.extend)
app.command()(job_commands.change)
app.command()(job_commands.clone)
app.command()(job_commands.delete)


# --- trials ---


app.command()(trial_commands.trials)
app.command()(trial_commands.points)


@app.command()
def best(
    job_id: JobId,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many.")] = 10,
    delta_p: Annotated[
        float | None, typer.Option(min=0, max=100, help="In place of the goal's; so are the next three.")
    ] = None,
    delta_n: Annotated[float | None, typer.Option(min=0, max=100)] = None,
    rate: Annotated[float | None, typer.Option(min=1)] = None,
    stress: Annotated[float | None, typer.Option(min=0)] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Show the trials with the highest scores."""
    from service.cli import session

    with session.client(url) as client:
        found = client.best(job_id, k, delta_p=delta_p, delta_n=delta_n, rate=rate, stress=stress)
        session.show_points(client, job_id, found, "Best by score", as_json=as_json)


@app.command()
def pareto(job_id: JobId, url: Url = "", as_json: AsJson = False) -> None:
    """Show the trials no other trial beats in both accuracy and cost."""
    from service.cli import session

    with session.client(url) as client:
        session.show_points(client, job_id, client.pareto(job_id).items, "Pareto front", as_json=as_json)


@app.command()
def fetch(
    job_id: JobId,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", min=0, help="Number of the trial.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path(),
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Download the files of a trial: trained model, quantizers, integer weights, report."""
    from service.cli import session

    with session.client(url) as client:
        session.fetch(client, job_id, trial, output, as_json=as_json)


app.command()(trial_commands.export)
app.command()(trial_commands.diff)
app.command()(trial_commands.report)
app.command()(learning_commands.analysis)
app.command()(learning_commands.finalize)
app.command()(learning_commands.rerun)
app.command()(rescoring.rescore)


# --- models and data ---

app.command()(upload_commands.upload)
app.command()(upload_commands.models)
app.command()(upload_commands.datasets)


# --- costs ---

app.command()(cost_commands.cost)
app.command()(cost_commands.profiles)


# --- who may ask ---

app.add_typer(keys.app, name="keys")


# --- the rest ---


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    from importlib import metadata

    found = metadata.version("fewbits")
    typer.echo(f'{{"version": "{found}"}}' if as_json else found)
