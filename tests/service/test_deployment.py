"""The deployment files: services, health checks, targets, users."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

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
