"""The reference at /openapi.json: FastAPI's, with the schemas of the bodies that `service.parsing` parses, examples,
and the responses that every route may give.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from search.results.exports import ExportSpec
from search.results.final_training import FinalSpec
from search.spec.cost import CostSpec
from service.api import examples
from service.api.job_actions import Extension
from service.schemas.job_json_schema import job_schema, schema_of
from service.schemas.keys import NewKeyBody
from service.schemas.rescore import RescoreSpec
from service.schemas.uploads import NewUploadBody

_TEMPLATE: Final = "#/components/schemas/{model}"
_BODIES: Final[tuple[type[BaseModel], ...]] = (
    CostSpec,
    ExportSpec,
    Extension,
    FinalSpec,
    NewKeyBody,
    NewUploadBody,
    RescoreSpec,
)

_PROBLEM: Final = {
    "application/problem+json": {
        "schema": {"$ref": "#/components/schemas/ProblemDocument"},
        "example": examples.PROBLEM,
    }
}
_RATE_HEADERS: Final = ("Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_WHOLE_NUMBER: Final = {"schema": {"type": "integer", "minimum": 0}}
#: Responses of every route that requires a key.
_GUARDED: Final[dict[str, dict[str, Any]]] = {
    "401": {
        "description": "Authentication required, or the key is not valid",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    },
    "403": {"description": "The scope of the key does not allow this, or a quota of the tenant is used up"},
    "429": {
        "description": "The rate limit of the key is exceeded, or a quota of the tenant is reached",
        "headers": dict.fromkeys(
            ("Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"), _WHOLE_NUMBER
        ),
    },
    "503": {"description": "A part that the service depends on does not respond"},
}
#: Responses of every route.
_ALWAYS: Final[dict[str, dict[str, Any]]] = {
    "400": {"description": "The request cannot be read, or its host is not allowed"},
    "431": {"description": "Address and headers have more than 64 KiB"},
}


def install(app: FastAPI) -> None:
    """Replace the application's reference by this one."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            if prefix := app.state.settings.root_path:
                document["servers"] = [{"url": prefix}]
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
        if status >= "400" and not _has_other_document(answer):
            answer["content"] = _PROBLEM
    if "422" in answers:
        answers["422"]["description"] = "The request is not valid: the place and a message for each fault"
    operation["responses"] = dict(sorted(answers.items()))
    for media in operation.get("requestBody", {}).get("content", {}).values():
        name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if name in examples.BODIES:
            media["example"] = examples.BODIES[name]


def _has_other_document(answer: dict[str, Any]) -> bool:
    """True if the response has another document than a problem, as that of /readyz has."""
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    return bool(schema) and not schema.endswith(("/ProblemDocument", "/HTTPValidationError"))
