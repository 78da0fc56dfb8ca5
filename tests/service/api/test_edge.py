"""Properties of every request: hosts, origins, headers, health, the reference; and what the API process loads."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.api.middleware import allowed_hosts
from service.api.probes import Probes
from service.app import create_app
from service.settings import Settings
from service.store import sweeps, workers
from service.store.models import Base


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost", "localhost:1", "[::1]:8765", "LOCALHOST"])
def test_this_machines_names_are_answered(http: TestClient, host: str) -> None:
    assert http.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "localhost:x"]
)
def test_another_host_is_refused(http: TestClient, host: str) -> None:
    answer = http.get("/v1/jobs", headers={"host": host})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def test_hosts_are_set_by_name_and_by_suffix(settings: Settings) -> None:
    named = settings.model_copy(update={"allowed_hosts": "api, *.example.org"})
    assert allowed_hosts(named) == {"api", "*.example.org"}
    with TestClient(create_app(named), base_url="http://a.example.org") as http:
        assert http.get("/healthz").status_code == 200
        assert http.get("/healthz", headers={"host": "example.org.evil"}).status_code == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999"])
def test_a_page_of_another_site_changes_nothing(http: TestClient, job: dict[str, Any], origin: str) -> None:
    assert http.post("/v1/jobs", json=job, headers={"origin": origin}).status_code == 403
    assert http.get("/v1/jobs").json()["items"] == []


def test_the_dashboard_may_change_things(http: TestClient, job: dict[str, Any]) -> None:
    answer = http.post("/v1/jobs", json=job, headers={"origin": "http://127.0.0.1:8765"})
    assert answer.status_code == 202


@pytest.mark.parametrize("path", ["/", "/docs", "/static/app.js", "/v1/jobs", "/v1/nothing", "/healthz"])
def test_every_answer_carries_the_security_headers(http: TestClient, path: str) -> None:
    headers = http.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_a_refusal_by_the_gate_carries_them_too(http: TestClient) -> None:
    assert http.get("/", headers={"host": "evil.example"}).headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("page", ["/", "/docs", "/login"])
def test_pages_name_nothing_outside_of_the_service(http: TestClient, page: str) -> None:
    text = http.get(page).text
    assert "http://" not in text
    assert "https://" not in text
    assert "style=" not in text
    assert "onclick" not in text


# --- health ---


def test_a_service_without_a_worker_is_alive_and_not_ready(http: TestClient) -> None:
    assert http.get("/healthz").json()["status"] == "alive"
    answer = http.get("/readyz")
    assert answer.status_code == 503
    state = answer.json()
    assert (state["database"], state["migrations"], state["broker"]) == ("ok", "ok", "ok")
    assert "fewbits worker" in state["worker"]


def test_a_service_with_a_worker_is_ready(http: TestClient, app: Any) -> None:
    with app.state.database.transaction() as session:
        workers.heartbeat(session, "host/1/0")
        assert sweeps.begin(session, worker="host/1/0", interval=timedelta(seconds=5))
    assert "dead workers" in http.get("/readyz").json()["sweep"]
    with app.state.database.transaction() as session:
        sweeps.end(session)
    answer = http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ready"] is True


def test_a_database_that_was_not_migrated_is_named(http: TestClient, app: Any) -> None:
    Base.metadata.drop_all(app.state.database.engine)
    with app.state.database.transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM alembic_version")
    assert "fewbits migrate" in http.get("/readyz").json()["migrations"]


def test_a_broker_whose_folder_is_gone_is_named(http: TestClient, messages: Any) -> None:
    messages.rmdir()
    state = http.get("/readyz").json()
    assert state["broker"] == "the folder of the embedded broker is not writable"
    assert state["database"] == "ok"


def test_a_broker_that_does_not_answer_is_named_without_its_password(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    away = settings.model_copy(update={"broker_url": "redis://:secret@127.0.0.1:1/0"})
    with TestClient(create_app(away), base_url="http://127.0.0.1") as http:
        answer = http.get("/readyz")
    assert "does not respond" in answer.json()["broker"]
    assert "secret" not in answer.text


# --- reference ---


def test_the_reference_describes_every_route(http: TestClient) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    assert {(path, method) for path, methods in paths.items() for method in methods} == {
        ("/v1/jobs", "get"),
        ("/v1/jobs", "post"),
        ("/v1/jobs:validate", "post"),
        ("/v1/jobs/{job_id}", "get"),
        ("/v1/jobs/{job_id}", "patch"),
        ("/v1/jobs/{job_id}", "delete"),
        ("/v1/jobs/{job_id}:pause", "post"),
        ("/v1/jobs/{job_id}:resume", "post"),
        ("/v1/jobs/{job_id}:stop", "post"),
        ("/v1/jobs/{job_id}:cancel", "post"),
        ("/v1/jobs/{job_id}:retry", "post"),
        ("/v1/jobs/{job_id}:extend", "post"),
        ("/v1/jobs/{job_id}:clone", "post"),
        ("/v1/jobs/{job_id}/events", "get"),
        ("/v1/jobs/{job_id}/best", "get"),
        ("/v1/jobs/{job_id}/pareto", "get"),
        ("/v1/jobs/{job_id}:rescore", "post"),
        ("/v1/jobs/{job_id}/trials", "get"),
        ("/v1/jobs/{job_id}/trials/{number}", "get"),
        ("/v1/jobs/{job_id}/trials/{number}/artifacts/{name}", "get"),
        ("/metrics", "get"),
        ("/v1/datasets", "get"),
        ("/v1/datasets", "post"),
        ("/v1/datasets/{upload_id}", "delete"),
        ("/v1/datasets/{upload_id}", "get"),
        ("/v1/datasets/{upload_id}/content", "head"),
        ("/v1/datasets/{upload_id}/content", "patch"),
        ("/v1/datasets/{upload_id}/content", "put"),
        ("/v1/jobs/{job_id}/analysis", "get"),
        ("/v1/jobs/{job_id}/points", "get"),
        ("/v1/jobs/{job_id}/trials.csv", "get"),
        ("/v1/jobs/{job_id}/trials.parquet", "get"),
        ("/v1/jobs/{job_id}/trials/{number}/final", "get"),
        ("/v1/jobs/{job_id}/trials/{number}:finalize", "post"),
        ("/v1/models", "post"),
        ("/v1/models/{upload_id}", "delete"),
        ("/v1/models/{upload_id}", "get"),
        ("/v1/models/{upload_id}/content", "head"),
        ("/v1/models/{upload_id}/content", "patch"),
        ("/v1/models/{upload_id}/content", "put"),
        ("/v1/cost", "post"),
        ("/v1/profiles", "get"),
        ("/v1/models", "get"),
        ("/v1/schemas/job", "get"),
        ("/v1/events", "get"),
        ("/v1/jobs/{job_id}/attempts", "get"),
        ("/v1/jobs/{job_id}/choices", "get"),
        ("/v1/datasets/{upload_id}/content", "get"),
        ("/v1/jobs/{job_id}/trials/{number}/exports", "get"),
        ("/v1/jobs/{job_id}/trials/{number}/exports", "post"),
        ("/v1/jobs/{job_id}/trials/{number}/exports/{name}", "delete"),
        ("/v1/jobs/{job_id}/trials/{number}/exports/{name}", "get"),
        ("/v1/jobs/{job_id}/trials/{number}/exports/{name}/file", "get"),
        ("/v1/jobs/{job_id}/trials/{number}/formats", "get"),
        ("/v1/models/{upload_id}/content", "get"),
        ("/v1/queue", "get"),
        ("/v1/jobs/{job_id}/trials/{number}/weights", "get"),
        ("/v1/jobs/{job_id}/trials/{number}/classes", "get"),
        ("/v1/keys", "get"),
        ("/v1/keys", "post"),
        ("/v1/keys/{key_id}", "delete"),
        ("/v1/session", "get"),
        ("/v1/session", "post"),
        ("/v1/session", "delete"),
        ("/healthz", "get"),
        ("/readyz", "get"),
    }


def test_every_reference_in_the_reference_leads_somewhere(http: TestClient) -> None:
    document = http.get("/openapi.json").json()
    defined = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(refs(document)) <= defined


def refs(value: Any) -> list[str]:
    if isinstance(value, dict):
        here = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return here + [ref for child in value.values() for ref in refs(child)]
    return [ref for child in value for ref in refs(child)] if isinstance(value, list) else []


def test_the_schema_of_a_job_can_be_had_alone(http: TestClient) -> None:
    schema = http.get("/v1/schemas/job").json()
    assert {"model", "data", "limits", "goal", "budget"} <= set(schema["properties"])


def test_the_models_are_those_of_the_zoo(http: TestClient) -> None:
    models = {item["name"]: item["description"] for item in http.get("/v1/models").json()["items"]}
    assert {"digits_cnn", "mnist_convblock", "jet_mlp"} <= set(models)
    assert all(models.values())


# --- what the process loads ---

PROBE = """
import json, sys, warnings
import psutil
from service.app import create_app
from service.settings import Settings
import uvicorn
from service.store.migrate import upgrade
app = create_app(Settings())
upgrade(app.state.database.engine)
app.openapi()
from service.api.planning import plan_of
from service.parsing import parse_submission
job = {"model": "digits_cnn", "data": "digits", "limits": {"by_class": {"Dense": [8]}}}
plan_of(parse_submission(json.dumps(job).encode()), Settings().data_folder)
frameworks = {"keras", "tensorflow", "keras_tuner", "sklearn", "scipy", "jax", "h5py"}
heavy = sorted(frameworks & set(sys.modules))
print(json.dumps({"heavy": heavy, "mb": psutil.Process().memory_info().rss / 1e6}))
"""


def test_the_api_process_loads_no_training_framework_and_stays_small(tmp_path: Any) -> None:
    import json
    import os

    environment = {**os.environ, "FEWBITS_HOME": str(tmp_path)}
    printed = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True
    ).stdout
    measured = json.loads(printed)
    assert measured["heavy"] == []
    assert measured["mb"] < 150


# --- behind a proxy ---


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/v1/jobs", "/openapi.json", "/v1/nothing", "/docs"]
)
def test_head_is_get_without_a_body(http: TestClient, path: str) -> None:
    asked, told = http.get(path), http.head(path)
    assert (told.status_code, told.content) == (asked.status_code, b"")
    assert told.headers["content-type"] == asked.headers["content-type"]


def test_a_weakened_tag_is_still_known(http: TestClient) -> None:
    page = http.get("/").text
    name = page.partition('"/static/')[2].partition('"')[0]
    tag = http.get(f"/static/{name}").headers["etag"]
    for sent in (tag, f"W/{tag.removeprefix('W/')}", f'"other", {tag}'):
        assert http.get(f"/static/{name}", headers={"if-none-match": sent}).status_code == 304


@pytest.mark.parametrize(
    ("host", "origin", "site", "is_allowed"),
    [
        ("127.0.0.1:8765", "http://127.0.0.1:8765", None, True),
        ("127.0.0.1", "https://127.0.0.1:8443", "same-origin", True),
        ("127.0.0.1", "https://127.0.0.1:8443", None, False),
        ("127.0.0.1", "https://127.0.0.1:8443", "same-site", False),
        ("127.0.0.1", "https://evil.example:8443", "same-origin", False),
        ("127.0.0.1:8765", "http://evil.example", None, False),
    ],
)
def test_a_page_behind_a_proxy_on_any_port_may_write(
    http: TestClient, host: str, origin: str, site: str | None, is_allowed: bool
) -> None:
    headers = {"host": host, "origin": origin} | ({} if site is None else {"sec-fetch-site": site})
    answer = http.post("/v1/jobs/0123456789abcdef:pause", headers=headers)
    assert (answer.status_code == 403) is not is_allowed


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip", "via", "x-forwarded-proto"])
def test_a_service_without_keys_refuses_what_a_proxy_forwards(http: TestClient, header: str) -> None:
    assert http.get("/v1/jobs", headers={header: "10.0.0.1"}).status_code == 401


def test_a_database_that_does_not_respond_is_503_with_a_time(
    http: TestClient, app: Any, monkeypatch: Any
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(app.state.database), "reading", away)
    answer = http.get("/v1/jobs")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"] == "a disk of the service is full or does not respond: try again later"


def test_readiness_is_told_though_a_part_never_answers(http: TestClient, app: Any) -> None:
    import threading

    release = threading.Event()
    app.state.probes = Probes(answer_s=0.05)
    app.state.queue.check = release.wait
    states = [http.get("/readyz").json() for _ in range(3)]
    assert all("no answer within" in state["broker"] for state in states)
    assert {state["database"] for state in states} <= {"ok", states[0]["database"]}
    assert sum(thread.name == "probe" for thread in threading.enumerate()) == 1, "one probe waits, no more"
    assert http.get("/healthz").status_code == 200
    release.set()
