"""What `fewbits.search` is called with, checked before a service is started or anything is sent."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np

from search.networks.zoo import ZOO
from search.spec.job import Data
from service.client import Invalid
from service.errors import ServiceError
from service.parsing import parse_submission
from service.schemas.problems import ProblemDocument, ProblemItem

#: Budget and length of a training where the call names none.
TRIALS: Final = 20
EPOCHS: Final = 10

#: Stands for an upload that has not been sent.
_UPLOAD: Final = {"kind": "uploaded", "id": "0" * 16}
#: Fields of `data` that say which examples are read; the arguments x and y do.
_SOURCES: Final = ("kind", "id", "file", "validation_file", "test_file")
#: Examples that are built in, by name.
_BUILT_IN: Final = tuple(
    kind.model_fields["kind"].default
    for kind in get_args(get_args(Data)[0])
    if not {"file", "id"} & kind.model_fields.keys()
)


@dataclass(frozen=True)
class Options:
    """The fields of a job but `model` and `data`, and the options of `data`, as values of JSON."""

    job: Mapping[str, Any]
    data: Mapping[str, Any]

    def document(self, model: Any, data: Mapping[str, Any]) -> dict[str, Any]:
        """The job with a network and examples."""
        return {**self.job, "model": model, "data": {**data, **self.data}}


def options(limits: Any, trials: int | None, epochs: int | None, job: Mapping[str, Any]) -> Options:
    """The options of a search. ValueError names a field that is passed twice, or is no value of a job."""
    fields = {name: _plain(value, name) for name, value in job.items()}
    fields["limits"] = _plain(limits, "limits")
    for group, field, value, default in (
        ("budget", "trials", trials, TRIALS),
        ("training", "epochs", epochs, EPOCHS),
    ):
        written = fields.get(group, {})
        if not isinstance(written, Mapping):
            raise ValueError(f"{group} must be a mapping such as {{{field!r}: {default}}}, not {written!r}")
        if value is not None and field in written:
            raise ValueError(f"{field} is passed twice: as {field}={value!r} and in {group}; leave one out")
        fields[group] = {field: default if value is None else _plain(value, field), **written}
    data = fields.pop("data", {})
    if not isinstance(data, Mapping):
        raise ValueError(
            f"data must be a mapping of options such as {{'validation_fraction': 0.2}}, not {data!r}; the examples are"
            " the arguments x and y, and x='digits' names built-in ones"
        )
    if sources := [name for name in _SOURCES if name in data]:
        raise ValueError(
            f"data names {', '.join(sources)}, but x and y are the examples: leave it out of data"
        )
    return Options(fields, data)


def _plain(value: Any, place: str) -> Any:
    """A value as JSON has it: numbers and arrays of NumPy, tuples and paths too. ValueError for everything else."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part, f"{place}[{key!r}]") for key, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist(), place)
    if isinstance(value, list | tuple | range):
        return [_plain(part, f"{place}[{index}]") for index, part in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ValueError(
        f"{place} is of type {type(value).__name__}; a job holds numbers, texts, lists and mappings. Name it,"
        " such as 'adam' or {'kind': 'frugal'}: docs/how-to/jobs.md lists all fields"
    )


def check_job(options: Options, model: Any, source: str | None) -> None:
    """Raise `Invalid` for the faults of a job that can be seen without its network and examples.

    `model`, `source`: built-in ones by name, otherwise those of uploads.
    """
    network = model if isinstance(model, str) and model in ZOO else _UPLOAD
    document = options.document(network, _UPLOAD if source is None else {"kind": source})
    try:
        parse_submission(json.dumps(document).encode())
    except ServiceError as error:
        items = tuple(ProblemItem(pointer=one.pointer, detail=one.message) for one in error.problems)
        problem = ProblemDocument(
            type=error.type, title=error.title, status=error.status, detail=error.detail, errors=items
        )
        raise Invalid(problem) from None


def check_model(model: Any) -> None:
    """Raise ValueError unless this is a Keras model that can be sent, a file, or the name of a built-in network."""
    if isinstance(model, str | os.PathLike):
        _check_model_file(Path(model), str(model))
        return
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model):
        _check_network(model, is_sequential=isinstance(model, keras.Sequential))
        return
    described = (
        f"the class {model.__name__}"
        if isinstance(model, type)
        else f"a value of type {type(model).__name__}"
    )
    package = getattr(type(model), "__module__", "").partition(".")[0]
    hint = "; build it with Keras 3 (`import keras`)" if package in ("tf_keras", "qkeras", "torch") else ""
    raise ValueError(
        "model must be a model of Keras 3, a .keras or .json file, or the name of a built-in network"
        f" ({', '.join(ZOO)}), not {'None' if model is None else described}{hint}"
    )


def _check_network(model: Any, *, is_sequential: bool) -> None:
    if is_sequential and not model.built:
        raise ValueError(
            "model was never built, so the shape of its input is unknown: begin it with keras.Input(shape), or call"
            " model.build(shape)"
        )
    if not is_sequential and type(model).__name__ not in ("Functional", "Model"):
        raise ValueError(
            f"model is of your class {type(model).__name__}, whose code is not sent with it: build it by"
            " keras.Sequential(layers) or keras.Model(inputs, outputs)"
        )


def _check_model_file(path: Path, name: str) -> None:
    if name not in ZOO and not path.is_file():
        raise _neither(
            "model", path, name, tuple(ZOO), "network", "pass a .keras or .json file, or a Keras model"
        )


def built_in(x: str | os.PathLike[str]) -> str | None:
    """The name of built-in examples; None for a file. ValueError if it is neither."""
    path, name = Path(x), os.fspath(x)
    if path.is_file():
        return None
    if name in _BUILT_IN:
        return name
    raise _neither("x", path, name, _BUILT_IN, "data set", "pass a .npz file, or arrays")


def _neither(
    argument: str, path: Path, name: str, names: Sequence[str], kind: str, remedy: str
) -> ValueError:
    """The error of an argument that is no file and none of the built-in names."""
    if path.suffix or len(path.parts) > 1:
        what = "is a folder" if path.is_dir() else "does not exist"
        return ValueError(f"{argument}: {path} {what}; {remedy}")
    similar = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean {similar[0]!r}?)" if similar else ""
    return ValueError(
        f"{argument}: {name!r} is no built-in {kind}{hint}; built in: {', '.join(names)}, and no file of this name"
        " exists"
    )
