"""The arguments of `fewbits cost` as a cost request: files are read, sizes and profiles parsed."""

from __future__ import annotations

import json
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from costmodel.errors import InvalidProfile
from costmodel.technology import PROFILES, Technology, load_profile, profile_file
from search.networks.zoo import ZOO
from search.spec.cost import goal_options, is_quantizer_document, written_options
from search.spec.job import UploadedModel
from search.uploads import UploadFault, read_architecture
from service.cli.connection import connect
from service.cli.yaml_file import parse_yaml
from service.parsing import CostRequest, parse_cost_request, parse_submission

#: A larger file cannot be the description of a network.
MAX_FILE_BYTES: Final = 64 << 20

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(bits?|[kmg]?i?b)?", re.IGNORECASE)
_BYTE_SHIFTS: Final = {"b": 0, "kb": 10, "mb": 20, "gb": 30}


class Unusable(Exception):
    """An argument cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class CostArguments:
    """The arguments of `fewbits cost`. `settings`: those that need no parsing; None where not given."""

    model: str
    quantizers: Path | None = None
    reference: bool = False
    profile: str | None = None
    min_sram_size: str | None = None
    capacity: str | None = None
    settings: Mapping[str, Any] | None = None
    explain: str | None = None
    types: bool = False
    url: str = ""  #: the service that has the model of a job, if it was uploaded


@dataclass(frozen=True, slots=True)
class _ModelArgument:
    """What the MODEL argument stands for: fields of the request."""

    model: Any
    quantizers: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)  #: settings, reference, reference_model


def question(arguments: CostArguments) -> CostRequest:
    """The request that these arguments make. Raises `Unusable`, and `InvalidRequest` with pointers into the request."""
    if arguments.reference and arguments.quantizers is not None:
        raise Unusable("--reference and --quantizers exclude each other")
    model = _model(arguments.model, arguments.url)
    changes = _changes(arguments)
    quantizers = model.quantizers if arguments.quantizers is None else read(arguments.quantizers)
    written = written_options(quantizers) if is_quantizer_document(quantizers) else {}
    document: dict[str, Any] = {"model": model.model, **written, **model.options}
    for name in ("settings", "reference"):
        if name in document or name == "settings":
            document[name] = {**document.get(name, {}), **changes}
    document |= {"explain": arguments.explain, "types": arguments.types}
    if quantizers is not None and not arguments.reference:
        document["quantizers"] = quantizers
    return parse_cost_request(_encoded(document, arguments.model))


def _changes(arguments: CostArguments) -> dict[str, Any]:
    """The settings among the arguments."""
    settings = {name: value for name, value in (arguments.settings or {}).items() if value is not None}
    if arguments.profile is not None:
        settings["profile"] = _profile(arguments.profile)
    for name, option, size in (
        ("min_sram_size_bits", "--min-sram-size", arguments.min_sram_size),
        ("capacity_bits", "--capacity", arguments.capacity),
    ):
        if size is not None:
            settings[name] = size_bits(size, option)
    return settings


def size_bits(text: str, option: str = "the size") -> int:
    """Bits of "65536", "65536 bits", "8KB" or "16 MiB"; units are powers of 1024 bytes. Raises `Unusable`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Unusable(f"{option}: {text!r} is not a size; write bits, or for example 8KB or 16MB")
    number, unit = match[1], (match[2] or "bits").lower()
    factor = 1 if unit.startswith("bit") else 8 << _BYTE_SHIFTS[unit.replace("i", "")]
    return round(float(number) * factor) if "." in number else int(number) * factor


# --- profiles ------------------------------------------------------------------------------------------------------


def technology(name: str) -> Technology:
    """The profile of this name, or that of the TOML file. Raises `Unusable` naming the field and what is allowed."""
    try:
        return profile_file(name) if _is_file(name) else load_profile(name)
    except InvalidProfile as error:
        hint = "" if _is_file(name) else "; the name of a profile file ends in .toml"
        raise Unusable(f"{error}{hint}") from None


def _profile(name: str) -> str | dict[str, Any]:
    technology(name)
    return tomllib.loads(Path(name).read_text("utf-8")) if _is_file(name) else name


def _is_file(name: str) -> bool:
    return name not in PROFILES and (name.endswith(".toml") or Path(name).is_file())


# --- files ---------------------------------------------------------------------------------------------------------


def read(path: Path) -> Any:
    """The value in a JSON or YAML file. Raises `Unusable`."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise Unusable(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB")
        text = path.read_text("utf-8")
        return json.loads(text) if text.lstrip().startswith(("{", "[")) else parse_yaml(text)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    except (ValueError, yaml.YAMLError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise Unusable(f"{path} is neither JSON nor YAML: {error}") from None


def _encoded(document: Any, name: str) -> bytes:
    try:
        return json.dumps(document, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Unusable(f"{name} contains a value that JSON cannot represent: {error}") from None


def _model(name: str, url: str) -> _ModelArgument:
    """What MODEL stands for."""
    if name in ZOO:
        return _ModelArgument(name)
    path = Path(name)
    if not path.exists():
        raise Unusable(
            f"{name!r} is neither a file nor a built-in network; the networks are {', '.join(ZOO)}"
        )
    if path.suffix == ".keras":
        return _ModelArgument({"kind": "architecture", "config": _architecture(path)})
    document = read(path)
    if not isinstance(document, Mapping):
        raise Unusable(f"{path} does not describe a network: it must contain an object")
    if "architecture" in document:
        return _ModelArgument({"kind": "architecture", "config": document["architecture"]}, document)
    if "model" in document:
        return _job(document, name, url)
    if _only_quantizers(document):
        raise Unusable(
            f"{path} contains quantizers without a network: name the network, and --quantizers {path}"
        )
    return _ModelArgument({"kind": "architecture", "config": document})


def _architecture(path: Path) -> dict[str, Any]:
    """The network of a model file; nothing in it is executed."""
    try:
        return read_architecture(path)[0].document
    except (UploadFault, OSError) as error:
        raise Unusable(f"{path}: {error}") from None


def _only_quantizers(document: Mapping[str, Any]) -> bool:
    layers = document.get("layers")
    first = layers[0] if isinstance(layers, list) and layers else None
    return isinstance(first, Mapping) and "quantizers" in first and "config" not in first


def _job(document: Mapping[str, Any], name: str, url: str) -> _ModelArgument:
    """The network of a job, priced as its goal says; an uploaded model is fetched from the service."""
    spec = parse_submission(_encoded(document, name)).spec
    model: Any = document["model"]
    if isinstance(spec.model, UploadedModel):
        with connect(url) as client, tempfile.TemporaryDirectory(prefix="fewbits-") as folder:
            file = client.download_model(spec.model.id, folder, "model")
            model = {"kind": "architecture", "config": _architecture(file)}
    reference, trial = (options.model_dump(mode="json") for options in goal_options(spec.goal))
    options: dict[str, Any] = {"settings": trial, "reference": reference}
    if spec.normalization == "fold":
        options["normalization"] = "fold"
    return _ModelArgument(model, options=options)
