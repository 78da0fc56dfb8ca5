"""`fewbits import`: AutoQKeras' run_config as a job file. Plain; asks no service."""

from __future__ import annotations

from pathlib import Path

import typer
import yaml
from rich.console import Console

from search.autoqkeras import Imported, import_run_config, read_run_config
from search.errors import InvalidSpec


def import_file(source: Path, model: str, output: Path | None) -> None:
    """Write the job to `output`, else to standard output; quirks go to standard error. Exit code 2 if unreadable."""
    errors = Console(stderr=True, highlight=False)
    try:
        text = source.read_text(encoding="utf-8")
        found = import_run_config(read_run_config(text), model)
    except (OSError, UnicodeDecodeError) as error:
        errors.print(f"{source}: {error}", style="red", markup=False)
        raise typer.Exit(2) from error
    except InvalidSpec as error:
        for problem in error.problems:
            errors.print(f"{source}{problem.pointer}: {problem.message}", style="red", markup=False)
        raise typer.Exit(2) from error
    document = _document(found)
    if output is None:
        typer.echo(document, nl=False)
    else:
        output.write_text(document, encoding="utf-8")
        errors.print(f"{output}: check it with `fewbits validate {output}`", markup=False)
    for quirk in found.quirks:
        errors.print(f"note: {quirk}", markup=False)


def _document(found: Imported) -> str:
    return yaml.safe_dump(found.job, sort_keys=False, allow_unicode=True, width=110)
