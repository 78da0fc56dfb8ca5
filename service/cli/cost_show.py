"""Costs printed and written: the work of `fewbits cost` and `fewbits profiles`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.text import Text

from search.cost import profiles as catalogue
from search.cost.answer import Priced, price_network
from search.errors import InvalidSpec
from service.cli import cost_files, cost_table, session
from service.cli.cost_html import page
from service.errors import InvalidRequest, ServiceError
from service.parsing import invalid_request
from service.schemas.cost import NetworkCostView, ProfileView


def cost(asked: cost_files.Asked, *, html: Path | None, as_json: bool) -> None:
    """Price what is asked and show it. Exit code 2 for whatever is wrong with the arguments or files."""
    with _faults():
        priced = _priced(asked)
        answer = priced.answer()
        drawn = None if html is None else page(priced, answer)
    if html is not None and drawn is not None:
        _write(html, drawn)
    if as_json:
        session.print_json(NetworkCostView.model_validate(answer))
    elif asked.types:
        typer.echo(json.dumps(answer.types, indent=2))
    elif asked.explain is not None:
        session.output().print(cost_table.explanation(priced.explanation(asked.explain)))
    else:
        console = session.output()
        console.print(cost_table.network(answer, console.width))
    if html is not None:
        session.errors().print(Text(f"written to {html}"))


def profiles(name: str | None, *, as_json: bool) -> None:
    """Show the built-in profiles, or one in full."""
    with _faults():
        found = catalogue.built_in() if name is None else (catalogue.described(cost_files.technology(name)),)
    if as_json:
        session.print_json([ProfileView.model_validate(profile) for profile in found])
    else:
        session.output().print(cost_table.profiles(found) if name is None else cost_table.profile(found[0]))


def _priced(asked: cost_files.Asked) -> Priced:
    question = cost_files.question(asked)
    try:
        priced = price_network(question.spec)
        if asked.explain is not None:
            priced.explanation(asked.explain)
    except InvalidSpec as error:
        raise invalid_request(error, question.document) from None
    return priced


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        session.errors().print(Text.assemble(("error: ", "red"), f"{path}: {error.strerror}"))
        raise typer.Exit(session.USAGE) from None


@contextmanager
def _faults() -> Iterator[None]:
    """Faults as readable lines and exit code 2."""
    console = session.errors()
    try:
        yield
    except InvalidRequest as error:
        console.print(Text.assemble(("error: ", "red"), "this cannot be priced as given"))
        for problem in error.problems:
            console.print(Text.assemble("  ", (problem.pointer or "(all)", "bold"), f": {problem.message}"))
        raise typer.Exit(session.USAGE) from None
    except ArithmeticError:
        console.print(Text.assemble(("error: ", "red"), "the profile gives a price that is not finite"))
        raise typer.Exit(session.USAGE) from None
    except (cost_files.Unusable, ServiceError) as error:
        console.print(Text.assemble(("error: ", "red"), str(error)))
        raise typer.Exit(session.USAGE) from None
