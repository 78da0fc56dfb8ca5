"""Specifications that an earlier version wrote: what they left unsaid keeps the meaning it had then.

A specification is stored whole, with every default. Where a field was added later, an older document lacks it, and the
default of today would change a search that has begun. `completed` adds the value by which the older version acted;
quantizers read themselves as they were meant (`quantization.specs.base`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel

from quantization.specs.parse import KINDS

#: Field, as names from the top of a specification -> how versions without the field acted.
EARLIER: Final[Mapping[tuple[str, ...], Any]] = MappingProxyType(
    {
        ("goal", "unquantized"): "reference",
        ("inputs",): "priced",
        ("quantizers", "selection"): "autoqkeras",
        ("normalization",): "float",
        ("quantizers", "normalization"): (),
        ("quantizers", "output"): (),
        ("data", "split"): "random",
        ("resources",): MappingProxyType({}),
        ("polish",): "off",
        ("keep",): "all",
        ("filters", "multipliers"): (0.5, 0.75, 1.0, 1.5, 2.0),
    }
)

#: Object, its kind -> fields that only this kind has, and how versions without them acted.
EARLIER_BY_KIND: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = MappingProxyType(
    {
        ("data", "diabetes"): {"features": "scikit-learn"},
        ("data", "npz"): {"validation": "split"},
        ("data", "uploaded"): {"validation": "split"},
        ("model", "zoo"): {"input_name": "input"},
    }
)


def completed(
    document: Mapping[str, Any], earlier: Mapping[tuple[str, ...], Any] = EARLIER
) -> dict[str, Any]:
    """The document with the fields of `earlier` that it lacks; an object that it lacks as a whole stays absent."""
    whole = dict(document)
    for path, value in earlier.items():
        _add(whole, path, value)
    for (field, kind), values in EARLIER_BY_KIND.items():
        described = whole.get(field)
        if isinstance(described, Mapping) and described.get("kind") == kind:
            for name, value in values.items():
                _add(whole, (field, name), value)
    return whole


def usual_values(field: str, default: Any) -> list[Any]:
    """The values of a field that nobody has set: its default, and the one that an older document is completed to."""
    if not isinstance(default, BaseModel):
        return [default, EARLIER.get((field,), default)]
    document = _without_rules(default.model_dump(mode="json"))
    for path, value in EARLIER.items():
        if path[0] == field and len(path) > 1:
            _add(document, path[1:], value, replaces=True)
    return [default, type(default).model_validate(document)]


def _without_rules(document: Any) -> Any:
    """A document without the rules of quantizers that version 0.1 did not know."""
    if isinstance(document, list):
        return [_without_rules(item) for item in document]
    if not isinstance(document, dict):
        return document
    kind = KINDS.get(str(document.get("kind")))
    rules = () if kind is None else kind.NEW_RULES
    return {key: _without_rules(value) for key, value in document.items() if key not in rules}


def _add(target: dict[str, Any], path: tuple[str, ...], value: Any, *, replaces: bool = False) -> None:
    """Add a value in place where nothing is, or anyway; the objects on the way are copied."""
    name, *rest = path
    if not rest:
        plain = dict(value) if isinstance(value, Mapping) else value  # documents are stored as JSON
        target[name] = plain if replaces else target.get(name, plain)
    elif isinstance(target.get(name), Mapping):
        target[name] = dict(target[name])
        _add(target[name], tuple(rest), value, replaces=replaces)
