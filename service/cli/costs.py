"""`fewbits cost` and `fewbits profiles`: networks are priced in this process, and the answers printed or written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.text import Text

from search.cost import profiles
from search.cost.answer import Priced, price_network
from search.errors import InvalidSpec
from service.cli import cost_question
from service.cli.cost_html import page
from service.cli.cost_question import CostArguments, Unusable
from service.cli.files import writing
from service.cli.output import USAGE, error_console, output_console, print_json, show_error, usage_error
from service.cli.text.costs import explanation_table, network_table, profile_list, profile_table
from service.errors import InvalidRequest, ServiceError
from service.parsing import invalid_request
from service.schemas.cost import NetworkCostView, ProfileView


def show_cost(arguments: CostArguments, *, html: Path | None, as_json: bool) -> None:
    """Price a network and show its costs. Exit code 2 for every fault of the arguments and their files."""
    with _usage_errors():
        priced = _priced(arguments)
        answer = priced.answer()
        text = None if html is None else page(priced, answer)
    if html is not None and text is not None:
        with writing(html):
            html.write_text(text, "utf-8")
    if as_json:
        print_json(NetworkCostView.model_validate(answer))
    elif arguments.types:
        typer.echo(json.dumps(answer.types, indent=2))
    elif arguments.explain is not None:
        output_console().print(explanation_table(priced.explanation(arguments.explain)))
    else:
        console = output_console()
        console.print(network_table(answer, console.width))
    if html is not None:
        error_console().print(Text(f"written to {html}"))


def show_profiles(name: str | None, *, as_json: bool) -> None:
    """Show the built-in profiles, or one in full: its name, or a TOML file."""
    with _usage_errors():
        shown = profiles.built_in() if name is None else (profiles.described(cost_question.technology(name)),)
    if as_json:
        print_json([ProfileView.model_validate(profile) for profile in shown])
    else:
        output_console().print(profile_list(shown) if name is None else profile_table(shown[0]))


def _priced(arguments: CostArguments) -> Priced:
    question = cost_question.question(arguments)
    try:
        priced = price_network(question.spec)
        if arguments.explain is not None:
            priced.explanation(arguments.explain)
    except InvalidSpec as error:
        raise invalid_request(error, question.document) from None
    return priced


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Turns faults into readable lines and exit code 2."""
    try:
        yield
    except InvalidRequest as error:
        show_error("the network cannot be priced with these arguments")
        for problem in error.problems:
            place = (problem.pointer or "(all)", "bold")
            error_console().print(Text.assemble("  ", place, f": {problem.message}"))
        raise typer.Exit(USAGE) from None
    except ArithmeticError:
        usage_error("a price of the profile is not finite")
    except (Unusable, ServiceError) as error:
        usage_error(str(error))
