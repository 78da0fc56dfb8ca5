"""A group of commands that imports a command when it runs, or when its own help or options are shown.

The overview (`fewbits --help`) and the completion of names need only the table of commands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from service.cli.examples import epilog

_PACKAGE = "service.cli.commands"


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command as the overview shows it.

    `target` is its function, or the Typer application of its subcommands, as "module:name" in `service.cli.commands`.
    `summary` is the first paragraph of the command's own help.
    """

    name: str
    panel: str
    target: str
    summary: str


class LazyCommand(TyperCommand):
    """Stands for a command that is not imported yet."""

    def __init__(self, entry: CommandEntry) -> None:
        super().__init__(entry.name, help=_escaped(entry.summary), rich_help_panel=entry.panel)
        self._entry = entry

    def load(self) -> TyperCommand | TyperGroup:
        """Import the command."""
        module, _, name = self._entry.target.partition(":")
        target = getattr(import_module(f"{_PACKAGE}.{module}"), name)
        application = target if isinstance(target, typer.Typer) else _application(target)
        command: Any = typer.main.get_command(application)
        command.name = self._entry.name
        _escape_help(command)
        _add_epilogs(command, self._entry.name)
        loaded: TyperCommand | TyperGroup = command
        return loaded


class LazyGroup(TyperGroup):
    """Lists the commands of its table, and loads the one that is called. Subclasses set `entries`."""

    entries: ClassVar[tuple[CommandEntry, ...]] = ()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = {entry.name: LazyCommand(entry) for entry in self.entries}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Name, command and arguments, the command loaded. A usage error if the command does not exist."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LazyCommand) else command, rest


def _application(function: Callable[..., None]) -> typer.Typer:
    application = typer.Typer(add_completion=False)
    application.command()(function)
    return application


def _escape_help(command: Any) -> None:
    """Have every help text shown as written: Rich would take `[worker]` of `fewbits[worker]` for markup."""
    for item in (command, *command.params):
        if item.help:
            item.help = _escaped(item.help)
    for subcommand in getattr(command, "commands", {}).values():
        _escape_help(subcommand)


def _add_epilogs(command: Any, name: str) -> None:
    """End the help of a command, and of its subcommands, with its variables and an example."""
    command.epilog = _escaped(epilog(name, uses_service=any(item.name == "url" for item in command.params)))
    for child, subcommand in getattr(command, "commands", {}).items():
        _add_epilogs(subcommand, f"{name} {child}")


def _escaped(text: str) -> str:
    if "[" not in text:
        return text
    from rich.markup import escape

    return escape(text)
