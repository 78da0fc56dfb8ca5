"""`fewbits rescore`: finished trials under another goal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import AsJson, JobId, Url


def rescore(
    job_id: JobId,
    goal: Annotated[
        Path,
        typer.Option(
            "--goal",
            "-g",
            help="File, YAML or JSON: a goal, or a job whose goal is meant; - reads standard input.",
            allow_dash=True,
        ),
    ],
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many.")] = 10,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Rank the measured trials of a job under another goal; nothing is trained, nothing stored changes."""
    from service.cli import session
    from service.cli.ranking import ranking

    stated = session.read_job(goal)
    with session.client(url) as client:
        session.show(client.rescore(job_id, stated.get("goal", stated), k), ranking, as_json=as_json)
