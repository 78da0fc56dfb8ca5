"""The files for operators: alerts, dashboard, runbook, systemd units, Helm chart. Each is compared with the product."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from search.history import JobStatus, TrialStatus
from service.cli import app as command
from service.settings import Settings
from service.store import sweeps, workers

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "fewbits.json").read_text())
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


@pytest.fixture
def shown(http: TestClient, app: FastAPI) -> dict[str, dict[str, set[str]]]:
    """Every sample that /metrics shows, with its labels and their values."""
    http.get("/v1/jobs")
    with app.state.database.transaction() as session:
        workers.heartbeat(session, "host/1/0")
        sweeps.begin(session, worker="host/1/0", interval=Settings().sweep)
        sweeps.end(session)
    samples: dict[str, dict[str, set[str]]] = {"up": {"job": {"fewbits"}}}
    for family in text_string_to_metric_families(http.get("/metrics").text):
        for sample in family.samples:
            labels = samples.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return samples


def selectors(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The metrics of an expression, and what their labels must match."""
    for name, labels in re.findall(r"\b(up|fewbits_\w+)(?:\{([^}]*)\})?", expression):
        yield name, dict(re.findall(r'(\w+)=~?"([^"]*)"', labels))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_ask_for_what_is_shown(expression: str, shown: dict[str, dict[str, set[str]]]) -> None:
    asked = list(selectors(expression))
    assert asked, "an expression without a metric"
    for name, labels in asked:
        assert name in shown, f"/metrics does not show {name}"
        for label, pattern in labels.items():
            assert label in shown[name], f"{name} has no label {label}"
            if label == "status" and name != "fewbits_requests_total":
                statuses = {*TrialStatus, *JobStatus}
                assert set(pattern.split("|")) <= {str(status) for status in statuses}
    for names in re.findall(r"\bby \(([^)]*)\)", expression):
        labels_shown = {label for name, _ in asked for label in shown[name]}
        assert {name.strip() for name in names.split(",")} <= labels_shown | {"instance"}


def test_every_metric_that_is_shown_is_documented(shown: dict[str, dict[str, set[str]]]) -> None:
    documented = (ROOT / "docs" / "how-to" / "operations.md").read_text()
    families = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in shown} - {"up"}
    assert [name for name in sorted(families) if name not in documented] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_every_alert_has_its_section_of_the_runbook(rule: dict[str, Any]) -> None:
    runbook = (ROOT / "docs" / "how-to" / "runbook.md").read_text()
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert path == "docs/how-to/runbook.md"
    assert anchor == rule["alert"].lower()
    assert f"\n## {rule['alert']}\n" in runbook
    assert rule["labels"]["severity"] in ("critical", "warning")


def test_the_runbook_has_no_section_without_an_alert() -> None:
    runbook = (ROOT / "docs" / "how-to" / "runbook.md").read_text()
    assert re.findall(r"^## (\w+)$", runbook, re.MULTILINE) == [rule["alert"] for rule in RULES]


def test_commands_of_the_runbook_exist() -> None:
    runbook = (ROOT / "docs" / "how-to" / "runbook.md").read_text()
    for words in re.findall(r"`fewbits ((?:[a-z]+ ?)+)", runbook):
        assert exists(words.split()), words


def exists(words: list[str]) -> bool:
    """Whether a command exists; of several words the first ones name it."""
    group: Any = typer.main.get_command(command)
    entry = group.commands.get(words[0])
    if entry is None:
        return False
    inner = getattr(entry.load(), "commands", None)
    return inner is None or (len(words) > 1 and words[1] in inner) or len(words) == 1


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "arguments", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")]
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_of_the_dashboard_lie_beside_one_another() -> None:
    places = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & places
        assert at["x"] + at["w"] <= 24
        places |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


# --- systemd ---------------------------------------------------------------------------------------------------------


def accepts(words: list[str]) -> None:
    """Have the command line parse a command, and run nothing. Raises what it would exit with."""
    assert Path(words[0]).name == "fewbits"
    group: Any = typer.main.get_command(command)
    group.commands[words[1]].load().make_context(words[1], list(words[2:]))


def unit(path: Path) -> dict[str, list[str]]:
    """The lines of a unit, by their key."""
    entries: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line and line[0] not in "#[":
            key, separator, value = line.partition("=")
            assert separator, line
            entries.setdefault(key, []).append(value)
    return entries


@pytest.mark.parametrize("path", UNITS, ids=lambda path: str(path.name))
def test_a_unit_starts_a_command_with_settings_that_exist(path: Path) -> None:
    entries = unit(path)
    accepts(shlex.split(entries["ExecStart"][0]))
    assert entries["Restart"] == ["always"]
    for setting in " ".join(entries["Environment"]).split():
        name = setting.partition("=")[0]
        assert name.removeprefix("FEWBITS_").lower() in Settings.model_fields


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: str(path.name))
def test_systemd_agrees(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_text(path.read_text().replace("/opt/fewbits/bin/fewbits", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    about = [line for line in done.stderr.splitlines() if path.name in line]
    assert about == [], done.stderr


# --- Helm ------------------------------------------------------------------------------------------------------------

CHART = DEPLOY / "helm" / "fewbits"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
TEMPLATES = sorted((CHART / "templates").glob("*.yaml"))

_IF = re.compile(r"\{\{- if (not )?\.Values\.([\w.]+) \}\}")
_END = re.compile(r"\{\{- end \}\}")
_VALUE = re.compile(r"\{\{ \.(Values\.[\w.]+|Release\.Name)( \| quote)? \}\}")


def value_at(path: str, values: dict[str, Any]) -> Any:
    """A value that must exist."""
    found: Any = values
    for part in path.split("."):
        found = found[part]
    return found


def rendered(path: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The documents of a template that uses nothing but conditions, values and `quote`: all else is an error."""
    lines: list[str] = []
    shown: list[bool] = []
    for line in path.read_text().splitlines():
        if condition := _IF.fullmatch(line):
            shown.append(bool(value_at(condition[2], values)) is not bool(condition[1]))
        elif _END.fullmatch(line):
            shown.pop()
        elif all(shown):
            lines.append(_VALUE.sub(lambda found: text_of(found, values), line))
            assert "{{" not in lines[-1].replace("}}}", ""), f"{path.name}: not rendered: {line}"
    assert shown == [], f"{path.name}: a condition without an end"
    return [document for document in yaml.safe_load_all("\n".join(lines)) if document]


def text_of(found: re.Match[str], values: dict[str, Any]) -> str:
    """What stands in place of a value."""
    value = "release" if found[1] == "Release.Name" else value_at(found[1].removeprefix("Values."), values)
    assert not isinstance(value, dict | list)
    return json.dumps(str(value)) if found[2] else str(value)


def documents(**changes: bool) -> dict[tuple[str, str], dict[str, Any]]:
    """All documents of the chart, by kind and name; `changes`: parts that are enabled or not."""
    values = VALUES | {part: VALUES[part] | {"enabled": enabled} for part, enabled in changes.items()}
    made = [document for path in TEMPLATES for document in rendered(path, values)]
    by_name = {(document["kind"], document["metadata"]["name"]): document for document in made}
    assert len(by_name) == len(made), "two documents of one kind and name"
    return by_name


ALL = documents(autoscaling=True, ingress=True)
PLAIN = documents(autoscaling=False, ingress=False)
DEPLOYMENTS = {name: document for (kind, name), document in ALL.items() if kind == "Deployment"}


def test_the_chart_has_its_parts() -> None:
    assert {kind for kind, _ in PLAIN} == {"Deployment", "Service", "PersistentVolumeClaim"}
    assert {kind for kind, _ in ALL} - {kind for kind, _ in PLAIN} == {"HorizontalPodAutoscaler", "Ingress"}
    assert set(DEPLOYMENTS) == {"release-api", "release-worker"}
    assert "replicas" in PLAIN["Deployment", "release-worker"]["spec"]
    assert "replicas" not in DEPLOYMENTS["release-worker"]["spec"], "the autoscaler decides"


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_runs_a_command_with_settings_that_exist(name: str) -> None:
    pod = DEPLOYMENTS[name]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert all(isinstance(word, str) for word in container["args"])
    accepts(container["args"])
    for variable in container["env"]:
        assert variable["name"].removeprefix("FEWBITS_").lower() in Settings.model_fields
        assert isinstance(variable.get("value", ""), str)
    assert DEPLOYMENTS[name]["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert ("PersistentVolumeClaim", pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]) in ALL
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    if "exec" in container["readinessProbe"]:
        accepts(container["readinessProbe"]["exec"]["command"])


def test_probes_ports_and_targets_meet(http: TestClient) -> None:
    (container,) = DEPLOYMENTS["release-api"]["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    assert container["args"][container["args"].index("--port") + 1] == str(port["containerPort"])
    for probe in ("livenessProbe", "readinessProbe"):
        request = container[probe]["httpGet"]
        assert request["port"] == port["name"]
        headers = {header["name"]: header["value"] for header in request["httpHeaders"]}
        assert http.get(request["path"], headers=headers).status_code == 200
    service = ALL["Service", "release-api"]["spec"]
    assert service["ports"][0]["targetPort"] == port["name"]
    assert service["selector"] == DEPLOYMENTS["release-api"]["spec"]["selector"]["matchLabels"]
    (rule,) = ALL["Ingress", "release"]["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert ("Service", backend["name"]) in ALL
    assert backend["port"]["name"] == service["ports"][0]["name"]


def test_workers_are_scaled_by_a_metric_that_is_shown(shown: dict[str, dict[str, set[str]]]) -> None:
    spec = ALL["HorizontalPodAutoscaler", "release-worker"]["spec"]
    assert (spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]) in ALL
    assert spec["metrics"][0]["external"]["metric"]["name"] in shown
    assert 1 <= spec["minReplicas"] <= spec["maxReplicas"]


@pytest.mark.skipif(shutil.which("helm") is None, reason="helm is not installed")
@pytest.mark.parametrize("arguments", [("lint", "--strict"), ("template", "release")])
def test_helm_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["helm", *arguments, str(CHART)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if arguments[0] == "template":
        made = [document for document in yaml.safe_load_all(done.stdout) if document]
        assert {(document["kind"], document["metadata"]["name"]) for document in made} == set(PLAIN)
