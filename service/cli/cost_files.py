"""What `fewbits cost` is given, as the question the service is asked: files are read, sizes and profiles understood."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from costmodel.errors import InvalidProfile
from costmodel.technology import PROFILES, Technology, load_profile, profile_file
from search.networks.zoo import ZOO
from search.spec.cost import goal_options
from service.parsing import CostRequest, parse_cost_request, parse_submission

#: Files larger than this are no description of a network.
MAX_FILE_BYTES: Final = 64 << 20

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(bits?|[kmg]?i?b)?", re.IGNORECASE)
_BYTES: Final = {"b": 0, "kb": 10, "mb": 20, "gb": 30}


class Unusable(Exception):
    """What was given cannot be read; the message says which argument and why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of `fewbits cost`. `plain`: settings that need no reading; None where not given."""

    model: str
    quantizers: Path | None = None
    reference: bool = False
    profile: str | None = None
    min_sram_size: str | None = None
    capacity: str | None = None
    plain: Mapping[str, Any] | None = None
    explain: str | None = None
    types: bool = False


@dataclass(frozen=True, slots=True)
class _Given:
    """What MODEL stands for: fields of the question."""

    model: Any
    quantizers: Any = None
    settings: Mapping[str, Any] | None = None
    reference: Mapping[str, Any] | None = None


def question(asked: Asked) -> CostRequest:
    """The question these arguments ask. Raises `Unusable`, and `InvalidRequest` with pointers into the question."""
    if asked.reference and asked.quantizers is not None:
        raise Unusable("--reference and --quantizers exclude each other")
    given = _model(asked.model)
    changes = _changes(asked)
    document: dict[str, Any] = {
        "model": given.model,
        "settings": {**(given.settings or {}), **changes},
        "explain": asked.explain,
        "types": asked.types,
    }
    if given.reference is not None:
        document["reference"] = {**given.reference, **changes}
    own = given.quantizers if asked.quantizers is None else read(asked.quantizers)
    if own is not None and not asked.reference:
        document["quantizers"] = own
    return parse_cost_request(_encoded(document, asked.model))


def _changes(asked: Asked) -> dict[str, Any]:
    """The settings that were given."""
    found = {name: value for name, value in (asked.plain or {}).items() if value is not None}
    if asked.profile is not None:
        found["profile"] = _profile(asked.profile)
    for field, option, text in (
        ("min_sram_size_bits", "--min-sram-size", asked.min_sram_size),
        ("capacity_bits", "--capacity", asked.capacity),
    ):
        if text is not None:
            found[field] = size_bits(text, option)
    return found


def size_bits(text: str, option: str = "the size") -> int:
    """Bits of "65536", "65536 bits", "8KB" or "16 MiB"; units are powers of 1024 bytes. Raises `Unusable`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Unusable(f"{option}: {text!r} is no size; write bits, or for example 8KB or 16MB")
    number, unit = match[1], (match[2] or "bits").lower()
    factor = 1 if unit.startswith("bit") else 8 << _BYTES[unit.replace("i", "")]
    return round(float(number) * factor) if "." in number else int(number) * factor


# --- profiles ------------------------------------------------------------------------------------------------------


def technology(name: str) -> Technology:
    """The profile of this name, or that of the TOML file. Raises `Unusable` naming the field and what is allowed."""
    try:
        return profile_file(name) if _is_file(name) else load_profile(name)
    except InvalidProfile as error:
        hint = "" if _is_file(name) else "; a file of your own ends in .toml"
        raise Unusable(f"{error}{hint}") from None


def _profile(name: str) -> str | dict[str, Any]:
    technology(name)
    return tomllib.loads(Path(name).read_text("utf-8")) if _is_file(name) else name


def _is_file(name: str) -> bool:
    return name not in PROFILES and (name.endswith(".toml") or Path(name).is_file())


# --- files ---------------------------------------------------------------------------------------------------------


def read(path: Path) -> Any:
    """The value a JSON or YAML file states. Raises `Unusable`."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise Unusable(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB")
        text = path.read_text("utf-8")
        return json.loads(text) if text.lstrip().startswith(("{", "[")) else yaml.safe_load(text)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    except (ValueError, yaml.YAMLError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise Unusable(f"{path} is neither JSON nor YAML: {error}") from None


def _encoded(document: Any, name: str) -> bytes:
    try:
        return json.dumps(document, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Unusable(f"{name} holds what JSON cannot: {error}") from None


def _model(name: str) -> _Given:
    """What MODEL stands for."""
    if name in ZOO:
        return _Given(name)
    path = Path(name)
    if not path.exists():
        raise Unusable(f"{name!r} is neither a file nor a network of the zoo; there are {', '.join(ZOO)}")
    document = read(path)
    if not isinstance(document, Mapping):
        raise Unusable(f"{path} describes no network: it must hold an object")
    if "architecture" in document:
        return _Given({"kind": "architecture", "config": document["architecture"]}, document)
    if "model" in document:
        return _job(document, name)
    if _only_quantizers(document):
        raise Unusable(
            f"{path} holds quantizers without a network: name the network, and --quantizers {path}"
        )
    return _Given({"kind": "architecture", "config": document})


def _only_quantizers(document: Mapping[str, Any]) -> bool:
    layers = document.get("layers")
    first = layers[0] if isinstance(layers, list) and layers else None
    return isinstance(first, Mapping) and "quantizers" in first and "config" not in first


def _job(document: Mapping[str, Any], name: str) -> _Given:
    """The network of a job, priced as its goal says."""
    spec = parse_submission(_encoded(document, name)).spec
    reference, trial = (options.model_dump(mode="json") for options in goal_options(spec.goal))
    return _Given(document["model"], settings=trial, reference=reference)
