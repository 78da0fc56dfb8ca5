"""The commands of the service itself: serve, worker, doctor, migrate, version."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.options import AsJson

_Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Trials to train at once; default: one for each CPU core, at most 4."),
]


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default: FEWBITS_HOST, or 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port to listen on; 0: any free port; default: FEWBITS_PORT, or 8765."
        ),
    ] = None,
    workers: _Workers = None,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Also run a worker.")] = True,
) -> None:
    """Run the API, the dashboard and a worker."""
    from search.process import without_collections

    with without_collections():
        from service.cli.serving import serve_here

    serve_here(host=host, port=port, workers=workers if worker else 0)


def worker(
    workers: _Workers = None,
    beat: Annotated[
        bool | None,
        typer.Option(help="Deprecated, without effect: every worker recovers the trials of dead ones."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Do not start a worker; exit with 1 unless a live worker reported recently."
        ),
    ] = False,
) -> None:
    """Run a worker."""
    from service.cli.serving import become_worker, check_worker

    if beat is not None:
        typer.echo("--beat and --no-beat are deprecated and without effect: every worker sweeps", err=True)
    if check:
        check_worker()
    else:
        become_worker(workers)


def doctor(as_json: AsJson = False) -> None:
    """Check this machine and the parts of the service; exit with 1 if one of them cannot work.

    Versions, disk, memory, database, schema, broker, workers, service, clock and proxies, each with the remedy for what
    is wrong. Nothing is started or changed.
    """
    from service.cli.examination import show_findings

    show_findings(as_json=as_json)


def migrate() -> None:
    """Upgrade the database to the newest schema."""
    from service.cli.serving import migrate_database

    migrate_database()


def version(as_json: AsJson = False) -> None:
    """Print the version."""
    import json
    from importlib import metadata

    installed = metadata.version("fewbits")
    typer.echo(json.dumps({"version": installed}) if as_json else installed)
