"""The connection of a command to the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from service.cli.output import FAILED, error_console, show_error
from service.cli.text.problems import print_problem
from service.client import ClientError, Refused, SearchClient, Unreachable
from service.settings import Settings

_INTERRUPTED = 130


@contextmanager
def connect(url: str) -> Iterator[SearchClient]:
    """A client of the service; its errors end the command with exit code 1 and a readable message."""
    settings = Settings()
    try:
        with SearchClient(url or settings.base_url, key=settings.api_key or None) as client:
            yield client
    except Refused as error:
        print_problem(error_console(), error.problem)
        raise typer.Exit(FAILED) from None
    except Unreachable as error:
        show_error(
            f"{error}. Is the service running? `fewbits serve` starts one; --url or FEWBITS_URL name another"
        )
        raise typer.Exit(FAILED) from None
    except ClientError as error:
        show_error(str(error))
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
