"""`fewbits keys`: on the database directly; a secret is printed once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from service.app import create_app
from service.auth.tokens import PATTERN
from service.cli import app as command
from service.settings import Settings
from tests.service.conftest import URL


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWBITS_HOME", str(tmp_path))


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(command, ["keys", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def made(*arguments: str) -> dict[str, Any]:
    return dict(json.loads(run("create", "a key", "--json", *arguments)))


def test_a_new_key_opens_the_service_to_its_tenant() -> None:
    key = made("--tenant", "acme", "--scope", "read")
    with TestClient(create_app(Settings()), base_url=URL) as http:
        told = http.get("/v1/session", headers={"authorization": f"Bearer {key['key']}"}).json()
        assert http.get("/v1/jobs").status_code == 401
    assert (told["tenant"], told["scope"], told["key_id"]) == ("acme", "read", key["id"])


def test_the_token_is_the_only_thing_on_standard_output() -> None:
    done = CliRunner().invoke(command, ["keys", "create", "a key"])
    assert PATTERN.fullmatch(done.stdout.strip())
    assert "not shown again" in done.stderr


def test_lists_show_no_secret() -> None:
    key = made("--days", "30")
    secret = key["key"].split("_")[2]
    (row,) = json.loads(run("list", "--json"))
    assert (row["id"], row["state"], row["scope"]) == (key["id"], "good", "submit")
    assert row["expires_at"] is not None
    for output in (run("list"), run("list", "--json"), run("list", "--tenant", "other")):
        assert secret not in output
    assert key["id"] in run("list")


def test_a_rotated_key_is_being_replaced() -> None:
    old = made()
    new = json.loads(run("rotate", old["id"], "--grace-hours", "1", "--json"))
    states = {row["id"]: row["state"] for row in json.loads(run("list", "--json"))}
    assert states == {old["id"]: "being replaced", new["id"]: "good"}
    run("rotate", new["id"], "--grace-hours", "0")
    states = {row["id"]: row["state"] for row in json.loads(run("list", "--json"))}
    assert states[new["id"]] == "expired"


def test_a_revoked_key_says_so() -> None:
    key = made()
    assert key["id"] in run("revoke", key["id"])
    assert json.loads(run("list", "--json"))[0]["state"] == "revoked"
    assert "create a new one" in run("rotate", key["id"], code=2)


def test_a_tenant_is_limited() -> None:
    key = made("--tenant", "acme")
    run("limit", "acme", "--running-jobs", "3", "--compute-seconds", "60")
    with TestClient(create_app(Settings()), base_url=URL) as http:
        told = http.get("/v1/session", headers={"authorization": f"Bearer {key['key']}"}).json()
    limits = {name: quota["limit"] for name, quota in told["quotas"].items()}
    assert limits == {"running_jobs": 3, "trials": None, "stored_bytes": None, "compute_s": 60}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("revoke", "0123456789ab"), "fewbits keys list"),
        (("create", "a key", "--tenant", "no spaces"), "letters"),
        (("create", ""), "printable"),
        (("create", "a key", "--scope", "root"), "read"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], word: str) -> None:
    assert word in run(*arguments, code=2)
