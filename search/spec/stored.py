"""Specifications that an earlier version wrote: what they left unsaid keeps the meaning it had then.

A specification is stored whole, with every default. Where a field was added later, an older document lacks it, and the
default of today would change a search that has begun. `completed` adds the value by which the older version acted.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

#: Field, as names from the top of a specification -> how versions without the field acted.
EARLIER: Final[Mapping[tuple[str, ...], Any]] = MappingProxyType(
    {
        ("goal", "unquantized"): "reference",
        ("quantizers", "selection"): "autoqkeras",
    }
)

#: Field of the data -> kind of data that has it, and how versions without the field acted.
EARLIER_DATA: Final[Mapping[str, tuple[str, Any]]] = MappingProxyType(
    {"features": ("diabetes", "scikit-learn")}
)


def completed(
    document: Mapping[str, Any], earlier: Mapping[tuple[str, ...], Any] = EARLIER
) -> dict[str, Any]:
    """The document with the fields of `earlier` that it lacks; an object that it lacks as a whole stays absent."""
    whole = dict(document)
    for path, value in earlier.items():
        _add(whole, path, value)
    for name, (kind, value) in EARLIER_DATA.items():
        if isinstance(data := whole.get("data"), Mapping) and data.get("kind") == kind:
            _add(whole, ("data", name), value)
    return whole


def _add(target: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Add a value in place where nothing is; the objects on the way are copied."""
    name, *rest = path
    if not rest:
        target.setdefault(name, value)
    elif isinstance(target.get(name), Mapping):
        target[name] = dict(target[name])
        _add(target[name], tuple(rest), value)


def usual_values(field: str, default: Any) -> list[Any]:
    """The values of a field that nobody has set: its default, and the one that an older document is completed to."""
    changes = {path[1]: value for path, value in EARLIER.items() if path[0] == field and len(path) == 2}
    return [default, default.model_copy(update=changes)] if changes else [default]
