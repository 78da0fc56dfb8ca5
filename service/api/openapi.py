"""The reference at /openapi.json: FastAPI's, with the schemas of the bodies that `service.parsing` reads, examples,
and the answers that every route may give.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from search.spec.cost import CostSpec
from service.api import examples
from service.api.job_actions import Extension
from service.schemas.job_json_schema import job_schema, schema_of
from service.schemas.rescore import RescoreSpec
from service.schemas.uploads import NewUploadBody

_TEMPLATE: Final = "#/components/schemas/{model}"
_BODIES: Final[tuple[type[BaseModel], ...]] = (CostSpec, Extension, NewUploadBody, RescoreSpec)

_PROBLEM: Final = {
    "application/problem+json": {
        "schema": {"$ref": "#/components/schemas/ProblemDocument"},
        "example": examples.PROBLEM,
    }
}
_RATE_HEADERS: Final = ("Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_WHOLE_NUMBER: Final = {"schema": {"type": "integer", "minimum": 0}}
#: What a route that asks for a key may answer besides what it says itself.
_GUARDED: Final[dict[str, dict[str, Any]]] = {
    "401": {
        "description": "The service needs a key, or does not know this one",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    },
    "403": {"description": "The key may not do this, or the tenant has used up a quota"},
    "429": {
        "description": "The key is used too often, or the tenant has as much under way as it may",
        "headers": dict.fromkeys(
            ("Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"), _WHOLE_NUMBER
        ),
    },
    "503": {"description": "A part the service stands on does not answer"},
}
#: What any route may answer.
_ALWAYS: Final[dict[str, dict[str, Any]]] = {
    "400": {"description": "The request cannot be read, or names a host that is not this service"}
}


def install(app: FastAPI) -> None:
    """Have the application describe itself so."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name, schema in _bodies():
                schemas |= schema.pop("$defs", {}) | {name: schema}
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for operation in _operations(document):
                _complete(operation)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    job = job_schema(_TEMPLATE)
    yield (
        "SearchSpec",
        {key: value for key, value in job.items() if not key.startswith("$") or key == "$defs"},
    )
    for body in _BODIES:
        yield body.__name__, schema_of(body, _TEMPLATE)


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for operations in document["paths"].values() for operation in operations.values())


def _complete(operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    for status, answer in (_ALWAYS | (_GUARDED if operation.get("security") else {})).items():
        answers.setdefault(status, {}).update(answer | answers.get(status, {}))
    for status, answer in answers.items():
        if status >= "400" and not _says_something_else(answer):
            answer["content"] = _PROBLEM
    if "422" in answers:
        answers["422"]["description"] = "What is wrong, and where"
    operation["responses"] = dict(sorted(answers.items()))
    for media in operation.get("requestBody", {}).get("content", {}).values():
        name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if name in examples.BODIES:
            media["example"] = examples.BODIES[name]


def _says_something_else(answer: dict[str, Any]) -> bool:
    """True if the answer carries a document of its own, as /readyz does: FastAPI's own errors are not meant."""
    named = answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    return bool(named) and not named.endswith(("/ProblemDocument", "/HTTPValidationError"))
