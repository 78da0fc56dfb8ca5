"""Every route x (no key, wrong tenant, read, submit, admin, operator): who is allowed, and what others can learn."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from service.api.deps import scope_of
from service.app import create_app
from service.auth import keys
from service.auth.scopes import KeyScope
from service.settings import Settings
from tests.security.conftest import Keys
from tests.service.conftest import URL
from tests.service.filled import JOB, Filled

#: Routes that ask for no key, each for its reason.
OPEN: Final = {
    ("GET", "/"): "the dashboard's page, without data",
    ("GET", "/docs"): "the reference",
    ("GET", "/login"): "it asks for the key",
    ("GET", "/openapi.json"): "the reference",
    ("GET", "/favicon.ico"): "browsers ask by themselves",
    ("GET", "/healthz"): "orchestrators ask it",
    ("GET", "/readyz"): "orchestrators ask it; it names parts, not addresses",
    ("GET", "/v1/schemas/job"): "editors ask it",
    ("POST", "/v1/session"): "it is given the key in its body",
    ("DELETE", "/v1/session"): "it forgets the caller's own cookie",
}
#: Methods that change nothing although they are not safe by HTTP: a key that reads may use them.
READING: Final = {("POST", "/v1/jobs:validate"), ("POST", "/v1/jobs/{job_id}:rescore"), ("POST", "/v1/cost")}
#: Routes for the operator only.
OPERATOR: Final = {("GET", "/metrics")}

#: An id that nothing has.
NOBODYS: Final = "f" * 16

#: Bodies that could be carried out, by the end of the path; a job elsewhere.
BODIES: Final[dict[str, Any]] = {
    "/v1/cost": {"model": "digits_cnn"},
    "/v1/session": {"key": "fewbits_"},
    "/v1/models": {"name": "a model", "size_bytes": 7},
    "/v1/datasets": {"name": "some data", "size_bytes": 7},
    ":extend": {"trials": 1},
    ":clone": {"name": "a clone"},
    "/v1/keys": {"name": "another", "scope": "read"},
}
_SAFE: Final = {"GET", "HEAD"}
_PARAMETERS: Final = {"number": "0", "name": "report.json", "key_id": NOBODYS}


@dataclass(frozen=True)
class Route:
    """A method and path as the reference has it, and the scope its dependencies ask for."""

    method: str
    path: str
    scope: KeyScope | None

    @property
    def key(self) -> tuple[str, str]:
        """What the tables above call it."""
        return self.method, self.path


def routes(app: FastAPI) -> list[Route]:
    """Every route of the application, found by walking it, not by reading its reference."""
    return [
        Route(method, str(route.path), needed(route))
        for route in iter_route_contexts(app.routes)
        for method in sorted(route.methods or ())
        if method != "HEAD" or route.methods == {"HEAD"}
    ]


def needed(route: Any) -> KeyScope | None:
    """The strictest scope among the route's dependencies."""
    dependant = getattr(route, "dependant", None)
    scopes = (
        [scope_of(dependency.call) for dependency in dependant.dependencies] if dependant is not None else []
    )
    order = list(KeyScope)
    return max((scope for scope in scopes if scope is not None), key=order.index, default=None)


@pytest.fixture
def all_routes(app: FastAPI) -> list[Route]:
    return routes(app)


def test_the_walk_finds_what_the_reference_describes(app: FastAPI, all_routes: list[Route]) -> None:
    described = {
        (method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods
    }
    pages = {
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/login"),
        ("GET", "/favicon.ico"),
        ("GET", "/openapi.json"),
    }
    assert {route.key for route in all_routes} - pages == described
    assert len(described) > 15


def test_every_route_requires_a_scope_unless_it_is_listed_as_open(all_routes: list[Route]) -> None:
    without = {route.key for route in all_routes if route.scope is None}
    assert without == set(OPEN)


def test_routes_that_change_something_require_more_than_read(all_routes: list[Route]) -> None:
    writing = [route for route in all_routes if route.method not in _SAFE and route.key not in OPEN]
    assert {route.key for route in writing if route.scope is KeyScope.READ} == READING


def test_only_an_admin_deletes(all_routes: list[Route]) -> None:
    deleting = [route for route in all_routes if route.method == "DELETE" and route.key not in OPEN]
    assert {route.scope for route in deleting} <= {KeyScope.ADMIN}


# --- asked one by one ---


def ask(http: TestClient, route: Route, ids: Mapping[str, str], headers: Mapping[str, str]) -> Any:
    """The route asked about the resources with these ids, with a body that could be carried out."""
    resource = route.path.split("/")[2] if route.path.count("/") > 1 else ""
    values = _PARAMETERS | {"job_id": ids["jobs"], "upload_id": ids.get(resource, NOBODYS)}
    path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: values[match[1]], route.path)
    options: dict[str, Any] = {"headers": dict(headers)}
    if route.method not in _SAFE | {"DELETE"}:
        body = next((body for end, body in BODIES.items() if route.path.endswith(end)), JOB)
        if route.method == "PATCH":
            body = {"priority": 1}
        options["content"] = json.dumps(body)
        options["headers"] |= {"content-type": "application/json", "upload-offset": "0"}
    return http.request(route.method, path, **options)


@pytest.fixture
def ids(http: TestClient, api_keys: Keys, filled: Filled) -> dict[str, str]:
    """The tenant acme's job, model and data set, by resource."""
    ids_by_resource = {"jobs": filled.job_id}
    for resource in ("models", "datasets"):
        declared = {"name": "mine", "size_bytes": 100}
        answer = http.post(f"/v1/{resource}", json=declared, headers=api_keys["submit"])
        assert answer.status_code == 201, answer.text
        ids_by_resource[resource] = answer.json()["id"]
    return ids_by_resource


def test_without_a_key_every_route_is_refused(
    http: TestClient, api_keys: Keys, ids: dict[str, str], all_routes: list[Route]
) -> None:
    for route in all_routes:
        if route.key not in OPEN:
            answer = ask(http, route, ids, {})
            assert answer.status_code == 401, route
            if route.method != "HEAD":
                assert answer.json()["type"] == "urn:fewbits:problem:unauthorized"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert not [resource_id for resource_id in ids.values() if resource_id in answer.text]


@pytest.mark.parametrize(
    "sent", ["Bearer nonsense", "Basic YTpi", "Bearer fewbits_" + "0" * 12 + "_" + "1" * 48]
)
def test_with_a_wrong_key_every_route_is_refused(
    http: TestClient, api_keys: Keys, ids: dict[str, str], all_routes: list[Route], sent: str
) -> None:
    for route in all_routes:
        if route.key not in OPEN:
            answer = ask(http, route, ids, {"authorization": sent})
            assert answer.status_code in {401, 429}, route


@pytest.mark.parametrize("who", ["read", "submit", "admin"])
def test_a_key_reaches_what_its_scope_allows_and_no_more(
    http: TestClient, api_keys: Keys, ids: dict[str, str], all_routes: list[Route], who: str
) -> None:
    scope = KeyScope(who)
    for route in sorted(all_routes, key=lambda route: (route.method == "DELETE", route.key)):
        if route.key in OPEN:
            continue
        allowed = route.key not in OPERATOR and scope.allows(route.scope or KeyScope.ADMIN)
        answer = ask(http, route, ids, api_keys[who])
        if allowed:
            assert answer.status_code not in {401, 403}, (route, answer.text)
            assert answer.status_code < 500, (route, answer.text)
        else:
            assert answer.status_code == 403, (route, answer.text)
            assert route.method == "HEAD" or answer.json()["type"] == "urn:fewbits:problem:insufficient-scope"


def test_what_belongs_to_another_tenant_does_not_exist(
    http: TestClient, api_keys: Keys, ids: dict[str, str], all_routes: list[Route]
) -> None:
    missing = 0
    for route in all_routes:
        if "{job_id}" in route.path or "{upload_id}" in route.path:
            strangers = ask(http, route, ids, api_keys["other"])
            nobodys = ask(http, route, dict.fromkeys(ids, NOBODYS), api_keys["other"])
            assert strangers.status_code == nobodys.status_code, route
            assert strangers.status_code in {404, 422}, (route, strangers.text)  # 422: of the body alone
            missing += strangers.status_code == 404
            if route.method != "HEAD":
                hidden = re.sub("|".join(ids.values()), NOBODYS, strangers.text)
                assert without_trace(hidden) == without_trace(nobodys.text), route
    assert missing > 20


def without_trace(text: str) -> Any:
    document = json.loads(text)
    document.pop("trace_id")
    return document


def test_lists_show_own_resources_only(http: TestClient, api_keys: Keys, filled: Filled) -> None:
    assert [job["id"] for job in http.get("/v1/jobs", headers=api_keys["read"]).json()["items"]] == [
        filled.job_id
    ]
    assert http.get("/v1/jobs", headers=api_keys["other"]).json()["items"] == []


def test_a_cursor_leads_another_tenant_nowhere(
    http: TestClient, api_keys: Keys, filled: Filled, job: dict[str, Any]
) -> None:
    assert http.post("/v1/jobs", json=job, headers=api_keys["submit"]).status_code == 202
    page = http.get("/v1/jobs", params={"limit": 1}, headers=api_keys["read"]).json()
    assert page["next_cursor"] is not None
    params = {"limit": 1, "cursor": page["next_cursor"]}
    assert http.get("/v1/jobs", params=params, headers=api_keys["other"]).json()["items"] == []


def test_an_entity_tag_of_another_tenant_confirms_nothing(
    http: TestClient, api_keys: Keys, filled: Filled
) -> None:
    path = f"/v1/jobs/{filled.job_id}"
    etag = http.get(path, headers=api_keys["read"]).headers["etag"]
    for tag in (etag, "*"):
        assert http.get(path, headers=api_keys["other"] | {"if-none-match": tag}).status_code == 404
    assert http.get(path, headers=api_keys["read"] | {"if-none-match": etag}).status_code == 304


def test_the_artifact_of_another_tenant_s_trial_is_not_there(
    http: TestClient, api_keys: Keys, filled: Filled
) -> None:
    path = f"/v1/jobs/{filled.job_id}/trials/0/artifacts/report.json"
    assert http.get(path, headers=api_keys["read"]).status_code == 200
    assert http.get(path, headers=api_keys["other"]).status_code == 404


def test_metrics_are_for_the_operator(http: TestClient, api_keys: Keys) -> None:
    assert http.get("/metrics", headers=api_keys["operator"]).status_code == 200
    assert http.get("/metrics", headers=api_keys["admin"]).status_code == 403


# --- what names a resource elsewhere than in the path ---

#: Every parameter that the reference has, by what it names: a route with another one needs an entry.
OF_PATHS: Final = {"job_id", "upload_id"}  #: asked above
WITHIN: Final = {"number", "name"}  #: of a job's trial, and of a file or export of it
OWN_TESTS: Final = {"job", "key_id"}  #: asked below
#: What names nothing that belongs to a tenant.
PLAIN: Final = {
    *("after", "cursor", "fields", "filter", "Idempotency-Key", "last-event-id", "limit", "numbers", "sort"),
    *("status", "upload-offset", "wait_s"),
    *("k", "delta_p", "delta_n", "rate", "stress"),
}


def test_every_parameter_has_an_entry(app: FastAPI) -> None:
    names = {
        parameter["name"]
        for operations in app.openapi()["paths"].values()
        for operation in operations.values()
        for parameter in operation.get("parameters", ())
    }
    assert names == OF_PATHS | WITHIN | OWN_TESTS | PLAIN


def test_bodies_name_resources_in_model_and_data_alone(app: FastAPI) -> None:
    """Fields called `id` or `..._id`, in any schema of a body."""
    document = app.openapi()
    waiting = [
        media["schema"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for media in operation.get("requestBody", {}).get("content", {}).values()
    ]
    seen: list[Any] = []
    owners = set()
    while waiting:
        part = waiting.pop()
        if not isinstance(part, dict | list) or part in seen:
            continue
        seen.append(part)
        if isinstance(part, dict):
            if isinstance(reference := part.get("$ref"), str):
                waiting.append(document["components"]["schemas"][reference.rpartition("/")[2]])
            names = part.get("properties", {})
            owners |= {part.get("title") for name in names if name == "id" or name.endswith("_id")}
        waiting.extend(part.values() if isinstance(part, dict) else part)
    assert owners == {"UploadedModel", "UploadedData"}


@pytest.mark.parametrize(("kind", "resource"), [("model", "models"), ("data", "datasets")])
def test_an_upload_of_another_tenant_is_not_there_for_jobs(
    http: TestClient, api_keys: Keys, ids: dict[str, str], kind: str, resource: str
) -> None:
    own = http.post("/v1/jobs", json=JOB, headers=api_keys["other"]).headers["location"]
    paths = ["/v1/jobs:validate", "/v1/jobs", f"{own}:clone", *(["/v1/cost"] if kind == "model" else [])]
    for path in paths:
        answers = []
        for upload_id in (ids[resource], NOBODYS):
            reference = {kind: {"kind": "uploaded", "id": upload_id}}
            body = reference if path.endswith((":clone", "/cost")) else JOB | reference
            answer = http.post(path, json=body, headers=api_keys["other"])
            assert answer.status_code == 422, (path, answer.text)
            answers.append(without_trace(answer.text.replace(upload_id, NOBODYS)))
        assert answers[0] == answers[1], path


def test_the_events_of_another_tenant_s_job_are_those_of_none(
    http: TestClient, api_keys: Keys, ids: dict[str, str]
) -> None:
    texts = [
        http.get("/v1/events", params={"job": f"{job_id}:0"}, headers=api_keys["other"]).text.replace(
            job_id, NOBODYS
        )
        for job_id in (ids["jobs"], NOBODYS)
    ]
    assert texts[0] == texts[1]
    assert '"over":true' in texts[0]


def test_a_key_of_another_tenant_is_not_there(http: TestClient, api_keys: Keys) -> None:
    key_id = api_keys.by_name["read"].split("_")[1]
    answers = [http.delete(f"/v1/keys/{name}", headers=api_keys["operator"]) for name in (key_id, "f" * 12)]
    assert {answer.status_code for answer in answers} == {404}
    assert http.get("/v1/jobs", headers=api_keys["read"]).status_code == 200


def test_content_that_another_tenant_has_must_be_sent(http: TestClient, api_keys: Keys) -> None:
    """A checksum alone gets nobody the file."""
    data = io.BytesIO()
    np.savez(data, x_train=np.zeros((8, 3), np.float32), y_train=np.arange(8) % 2)
    content = data.getvalue()
    declared = {"name": "d", "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    first = http.post("/v1/datasets", json=declared, headers=api_keys["submit"])
    sent = http.put(f"{first.headers['location']}/content", content=content, headers=api_keys["submit"])
    assert sent.status_code == 200, sent.text
    assert http.post("/v1/datasets", json=declared, headers=api_keys["submit"]).status_code == 200
    other = http.post("/v1/datasets", json=declared, headers=api_keys["other"])
    assert (other.status_code, other.json()["status"]) == (201, "incomplete")
    assert http.get(f"{other.headers['location']}/content", headers=api_keys["other"]).status_code == 409


# --- the life of a key ---


def test_a_revoked_key_reaches_nothing(settings: Settings, api_keys: Keys) -> None:
    forgetful = create_app(settings.model_copy(update={"key_cache": timedelta(0)}))
    with TestClient(forgetful, base_url=URL) as http:
        assert http.get("/v1/jobs", headers=api_keys["read"]).status_code == 200
        with forgetful.state.database.transaction() as session:
            keys.revoke(session, api_keys.by_name["read"].split("_")[1])
        assert http.get("/v1/jobs", headers=api_keys["read"]).status_code == 401


def test_an_embedded_service_on_loopback_needs_no_key_until_there_is_one(settings: Settings) -> None:
    with TestClient(create_app(settings), base_url=URL) as http:
        assert http.get("/v1/jobs").status_code == 200
        assert http.get("/v1/session").json()["tenant"] == "local"
        assert http.get("/v1/jobs", headers={"x-forwarded-for": "10.0.0.1"}).status_code == 401
