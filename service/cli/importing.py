"""`fewbits import`: an AutoQKeras run_config as a job file. Calls no service."""

from __future__ import annotations

from pathlib import Path

import typer
import yaml
from rich.text import Text

from search.autoqkeras import DROPPED, import_run_config
from search.errors import InvalidSpec
from search.networks.zoo import ZOO, zoo_config
from search.run_config import read_run_config
from service.cli.files import writing
from service.cli.output import USAGE, error_console, show_error, usage_error


def import_file(source: Path, model: str, output: Path | None) -> None:
    """Write the job to `output`, or to standard output; notes go to standard error. Exit code 2 if unreadable."""
    try:
        text = source.read_text(encoding="utf-8")
        config = read_run_config(text, unused=DROPPED, layer_count=_layer_count(model))
        imported = import_run_config(config, model)
    except (OSError, UnicodeDecodeError) as error:
        usage_error(f"{source}: {error}")
    except InvalidSpec as error:
        for problem in error.problems:
            show_error(f"{source}{problem.pointer}: {problem.message}")
        raise typer.Exit(USAGE) from error
    document = yaml.safe_dump(imported.job, sort_keys=False, allow_unicode=True, width=110)
    if output is None:
        typer.echo(document, nl=False)
    else:
        with writing(output):
            output.write_text(document, encoding="utf-8")
        error_console().print(Text(f"{output}: check it with `fewbits validate {output}`"))
    for quirk in imported.quirks:
        error_console().print(Text(f"note: {quirk}"))


def _layer_count(model: str) -> int | None:
    """Layers of a built-in network; None for others, which only the service has."""
    return len(zoo_config(model)["config"]["layers"]) if model in ZOO else None
