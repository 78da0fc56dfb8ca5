"""The help: complete, literal, fast to show, and loaded only for the command that is asked about."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from service.cli import app
from service.cli.examples import EXAMPLES, variables
from service.cli.main import COMMANDS
from service.settings import Settings

#: Wide enough that no help text is wrapped.
WIDE = {"COLUMNS": "400", "TERM": "dumb", "NO_COLOR": "1"}

VERBS = frozenset(
    {
        *("Add", "Cancel", "Change", "Check", "Compare", "Convert", "Create", "Delete", "Download", "Follow"),
        *(
            "List",
            "Manage",
            "Operate",
            "Pause",
            "Print",
            "Rank",
            "Replace",
            "Resume",
            "Revoke",
            "Run",
            "Set",
            "Show",
        ),
        *("Have", "Remove", "Restore", "Stop", "Submit", "Sweep", "Train", "Upgrade", "Upload", "Write"),
    }
)


def loaded() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command, also those of groups, with its words."""
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        whole = command.load()
        yield (name,), whole
        for child, subcommand in getattr(whole, "commands", {}).items():
            yield (name, child), subcommand


def sources(command: Any) -> list[str]:
    """The help texts of a command as its module states them."""
    if not command.callback:
        return list(_group(command.name).info.help.split("\n\n"))
    function = inspect.unwrap(command.callback)
    texts = (inspect.getdoc(function) or "").split("\n\n")
    for hint in typing.get_type_hints(function, include_extras=True).values():
        texts += [item.help for item in getattr(hint, "__metadata__", ()) if item.help]
    return texts


def _group(name: str) -> Any:
    from service.cli.commands.admin import app as admin
    from service.cli.commands.keys import app as keys

    return {"admin": admin, "keys": keys}[name]


def shown(*words: str) -> str:
    """The help of a command, spaces collapsed."""
    result = CliRunner().invoke(app, [*words, "--help"], env=WIDE)
    assert result.exit_code == 0, result.output
    return re.sub(r"\s+", " ", result.output)


ALL = list(loaded())


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_a_help_shows_every_text_as_written(words: tuple[str, ...], command: Any) -> None:
    text = shown(*words)
    expected = sources(command)
    assert expected
    for source in expected:
        assert re.sub(r"\s+", " ", source).strip() in text


def test_the_overview_shows_every_summary_as_written() -> None:
    text = shown()
    for entry in COMMANDS:
        assert entry.name in text
        assert entry.summary in text
        assert entry.panel in text


def test_square_brackets_are_no_markup() -> None:
    assert "fewbits[worker]" in shown("rerun")


def test_summaries_are_those_of_the_commands() -> None:
    group: Any = typer.main.get_command(app)
    for entry in COMMANDS:
        whole = group.commands[entry.name].load()
        assert entry.summary == sources(whole)[0], entry.name
        assert whole.name == entry.name


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_a_help_begins_with_an_imperative_sentence(words: tuple[str, ...], command: Any) -> None:
    first = sources(command)[0]
    assert first.split()[0] in VERBS
    assert first.endswith(".")


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_every_option_has_a_help(words: tuple[str, ...], command: Any) -> None:
    without = [item.name for item in command.params if not item.help and item.name != "help"]
    assert without == []


@pytest.mark.parametrize(
    ("words", "command"), [((), None), *ALL], ids=["fewbits", *(" ".join(words) for words, _ in ALL)]
)
def test_a_help_names_its_variables_and_ends_with_an_example(words: tuple[str, ...], command: Any) -> None:
    text = shown(*words).strip()
    name = " ".join(words)
    assert text.endswith(f"Example: fewbits {EXAMPLES[name]}")
    names = variables(name, uses_service=command is not None and uses_service(command))
    assert f"Environment: {', '.join(names) or 'none'}" in text
    settings = {f"FEWBITS_{field.upper()}" for field in Settings.model_fields}
    assert {item for item in names if item.startswith("FEWBITS_")} <= settings


def uses_service(command: Any) -> bool:
    return any(item.name == "url" for item in command.params)


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_an_example_is_accepted_by_its_command(
    words: tuple[str, ...], command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    example = shlex.split(EXAMPLES[" ".join(words)])
    assert example[: len(words)] == list(words)
    for argument in example:
        if "." in argument and not argument.startswith("-"):
            (tmp_path / argument).write_text("")  # options that name a file check that it exists
    with command.make_context(words[-1], example[len(words) :]) as context:
        assert context.params or not command.params


def test_every_example_is_of_a_command() -> None:
    assert EXAMPLES.keys() == {"", *(" ".join(words) for words, _ in ALL)}


def probe(*arguments: str) -> list[str]:
    """The modules of commands that `fewbits` loads with these arguments."""
    program = (
        "import sys\nfrom typer.testing import CliRunner\nfrom service.cli import app\n"
        "CliRunner().invoke(app, sys.argv[1:])\n"
        "print(*sorted(name.rpartition('.')[2] for name in sys.modules if name.startswith('service.cli.commands.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("arguments", "modules"),
    [
        (("--help",), []),
        (("nothing",), []),
        (("rerun", "--help"), ["results"]),
        (("keys", "create", "--help"), ["keys"]),
        (("version",), ["service"]),
    ],
)
def test_only_the_module_of_the_command_is_loaded(arguments: tuple[str, ...], modules: list[str]) -> None:
    assert probe(*arguments) == modules


def test_the_supervisor_loads_no_command_line() -> None:
    program = (
        "import sys, service.cli.supervisor; print('typer' in sys.modules, 'service.cli.main' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_command_that_does_not_exist_names_similar_ones() -> None:
    result = CliRunner().invoke(app, ["rep" + "rot"])
    assert result.exit_code == 2
    assert "'report'" in result.output


@pytest.mark.parametrize(
    ("words", "completion"),
    [
        ("rer", "rerun"),
        ("rerun --tol", "--tolerance"),
        ("keys rot", "rotate"),
        ("keys create --sc", "--scope"),
    ],
)
def test_shells_complete_commands_and_options(words: str, completion: str) -> None:
    line = f"fewbits {words}"
    environment = os.environ | {
        "_FEWBITS_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "service.cli"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [completion]
