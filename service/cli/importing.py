"""`fewbits import`: an AutoQKeras run_config as a job file. Calls the service only to upload files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer
import yaml
from rich.text import Text

from costmodel.errors import InvalidNetwork
from costmodel.network import read_network
from search.autoqkeras import DROPPED, Imported, import_run_config
from search.errors import InvalidSpec
from search.networks.zoo import ZOO, zoo_config
from search.run_config import read_run_config
from search.uploads import UploadFault, read_architecture
from service.cli.connection import connect
from service.cli.files import writing
from service.cli.output import USAGE, error_console, show_error, usage_error

#: Data of a job that need no file.
_BUILT_IN: Final = ("digits", "mnist", "diabetes")
_ID: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class _Model:
    """The model of the job: a network of the zoo, the id of an upload, or a file to upload."""

    name: str
    path: Path | None  #: the file; None: none is uploaded
    layer_count: int | None  #: what `len(model.layers)` is; None: not known
    first_layer: int  #: index of the first of `model.layers` in a job


def import_file(source: Path, model: str, data: str | None, output: Path | None, url: str) -> None:
    """Write the job to `output`, or to standard output; notes go to standard error. Exit code 2 if unreadable."""
    subject = _model(model)
    file = _data_file(data)
    imported = _converted(source, subject, data if file is None else None)
    job = _with_uploads(imported.job, subject, file, url)
    document = yaml.safe_dump(job, sort_keys=False, allow_unicode=True, width=110)
    if output is None:
        typer.echo(document, nl=False)
    else:
        with writing(output):
            output.write_text(document, encoding="utf-8")
        error_console().print(Text(f"{output}: check it with `fewbits validate {output}`"))
    for quirk in imported.quirks:
        error_console().print(Text(f"note: {quirk}"))
    if data is None:
        error_console().print(
            Text("note: data: none named, so the job uses digits; --data FILE, or `data` in the job")
        )


def _converted(source: Path, model: _Model, data: str | None) -> Imported:
    """The job of a run_config, with what is uploaded left to fill in."""
    try:
        text = source.read_text(encoding="utf-8")
        config = read_run_config(text, unused=DROPPED, layer_count=model.layer_count)
        return import_run_config(
            config, _reference(model.name), _reference(data), first_layer=model.first_layer
        )
    except (OSError, UnicodeDecodeError) as error:
        usage_error(f"{source}: {error}")
    except InvalidSpec as error:
        for problem in error.problems:
            show_error(f"{source}{problem.pointer}: {problem.message}")
        raise typer.Exit(USAGE) from error


def _with_uploads(job: dict[str, Any], model: _Model, data: Path | None, url: str) -> dict[str, Any]:
    """The job on files that the service has now."""
    if model.path is None and data is None:
        return job
    with connect(url) as client:
        if model.path is not None:
            job = {**job, "model": {"kind": "uploaded", "id": client.upload_model(model.path).id}}
        if data is not None:
            job = {**job, "data": {"kind": "uploaded", "id": client.upload_dataset(data).id}}
    # in the order of a job file that is written by hand
    return {name: job[name] for name in ("model", "data", *job) if name in job}


def _reference(name: str | None) -> Any:
    return {"kind": "uploaded", "id": name} if name is not None and _ID.fullmatch(name) else name


def _model(name: str) -> _Model:
    if name in ZOO:
        return _Model(name, None, len(zoo_config(name)["config"]["layers"]), 0)
    path = Path(name)
    if not path.is_file():
        if _ID.fullmatch(name):
            return _Model(name, None, None, 0)
        usage_error(f"--model {name}: no such file, no id of an upload, and none of {', '.join(sorted(ZOO))}")
    try:
        document = read_architecture(path)[0].document
        count = len(read_network(document).layers)
    except (UploadFault, InvalidNetwork, OSError) as error:
        usage_error(f"{path}: {error}")
    is_sequential = document["class_name"] == "Sequential"
    return _Model(name, path, count - is_sequential, int(is_sequential))


def _data_file(name: str | None) -> Path | None:
    if name is None or name in _BUILT_IN:
        return None
    path = Path(name)
    if path.is_file():
        return path
    if not _ID.fullmatch(name):
        usage_error(f"--data {name}: no such file, no id of an upload, and none of {', '.join(_BUILT_IN)}")
    return None
