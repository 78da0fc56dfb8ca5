"""Pages that are generated from the code: the command line, the fields of a job, the REST API."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer

from service.app import create_app
from service.cli.main import COMMANDS
from service.cli.main import app as command_line
from service.schemas.job_json_schema import job_schema
from service.settings import Settings

Schema = Mapping[str, Any]
_METHODS: Final = ("get", "post", "put", "patch", "delete", "head")


def pages() -> dict[str, str]:
    """Path on the site -> Markdown."""
    return {
        "reference/command-line.md": "\n".join(command_line_page()),
        "reference/job.md": "\n".join(job_page()),
        "reference/rest.md": "\n".join(rest_page()),
        "reference/settings.md": "\n".join(settings_page()),
    }


# --- the command line -------------------------------------------------------------------------------------------------


def command_line_page() -> Iterator[str]:
    """Every command with its arguments and options, by panel."""
    yield "# Command line\n"
    yield "Generated from `fewbits --help`. Exit codes and scripts: [how-to](../how-to/command-line.md).\n"
    group: Any = typer.main.get_command(command_line)
    panel = ""
    for entry in COMMANDS:
        if entry.panel != panel:
            panel = entry.panel
            yield f"## {panel}\n"
        command = group.commands[entry.name].load()
        yield from _command(f"fewbits {entry.name}", command)
        for name, subcommand in getattr(command, "commands", {}).items():
            yield from _command(f"fewbits {entry.name} {name}", subcommand)


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    options = [item for item in command.params if item.param_type_name == "option" and item.name != "help"]
    words = [name, *(item.metavar or item.name.upper() for item in arguments)]
    yield f"### {name}\n\n{_plain(command.help or '')}\n"
    yield f"```sh\n{' '.join(words)}{' [OPTIONS]' if options else ''}\n```\n"
    rows = [(item.metavar or item.name.upper(), item.help) for item in arguments]
    rows += [(", ".join([*item.opts, *item.secondary_opts]), item.help) for item in options]
    if rows:
        yield "| argument | meaning |\n|---|---|"
        yield from (f"| `{label}` | {_cell(_plain(text or ''))} |" for label, text in rows)
        yield ""


def _plain(text: str) -> str:
    """A help text without the escapes of square brackets."""
    return text.replace("\\[", "[")


# --- the fields of a job ----------------------------------------------------------------------------------------------


def job_page() -> Iterator[str]:
    """Every field of a job and of the values in it, from its JSON Schema."""
    schema = job_schema()
    described = _described(schema)
    yield "# Fields of a job\n"
    yield "Generated from the JSON Schema (`GET /v1/schemas/job`), which editors can check job files with.\n"
    yield from _fields("A job", schema, described)
    for name in sorted(described):
        yield from _fields(name, schema["$defs"][name], described)


def _described(schema: Schema) -> frozenset[str]:
    """The definitions that have fields, and so a section of their own."""
    return frozenset(name for name, definition in schema["$defs"].items() if definition.get("properties"))


def _fields(title: str, schema: Schema, described: frozenset[str]) -> Iterator[str]:
    yield f"## {title}\n\n{_first_paragraph(schema.get('description', ''))}\n"
    yield "| field | type | default | meaning |\n|---|---|---|---|"
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        default = "required" if name in required else f"`{_shown(field.get('default'))}`"
        meaning = _cell(field.get("description", ""))
        yield f"| `{name}` | {_cell(_type(field, described))} | {_cell(default)} | {meaning} |"
    yield ""


def _type(field: Schema, described: frozenset[str] = frozenset()) -> str:
    """A type of JSON Schema in a few words, with links to the definitions that are described on the same page."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if name in described else f"`{name}`"
    for union in ("anyOf", "oneOf"):
        if union in field:
            return " or ".join(dict.fromkeys(_type(part, described) for part in field[union]))
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return (
            f"list of {_type(field['items'], described)}"
            if isinstance(field.get("items"), Mapping)
            else "list"
        )
    if field.get("type") == "object":
        items = field.get("additionalProperties")
        return f"object of {_type(items, described)}" if isinstance(items, Mapping) and items else "object"
    return str(field.get("type", "any"))


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


# --- the REST API -----------------------------------------------------------------------------------------------------


def rest_page() -> Iterator[str]:
    """Every operation, from the service's OpenAPI document."""
    with tempfile.TemporaryDirectory() as folder:
        document = create_app(Settings(home=Path(folder))).openapi()
    yield "# REST operations\n"
    yield "Generated from `/openapi.json`. What they are for, by example: [the REST API](../rest-api.md).\n"
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                yield from _operation(method.upper(), path, operations[method])


def _operation(method: str, path: str, operation: Schema) -> Iterator[str]:
    yield f"## {method} {path}\n\n{_first_paragraph(operation.get('description', operation.get('summary', '')))}\n"
    parameters = operation.get("parameters", ())
    if parameters:
        yield "| parameter | in | type | meaning |\n|---|---|---|---|"
        for item in parameters:
            meaning = item.get("description", "")
            yield f"| `{item['name']}` | {item['in']} | {_cell(_type(item['schema']))} | {_cell(meaning)} |"
        yield ""
    yield "| status | meaning |\n|---|---|"
    yield from (
        f"| {status} | {_cell(answer['description'])} |" for status, answer in operation["responses"].items()
    )
    yield ""


# --- settings ---------------------------------------------------------------------------------------------------------


def settings_page() -> Iterator[str]:
    """Every setting of a process."""
    yield "# Settings\n"
    yield "Environment variables of every process; explained in [settings](../how-to/settings.md).\n"
    yield "| variable | default | meaning |\n|---|---|---|"
    for name, field in Settings.model_fields.items():
        yield f"| `FEWBITS_{name.upper()}` | `{_shown(field.default)}` | {_cell(field.description or '')} |"
    yield ""


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def _first_paragraph(text: str) -> str:
    return text.split("\n\n")[0]
