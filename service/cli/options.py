"""Options and arguments that many commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Url = Annotated[
    str, typer.Option("--url", help="Address of the service; default: FEWBITS_URL, or this machine's.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of a job.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
