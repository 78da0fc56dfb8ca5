"""Documents as specifications: strict JSON, read with limits and validated; faults carry JSON pointers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from search.errors import InvalidSpec, Problem, pointer_token
from search.spec.cost import CostSpec
from search.spec.job import SearchSpec
from search.spec.limits import LayerLimits
from service.errors import InvalidRequest, Malformed

#: What pydantic says of a wrong type, in the words of JSON.
_TYPE_WORDS: Final = {
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "dict_type": "should be an object",
    "model_type": "should be an object",
    "model_attributes_type": "should be an object",
    "int_type": "should be an integer",
    "int_parsing": "should be an integer",
    "int_from_float": "should be an integer",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "string_type": "should be a string",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "missing": "is required",
    "extra_forbidden": "is not a field",
}

#: Where AutoQKeras' lists of limits hold each slot; those not named stand last.
_SLOT_INDEX: Final = {"kernel": 0, "bias": 1, "pointwise_kernel": 2, "recurrent_kernel": 2}
_LAST: Final = 99


Spec = TypeVar("Spec", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Stated(Generic[Spec]):
    """A value, and the document that stated it: pointers lead into the latter."""

    spec: Spec
    document: Any


Submission = Stated[SearchSpec]
Question = Stated[CostSpec]


def parse_submission(body: bytes) -> Submission:
    """The search a body states. Malformed if it is not JSON; InvalidRequest with a pointer for every other fault."""
    return _parsed(SearchSpec, body)


def parse_question(body: bytes) -> Question:
    """The network whose cost a body asks for; raises as `parse_submission`."""
    return _parsed(CostSpec, body)


def _parsed(kind: type[Spec], body: bytes) -> Stated[Spec]:
    document = parse_json(body)
    try:
        return Stated(kind.model_validate(document), document)
    except ValidationError as error:
        raise InvalidRequest(problems(error.errors(include_url=False), document)) from None


def refused(error: InvalidSpec, document: Any) -> InvalidRequest:
    """The faults of a specification, with pointers into the document that stated it."""
    return InvalidRequest([Problem(_sent(p.pointer, document), p.message) for p in error.problems])


def _sent(pointer: str, document: Any) -> str:
    """A pointer into the search, as a pointer into the document that stated it."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    path: list[str | int] = []
    value = document
    for part in parts:
        by_position = (
            part.isascii() and part.isdecimal() and not (isinstance(value, Mapping) and part in value)
        )
        step = _step(int(part) if by_position else part, value)
        if step is None:
            return pointer if isinstance(value, Mapping) else "".join(f"/{pointer_token(p)}" for p in path)
        path.append(step)
        value = value[step]
    return "".join(f"/{pointer_token(part)}" for part in path)


def parse_json(body: bytes) -> Any:
    """The value a body states. Malformed unless it is strict JSON that SQL can hold, and not nested deeper than 200."""
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Malformed(f"the body is not JSON: {error}") from None
    if fault := _unstorable(document):
        raise InvalidRequest([fault])
    return document


def _unstorable(value: Any, pointer: str = "") -> Problem | None:
    """The first number that overflows, or string with a NUL: PostgreSQL refuses both."""
    if isinstance(value, float) and not math.isfinite(value):
        return Problem(pointer, "the number is too large")
    if isinstance(value, str) and "\0" in value:
        return Problem(pointer, "text may not contain the character U+0000")
    children: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        if any("\0" in key for key in value):
            return Problem(pointer, "names may not contain the character U+0000")
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        if fault := _unstorable(child, f"{pointer}/{pointer_token(key)}"):
            return fault
    return None


def problems(errors: Sequence[ErrorDetails], document: Any) -> list[Problem]:
    """One problem a place: alternatives of a union are joined, and give way to faults further inside."""
    found: dict[str, list[str]] = {}
    for error in errors:
        pointer = "".join(f"/{pointer_token(part)}" for part in _location(error, document))
        message = _message(error)
        if message not in found.setdefault(pointer, []):
            found[pointer].append(message)
    type_words = set(_TYPE_WORDS.values())
    return [
        Problem(pointer, " or ".join(messages))
        for pointer, messages in found.items()
        if not (type_words.issuperset(messages) and any(other.startswith(pointer + "/") for other in found))
    ]


def _message(error: ErrorDetails) -> str:
    if words := _TYPE_WORDS.get(error["type"]):
        return words
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        return f"{context['discriminator']} {context['tag']!r} is unknown; known: {context['expected_tags']}"
    return error["msg"].removeprefix("Value error, ").removeprefix("Input ")


def _location(error: ErrorDetails, document: Any) -> list[str | int]:
    """The path in the document that pydantic's location means.

    A location also names branches of unions, and fields that a validator made out of another form (a mapping read as a
    list, a list read as fields): both are translated to what was sent, or left out.
    """
    path: list[str | int] = []
    value = document
    parts = error["loc"]
    for index, part in enumerate(parts):
        step = _step(part, value)
        if step is not None:
            path.append(step)
            value = value[step]
        elif error["type"] == "missing" and index == len(parts) - 1 and isinstance(value, Mapping):
            path.append(part)
        elif not isinstance(value, (Mapping, list)):
            break
    return path


def _step(part: str | int, value: Any) -> str | int | None:
    """The key of `value` that a part of a location means; None if the part is not about the document."""
    if isinstance(value, Mapping):
        if isinstance(part, str):
            return part if part in value else None
        keys = list(value)
        return keys[part] if 0 <= part < len(keys) else None
    if isinstance(value, list) and (isinstance(part, int) or part in LayerLimits.model_fields):
        index = part if isinstance(part, int) else min(_SLOT_INDEX.get(part, _LAST), len(value) - 1)
        return index if 0 <= index < len(value) else None
    return None
