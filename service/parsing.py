"""Request bodies as values: strict JSON, parsed with limits and validated; faults have JSON pointers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search.errors import InvalidSpec, Problem, pointer_token
from search.spec.base import TOO_MANY_ITEMS
from search.spec.cost import CostSpec
from search.spec.field_names import unknown_field
from search.spec.goals import refused
from search.spec.job import SearchSpec
from search.spec.limits import LayerLimits
from service.errors import InvalidRequest
from service.json_document import parse_json

#: Messages for pydantic's errors about types, in the words of JSON.
_TYPE_MESSAGES: Final = {
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

#: Position of each slot in AutoQKeras' lists of limits; other slots come last.
_SLOT_INDEX: Final = {"kernel": 0, "bias": 1, "pointwise_kernel": 2, "recurrent_kernel": 2}
_LAST: Final = 99

#: Errors of pydantic that become problems; several of them can be about one place.
_MAX_ERRORS: Final = 500
#: Places whose messages list what is allowed there.
_MAX_HINTS: Final = 20


Spec = TypeVar("Spec", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Parsed(Generic[Spec]):
    """A value and the document it was parsed from, into which pointers lead."""

    spec: Spec
    document: Any


Submission = Parsed[SearchSpec]
CostRequest = Parsed[CostSpec]


def parse_submission(body: bytes) -> Submission:
    """The search in a body; raises like `parse`."""
    submission = parse(SearchSpec, body)
    refusals = refused(submission.spec.goal)
    if refusals:
        raise InvalidRequest([Problem(f"/goal/{name}", reason) for name, reason in refusals.items()])
    return submission


def parse_cost_request(body: bytes) -> CostRequest:
    """The network whose cost is requested; raises like `parse`."""
    return parse(CostSpec, body)


def parse(model: type[Spec], body: bytes) -> Parsed[Spec]:
    """The value in a body. Malformed if it is not JSON; InvalidRequest with a pointer for every other fault."""
    document = parse_json(body)
    return Parsed(validate(model, document), document)


def validate(model: type[Spec], document: Any) -> Spec:
    """The value in a document. InvalidRequest with a pointer for every fault."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise InvalidRequest(problems(error.errors(include_url=False), document, model)) from None


def invalid_request(error: InvalidSpec, document: Any) -> InvalidRequest:
    """The faults of a specification, with pointers into the document it was parsed from."""
    return InvalidRequest(
        [Problem(_document_pointer(fault.pointer, document), fault.message) for fault in error.problems]
    )


def _document_pointer(pointer: str, document: Any) -> str:
    """A pointer into the specification, as a pointer into the document it was parsed from."""
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


def problems(
    errors: Sequence[ErrorDetails], document: Any, model: type[BaseModel] | None = None
) -> list[Problem]:
    """One problem per place: alternatives of a union are joined, or left out where there are faults further inside.

    `model`: what the document was to become; messages about unknown fields then list those that it has.

    Reads the first errors only: a body can have one at each of its values.
    """
    messages_at: dict[str, list[str]] = {}
    outer: set[str] = set()
    for error in islice(errors, _MAX_ERRORS):
        tokens = [pointer_token(part) for part in _location(_innermost(error), document)]
        pointer = "".join(f"/{token}" for token in tokens)
        if pointer not in messages_at:
            outer.update("".join(f"/{token}" for token in tokens[:depth]) for depth in range(len(tokens)))
        message = _message(error)
        if model is not None and error["type"] == "extra_forbidden" and len(messages_at) <= _MAX_HINTS:
            message = unknown_field(model, error["loc"])
        if message not in messages_at.setdefault(pointer, []):
            messages_at[pointer].append(message)
    type_messages = set(_TYPE_MESSAGES.values())
    return [
        Problem(pointer, " or ".join(messages))
        for pointer, messages in messages_at.items()
        if not (type_messages.issuperset(messages) and pointer in outer)
    ]


def _innermost(error: ErrorDetails) -> ErrorDetails:
    """An error of a model about one of its fields, with that field in its location."""
    if error["type"] == TOO_MANY_ITEMS:
        return {**error, "loc": (*error["loc"], error["ctx"]["field"])}
    return error


def _message(error: ErrorDetails) -> str:
    if message := _TYPE_MESSAGES.get(error["type"]):
        return message
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        return f"{context['discriminator']} {context['tag']!r} is unknown; known: {context['expected_tags']}"
    return error["msg"].removeprefix("Value error, ").removeprefix("Input ")


def _location(error: ErrorDetails, document: Any) -> list[str | int]:
    """The path in the document for a location of pydantic.

    A location also has branches of unions, and fields that a validator made from a short form (a mapping parsed as a
    list, a list parsed as fields): both are translated to the document's form, or left out.
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
    """The key of `value` for a part of a location; None if the part is not in the document."""
    if isinstance(value, Mapping):
        if isinstance(part, str):
            return part if part in value else None
        return next(islice(value, part, None), None) if part >= 0 else None
    if isinstance(value, list) and (isinstance(part, int) or part in LayerLimits.model_fields):
        index = part if isinstance(part, int) else min(_SLOT_INDEX.get(part, _LAST), len(value) - 1)
        return index if 0 <= index < len(value) else None
    return None
