"""What the value of a field may be: one function for each kind of value, which returns it cleaned or raises."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from costmodel.descriptions.place import Place, described

MAX_LENGTH: Final = 2**31  #: largest number of a count
MAX_ITEMS: Final = 64  #: of a list in a configuration
MAX_DEPTH: Final = 12


@dataclass(slots=True)
class Walk:
    """A cleaning under way. `exact_types`: keep the policies of data types as they are.

    `own`: layers besides Keras' that are allowed, registered name -> the row of the table they stand for.
    `retyped`: layer -> the policy that became float32. `notes`: what was changed, for the user.
    """

    classes: frozenset[str]
    own: Mapping[str, str] = field(default_factory=dict)
    exact_types: bool = False
    retyped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


Kind: TypeAlias = Callable[[Any, Place, Walk], Any]


def flag(value: Any, place: Place, walk: Walk) -> Any:
    """True or false."""
    if not isinstance(value, bool):
        raise place.fault(f"must be true or false, is {described(value)}")
    return value


def count(least: int = 1, most: int = MAX_LENGTH) -> Kind:
    """A whole number."""

    def clean(value: Any, place: Place, walk: Walk) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            raise place.fault(f"must be a whole number, is {described(value)}")
        if not least <= value <= most:
            raise place.fault(f"must lie in {least}..{most}, is {described(value)}")
        return value

    return clean


def number(least: float = -math.inf, most: float = math.inf, *, above: bool = False) -> Kind:
    """A finite number; `above`: larger than `least`."""

    def clean(value: Any, place: Place, walk: Walk) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e30:
            raise place.fault(f"must be a number, is {described(value)}")
        if not least <= value <= most or (above and value == least):
            end = "" if most == math.inf else f" and at most {most:g}"
            start = f"above {least:g}" if above else f"at least {least:g}"
            raise place.fault(f"must be {start}{end}, is {described(value)}")
        return value

    return clean


def word(*allowed: str) -> Kind:
    """One of some words."""

    def clean(value: Any, place: Place, walk: Walk) -> Any:
        if not isinstance(value, str) or value not in allowed:
            raise place.fault(f"is {described(value)}, which no layer takes; allowed: {', '.join(allowed)}")
        return value

    return clean


def some(kind: Kind, least: int = 1, most: int = 8) -> Kind:
    """A list of values of one kind."""

    def clean(value: Any, place: Place, walk: Walk) -> Any:
        items = plain_items(value, max(most, MAX_ITEMS))
        if items is None or not least <= len(items) <= most:
            raise place.fault(f"must list {least} to {most} values, is {described(value)}")
        return [kind(item, place.at(index), walk) for index, item in enumerate(items)]

    return clean


def plain_items(value: Any, most: int = MAX_ITEMS) -> list[Any] | None:
    """The items of a list, or of a tuple as Keras writes one; None for anything else, and for too many."""
    if isinstance(value, Mapping) and value.get("class_name") == "__tuple__" and len(value) == 2:
        value = value.get("items")
    return list(value) if isinstance(value, list | tuple) and len(value) <= most else None


def either(*kinds: Kind) -> Kind:
    """A value of one of several kinds; the error is that of the first."""

    def clean(value: Any, place: Place, walk: Walk) -> Any:
        faults = []
        for kind in kinds:
            try:
                return kind(value, place, walk)
            except ValueError as fault:
                faults.append(fault)
        raise faults[0]

    return clean


def optional(kind: Kind) -> Kind:
    """A value of a kind, or null."""

    def clean(value: Any, place: Place, walk: Walk) -> Any:
        return None if value is None else kind(value, place, walk)

    return clean


def only(*allowed: Any, why: str) -> Kind:
    """One of these values, null among them; `why` another one is refused."""

    def clean(value: Any, place: Place, walk: Walk) -> Any:
        if not any(value is item or (type(value) is type(item) and value == item) for item in allowed):
            raise place.fault(f"is {described(value)}: {why}")
        return value

    return clean


def plain(value: Any, place: Place, walk: Walk, depth: int = 0) -> Any:
    """A value without objects: numbers, words, lists and mappings of them."""
    if depth > MAX_DEPTH:
        raise place.fault(f"is nested more than {MAX_DEPTH} levels deep")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and len(value) <= 128:
        return value
    if isinstance(value, list | tuple) and len(value) <= MAX_ITEMS:
        return [plain(item, place.at(index), walk, depth + 1) for index, item in enumerate(value)]
    if isinstance(value, Mapping) and len(value) <= MAX_ITEMS and "class_name" not in value:
        return {
            str(key)[:128]: plain(item, place.at(str(key)[:128]), walk, depth + 1)
            for key, item in value.items()
        }
    raise place.fault(f"is {described(value)}: only plain values are allowed")


# --- types ---------------------------------------------------------------------------------------------------------

#: Policies of a layer's data types that Keras knows, and that a float network may have.
POLICIES: Final = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
_INPUT_TYPES: Final = (
    *("float32", "float64", "float16", "bfloat16"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"),
)
_FLOAT: Final = "float32"


def policy(value: Any, place: Place, walk: Walk) -> Any:
    """The policy of a layer's data types; float32 in a search, whose arithmetic is float32."""
    name = value
    if isinstance(value, Mapping):
        class_name, module = value.get("class_name"), value.get("module")
        if class_name == "QuantizedDTypePolicy" or class_name == "QuantizedFloat8DTypePolicy":
            raise place.fault(
                "was quantized by model.quantize(): a search starts from the float model; send the model as it was"
                " before"
            )
        if class_name != "DTypePolicy" or module not in ("keras", "keras.dtype_policies"):
            raise place.fault(f"is {described(value)}; allowed: DTypePolicy")
        body = value.get("config")
        name = body.get("name") if isinstance(body, Mapping) and len(body) == 1 else None
    if name is None and value is None:
        return None
    if not isinstance(name, str) or name not in POLICIES:
        raise place.fault(f"is {described(name)}; allowed: {', '.join(POLICIES)}")
    name = _retyped(name, place, walk)
    if isinstance(value, str):
        return name
    return {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": name},
        "registered_name": None,
    }


def _retyped(name: str, place: Place, walk: Walk) -> str:
    if walk.exact_types or name == _FLOAT:
        return name
    walk.retyped.setdefault(place.layer, name)
    return _FLOAT


def input_type(value: Any, place: Place, walk: Walk) -> Any:
    """The data type of an input."""
    if isinstance(value, Mapping):
        return policy(value, place, walk)
    if value is not None and (not isinstance(value, str) or value not in _INPUT_TYPES):
        raise place.fault(f"is {described(value)}; allowed: {', '.join(_INPUT_TYPES)}")
    return _retyped(value, place, walk) if isinstance(value, str) and "float" in value else value
