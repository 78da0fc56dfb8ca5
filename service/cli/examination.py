"""The findings of `fewbits doctor`, as a table or JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Final

import typer
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from service.cli.doctor import Finding, State, examine
from service.cli.output import FAILED, error_console, output_console, print_json, show_error
from service.cli.text.tables import new_table
from service.settings import Settings

_STYLES: Final = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "bold red"}


def show_findings(*, as_json: bool) -> None:
    """Examine, and show what was found. Exit code 1 if a part cannot work."""
    try:
        settings = Settings()
    except ValidationError as error:
        for fault in error.errors():
            show_error(f"FEWBITS_{str(fault['loc'][0]).upper()}: {fault['msg']}; it is {fault['input']!r}")
        raise typer.Exit(FAILED) from None
    if as_json:
        findings = list(examine(settings))
        print_json([asdict(finding) for finding in findings])
    else:
        with error_console().status("examining"):
            findings = list(examine(settings))
        output_console().print(finding_table(findings))
    if any(finding.state is State.PROBLEM for finding in findings):
        raise typer.Exit(FAILED)


def finding_table(findings: Iterable[Finding]) -> Table:
    """A row for each check; the remedy is below the detail."""
    table = new_table("check", "state", "detail", box=None)
    for finding in findings:
        detail = Text(finding.detail)
        if finding.remedy:
            detail.append(f"\n-> {finding.remedy}", style="bold")
        table.add_row(finding.check, Text(finding.state, style=_STYLES[finding.state]), detail)
    return table
