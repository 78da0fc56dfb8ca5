"""Responses, logs and stored data never have a key's secret or a password."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.app import create_app
from service.auth.tokens import PATTERN
from service.observability import logs
from service.settings import Settings
from service.store.session import Database
from tests.security.conftest import Keys
from tests.security.test_authorization import OPEN, ask, ids, routes  # noqa: F401 -- fixture
from tests.service.conftest import URL
from tests.service.filled import Filled

PASSWORD = "a-password-that-must-not-be-seen"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything that is logged from here on, down to DEBUG, as production writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter(as_json=True))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


def secrets_of(api_keys: Keys) -> list[str]:
    return [token.split("_")[2] for token in api_keys.by_name.values()]


def test_no_answer_and_no_log_line_has_a_secret(
    http: TestClient,
    app: FastAPI,
    api_keys: Keys,
    ids: dict[str, str],  # noqa: F811
    written: io.StringIO,
) -> None:
    said = ""
    for route in routes(app):
        if route.method == "DELETE" and route.key not in OPEN:
            continue
        for who in ("read", "admin", "other"):
            answer = ask(http, route, ids, api_keys[who])
            if (route.method, route.path) != ("POST", "/v1/keys"):  # which hands out a new key, once
                said += answer.text
            said += str(answer.headers)
        wrong = ask(http, route, ids, {"authorization": api_keys["read"]["authorization"][:-1] + "x"})
        said += wrong.text + str(wrong.headers)
    logged = written.getvalue()
    assert len(logged.splitlines()) > 100
    assert all(json.loads(line)["trace_id"] for line in logged.splitlines() if '"request"' in line)
    for secret in secrets_of(api_keys):
        assert secret not in said
        assert secret not in logged
    assert PATTERN.search(said + logged) is None


def test_a_cookie_is_never_logged(http: TestClient, api_keys: Keys, written: io.StringIO) -> None:
    answer = http.post("/v1/session", json={"key": api_keys.by_name["admin"]})
    cookie = http.cookies["fewbits_session"]
    assert answer.text == ""
    http.get("/v1/jobs")
    assert api_keys.by_name["admin"].split("_")[2] not in written.getvalue() + answer.headers["set-cookie"]
    assert cookie not in written.getvalue()


def test_the_response_to_a_bug_has_its_trace_only(
    settings: Settings,
    api_keys: Keys,
    written: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from service.api import jobs

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"postgresql://user:{PASSWORD}@db/fewbits and {api_keys.by_name['admin']}")

    app = create_app(settings)
    monkeypatch.setattr(jobs.jobs, "get", broken)
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as http:
        answer = http.get(f"/v1/jobs/{'0' * 16}", headers=api_keys["read"])
    assert answer.status_code == 500
    problem = answer.json()
    assert problem["type"] == "urn:fewbits:problem:internal"
    assert not {"Traceback", "RuntimeError", "jobs.py", PASSWORD} & set(answer.text.split())
    assert answer.headers["content-security-policy"]
    (line,) = [line for line in written.getvalue().splitlines() if "request failed" in line]
    entry = json.loads(line)
    assert entry["trace_id"] == problem["trace_id"]
    assert "RuntimeError" in entry["exception"]
    for secret in (PASSWORD, *secrets_of(api_keys)):
        assert secret not in written.getvalue()
        assert secret not in answer.text


def test_failures_of_database_and_broker_do_not_show_passwords(
    settings: Settings, written: io.StringIO
) -> None:
    away = settings.model_copy(
        update={
            "database_url": f"postgresql://user:{PASSWORD}@127.0.0.1:1/fewbits",
            "broker_url": f"redis://:{PASSWORD}@127.0.0.1:1/0",
        }
    )
    with TestClient(create_app(away), base_url=URL, raise_server_exceptions=False) as http:
        said = "".join(http.get(path).text for path in ("/readyz", "/v1/jobs", "/metrics", "/healthz"))
    assert PASSWORD not in said
    assert PASSWORD not in written.getvalue()
    assert "does not respond" in said


def test_no_job_and_no_message_has_a_secret(
    http: TestClient, settings: Settings, api_keys: Keys, filled: Filled, job: dict[str, Any]
) -> None:
    submitted = http.post("/v1/jobs", json=job, headers=api_keys["submit"])
    assert submitted.status_code == 202
    database = Database(settings.database)
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM jobs").fetchall()
    database.dispose()
    messages = "".join(path.read_text() for path in Path(settings.home, "queue").rglob("*") if path.is_file())
    assert submitted.json()["id"] in messages
    for secret in secrets_of(api_keys):
        assert secret not in str(rows)
        assert secret not in messages


def test_settings_do_not_show_the_key_they_hold() -> None:
    url = f"redis://:{PASSWORD}@redis/0"
    assert PASSWORD not in repr(
        Settings(api_key=PASSWORD, database_url=url.replace("redis://", "postgresql://"), broker_url=url)
    )
