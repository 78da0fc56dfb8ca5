"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[
    str,
    typer.Option(
        "--url", help="Address of the service; default: FEWBITS_URL, or the service on this machine."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="ID of the job.")]
TrialNumber = Annotated[int, typer.Argument(metavar="TRIAL", min=0, help="Number of the trial.")]
JobFile = Annotated[
    Path,
    typer.Argument(metavar="JOB", help="Job file, YAML or JSON; - reads standard input.", allow_dash=True),
]
Count = Annotated[int, typer.Option("-k", min=1, max=1000, help="Number of trials to show.")]
