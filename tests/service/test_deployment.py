"""The deployment files: services, health checks, targets, users."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings
from tests.service.test_operations import accepts

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES: dict[str, Any] = COMPOSE["services"]


def stage(name: str) -> str:
    """The instructions of one stage of the Dockerfile."""
    match = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert match is not None, f"no stage {name}"
    return match[1]


def test_the_parts_are_there() -> None:
    assert set(SERVICES) == {"api", "worker", "postgres", "redis"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check_and_comes_back(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert {"test", "interval", "timeout", "retries", "start_period"} <= set(check)
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_waits_only_for_services_that_exist(name: str) -> None:
    assert set(SERVICES[name].get("depends_on", {})) <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_every_named_volume_and_network_is_declared(name: str) -> None:
    sources = [volume.split(":")[0] for volume in SERVICES[name]["volumes"] if volume[0].isalpha()]
    assert set(sources) <= set(COMPOSE["volumes"])
    assert set(SERVICES[name]["networks"]) <= set(COMPOSE["networks"])


def test_only_the_api_is_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"api"}
    assert all(port.startswith("127.0.0.1:") for port in published["api"])
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_a_worker_is_stopped_softly() -> None:
    assert SERVICES["worker"]["stop_signal"] == "SIGQUIT"
    assert "STOPSIGNAL SIGQUIT" in stage("worker")


def test_every_password_comes_from_the_environment() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert re.findall(r"password: (?!\$\{)\S+", text, re.IGNORECASE) == []
    in_addresses = re.findall(r"://[^:/\s]*:(.+?)@", text)
    assert len(in_addresses) == 2
    assert all(password.startswith("${") for password in in_addresses)


@pytest.mark.parametrize("name", ["api", "worker"])
def test_every_setting_that_is_given_exists(name: str) -> None:
    settings = {f"FEWBITS_{field.upper()}" for field in Settings.model_fields}
    assert set(SERVICES[name]["environment"]) <= settings


@pytest.mark.parametrize("name", ["api", "worker"])
def test_the_images_are_targets_of_the_dockerfile(name: str) -> None:
    assert SERVICES[name]["build"]["target"] == name
    assert "HEALTHCHECK" in stage(name)


def test_nothing_runs_as_root() -> None:
    assert "USER fewbits" in stage("base")
    assert all(re.search(rf"^FROM base AS {name}$", DOCKERFILE, re.MULTILINE) for name in ("api", "worker"))


def test_the_api_image_is_built_without_the_training_framework() -> None:
    assert "[worker]" not in stage("build-api")
    assert "build-worker" not in stage("api")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert not any(
        re.match(r"(keras|tensorflow|scikit-learn|h5py)", requirement)
        for requirement in project["dependencies"]
    )


def test_what_is_copied_into_the_images_is_not_ignored_and_exists() -> None:
    included = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {
        name for line in stage("build").splitlines() if line.startswith("COPY") for name in line.split()[1:-1]
    }
    assert copied == included
    assert copied > {path.parent.name for path in ROOT.glob("*/py.typed")}
    assert all((ROOT / name).exists() for name in copied)


# --- what a container would run, outside of one ---------------------------------------------------------------------

#: Every key that a service here may have: another one is a slip, which Compose would refuse or ignore.
KEYS = frozenset(
    {
        *(
            "build",
            "cap_drop",
            "command",
            "depends_on",
            "environment",
            "healthcheck",
            "image",
            "init",
            "networks",
        ),
        *(
            "ports",
            "read_only",
            "restart",
            "security_opt",
            "stop_grace_period",
            "stop_signal",
            "tmpfs",
            "volumes",
        ),
    }
)


def substituted(text: str) -> str:
    """A text with the defaults of its variables, and a password where one must be chosen."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    return re.sub(r"\$\{\w+:\?[^}]*\}", "secret", text)


@pytest.mark.parametrize("name", SERVICES)
def test_every_key_is_known_and_every_variable_has_a_value(name: str) -> None:
    assert set(SERVICES[name]) <= KEYS
    assert "${" not in substituted(yaml.safe_dump(SERVICES[name]))


def test_our_commands_are_accepted() -> None:
    worker = SERVICES["worker"]
    accepts([substituted(word) for word in worker["command"]])
    kind, *check = worker["healthcheck"]["test"]
    assert kind == "CMD"
    accepts(check)
    entry = re.search(r"^CMD (\[.*\])$", stage("api"), re.MULTILINE)
    assert entry is not None
    accepts(json.loads(entry[1]))


def test_settings_of_the_environment_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("api", "worker"):
        for variable, value in SERVICES[name]["environment"].items():
            monkeypatch.setenv(variable, substituted(value))
    settings = Settings()
    assert settings.database == "postgresql+psycopg://fewbits:secret@postgres:5432/fewbits"
    assert settings.broker_url == "redis://:secret@redis:6379/0"


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_of_the_api_tells_what_it_is_answered(status: int, code: int) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        kind, _, *words = SERVICES["api"]["healthcheck"]["test"]
        assert kind == "CMD"
        command = [word.replace(":8765", f":{server.server_port}") for word in words]
        done = subprocess.run([sys.executable, *command], capture_output=True, check=False)
    assert done.returncode == code


@pytest.mark.services
def test_the_broker_takes_its_options_and_passes_its_check(tmp_path: Path) -> None:
    server, client = shutil.which("redis-server"), shutil.which("redis-cli")
    if server is None or client is None:
        pytest.skip("Redis is not installed")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    options = [substituted(word) for word in SERVICES["redis"]["command"][1:]]
    process = subprocess.Popen(
        [server, *options, "--port", port, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL
    )
    kind, check = SERVICES["redis"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    check = check.replace("valkey-cli", f"{client} -p {port}")
    environment = {"PATH": os.environ["PATH"], "REDISCLI_AUTH": "secret"}
    try:
        for _ in range(100):
            if (
                subprocess.run(
                    ["sh", "-c", check], env=environment, check=False, capture_output=True
                ).returncode
                == 0
            ):
                break
        else:
            raise AssertionError("the check never passes")
        wrong = subprocess.run(
            ["sh", "-c", check], env={"PATH": os.environ["PATH"]}, check=False, capture_output=True
        )
        assert wrong.returncode != 0, "it passes without the password"
    finally:
        process.terminate()
        process.wait(10)
