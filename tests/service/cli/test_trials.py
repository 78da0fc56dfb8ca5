"""Commands that steer jobs and read trials: verbs, points, export, diff, report."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from search.history import JobStatus
from service.cli.comparison import compare
from service.client import NotFound, SearchClient
from tests.service.conftest import Run
from tests.service.filled import JOB, Filled, Filler


@pytest.fixture
def filled(filler: Filler) -> Filled:
    """A job with four measured trials and a failed one."""
    found = filler.job(JOB | {"name": "<b>a search</b>"})
    ids = filler.queue(found, 5)
    for trial_id in ids[:4]:
        filler.measure(found, trial_id)
    filler.fail(ids[4], "<script>alert(1)</script>")
    return found


# --- verbs ---


def test_a_job_is_paused_resumed_stopped(run: Run, filled: Filled, client: SearchClient) -> None:
    for verb, status in (("pause", JobStatus.PAUSED), ("resume", JobStatus.RUNNING)):
        assert str(status) in run(verb, filled.job_id).stdout
        assert client.job(filled.job_id).status == status
    assert json.loads(run("stop", filled.job_id, "--json").stdout)["status"] in ("stopping", "finalizing")


def test_a_verb_that_is_illegal_names_those_that_are_not(run: Run, filler: Filler, filled: Filled) -> None:
    filler.end(filled)
    result = run("pause", filled.job_id)
    assert result.exit_code == 1
    assert "extend" in result.stderr


def test_a_job_that_ended_is_extended_and_retried(
    run: Run, filler: Filler, filled: Filled, client: SearchClient
) -> None:
    filler.end(filled)
    before = client.job(filled.job_id).spec["budget"]["trials"]
    assert run("extend", filled.job_id, "--trials", "7").exit_code == 0
    job = client.job(filled.job_id)
    assert (job.status, job.spec["budget"]["trials"]) == (JobStatus.RUNNING, before + 7)
    assert run("retry", filled.job_id).exit_code == 0
    assert client.trial(filled.job_id, 4).status == "queued"


def test_a_job_under_way_is_changed(run: Run, filled: Filled, client: SearchClient) -> None:
    assert run("change", filled.job_id, "--trials", "30", "--priority", "5").exit_code == 0
    job = client.job(filled.job_id)
    assert (job.spec["budget"]["trials"], job.priority) == (30, 5)


@pytest.mark.parametrize("verb", ["extend", "change"])
def test_a_change_of_nothing_is_a_usage_error(run: Run, filled: Filled, verb: str) -> None:
    result = run(verb, filled.job_id)
    assert result.exit_code == 2
    assert "--trials" in result.stderr


def test_a_job_is_cloned_with_changes(run: Run, filled: Filled, client: SearchClient, tmp_path: Path) -> None:
    changes = tmp_path / "changes.yaml"
    changes.write_text("name: again\nbudget: {trials: 3}\n")
    view = json.loads(run("clone", filled.job_id, "-c", str(changes), "--json").stdout)
    assert view["id"] != filled.job_id
    assert (view["name"], view["spec"]["budget"]["trials"]) == ("again", 3)
    assert "fewbits watch" in run("clone", filled.job_id).stdout
    assert len(list(client.jobs())) == 3


def test_a_job_is_removed_once_that_is_confirmed(
    run: Run, filler: Filler, filled: Filled, client: SearchClient
) -> None:
    filler.end(filled)
    assert run("delete", filled.job_id, input="n\n").exit_code == 1
    assert client.job(filled.job_id).id == filled.job_id
    assert run("delete", filled.job_id, "--yes").exit_code == 0
    with pytest.raises(NotFound):
        client.job(filled.job_id)


# --- trials ---


def test_trials_are_sorted_and_filtered(run: Run, filled: Filled) -> None:
    result = run("trials", filled.job_id, "--sort", "-score", "--filter", "status:done", "--json")
    scores = [trial["score"] for trial in json.loads(result.stdout)]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    wrong = run("trials", filled.job_id, "--sort", "colour")
    assert wrong.exit_code == 1
    assert "energy_pj" in wrong.stderr


def test_points_are_lines_for_other_programs(run: Run, filled: Filled, client: SearchClient) -> None:
    lines = [line.split("\t") for line in run("points", filled.job_id).stdout.splitlines()]
    assert lines[0] == ["number", "status", "metric", "cost", "score", "front", "state"]
    assert [line[1] for line in lines[1:]] == ["done"] * 4 + ["failed"]
    assert float(lines[1][2]) == client.trial(filled.job_id, 0).metric
    assert lines[5][1:] == ["failed", "", "", "", "false", "failed"]
    front = json.loads(run("points", filled.job_id, "--front", "--json").stdout)
    assert {row["number"] for row in front} == {p.number for p in client.pareto(filled.job_id).items}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_trials_are_exported(run: Run, filled: Filled, tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"trials.{suffix}"
    result = run("export", filled.job_id, "-o", str(path), "--json")
    assert json.loads(result.stdout) == {"file": str(path), "size_bytes": path.stat().st_size}
    if suffix == "csv":
        with path.open(newline="") as file:
            assert len(list(csv.DictReader(file))) == 5


def test_an_export_that_cannot_be_written_is_a_usage_error(run: Run, filled: Filled, tmp_path: Path) -> None:
    wrong = run("export", filled.job_id, "-o", str(tmp_path / "trials.xlsx"))
    assert wrong.exit_code == 2
    assert ".parquet" in wrong.stderr
    (tmp_path / "file").write_text("")
    assert run("export", filled.job_id, "-o", str(tmp_path / "file" / "trials.csv")).exit_code == 2


def test_two_trials_are_compared_layer_by_layer(run: Run, filled: Filled, client: SearchClient) -> None:
    found = json.loads(run("diff", filled.job_id, "0", "1", "--json").stdout)
    first, second = client.trial(filled.job_id, 0), client.trial(filled.job_id, 1)
    figures = {figure["name"]: figure for figure in found["figures"]}
    assert figures["energy_pj"]["change"] == second.energy_pj - first.energy_pj  # type: ignore[operator]
    assert [layer["name"] for layer in found["layers"]] == [layer.name for layer in first.layers]
    text = run("diff", filled.job_id, "0", "1").stdout
    assert "trial 0" in text
    assert "conv2d_0" in text
    every = run("diff", filled.job_id, "0", "1", "--all").stdout
    assert len(every.splitlines()) >= len(text.splitlines())


def test_a_trial_does_not_differ_from_itself(run: Run, filled: Filled, client: SearchClient) -> None:
    trial = client.trial(filled.job_id, 2)
    assert not any(layer.differs for layer in compare(trial, trial).layers)
    assert f"{len(trial.layers)} layers do not differ" in run("diff", filled.job_id, "2", "2").stdout


def test_a_trial_is_compared_with_one_that_was_not_measured(run: Run, filled: Filled) -> None:
    result = run("diff", filled.job_id, "0", "4")
    assert result.exit_code == 0
    assert "-" in result.stdout


# --- report ---


class Seen(HTMLParser):
    """Which elements and addresses a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        assert not any(name.startswith("on") for name, _ in attrs)


@pytest.mark.parametrize("options", [[], ["--plain"]])
def test_a_report_is_one_page_that_loads_nothing_and_runs_what_it_names(
    run: Run, filled: Filled, tmp_path: Path, options: list[str]
) -> None:
    path = tmp_path / "report.html"
    assert run("report", filled.job_id, "-o", str(path), *options).exit_code == 0
    text = path.read_text()
    seen = Seen()
    seen.feed(text)
    assert seen.tags.count("svg") == 3
    assert {"link", "img", "b", "iframe"} & set(seen.tags) == set()
    assert seen.tags.count("script") == (
        0 if options else 2
    )  # numbers, and the modules that the policy names
    for script in re.findall(r'<script type="module">(.*?)</script>', text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in text
    assert seen.addresses == []
    assert "url(" not in re.sub(r'<script type="module">.*?</script>', "", text, flags=re.DOTALL)
    assert "&lt;b&gt;a search&lt;/b&gt;" in text


def test_the_report_plots_every_measured_trial(
    run: Run, filled: Filled, client: SearchClient, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    run("report", filled.job_id, "-o", str(path))
    text = path.read_text()
    kept = len(client.pareto(filled.job_id).items)
    assert len(re.findall(r"<circle", text)) == 4
    assert len(re.findall(r'<circle class="(?:kept|best)"', text)) in (kept, kept + 1)
    best = client.best(filled.job_id, 1)[0]
    assert f"{best.score:.4f} (trial {best.number})" in text
    for layer in client.trial(filled.job_id, best.number).layers:
        assert layer.name in text


def test_a_job_without_trials_has_a_report(run: Run, filler: Filler, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert run("report", filler.job().job_id, "-o", str(path)).exit_code == 0
    assert "nothing is measured yet" in path.read_text()


def test_a_report_that_cannot_be_written_is_a_usage_error(run: Run, filled: Filled, tmp_path: Path) -> None:
    result = run("report", filled.job_id, "-o", str(tmp_path))
    assert result.exit_code == 2
    assert "cannot write" in result.stderr


def test_json_is_there_for_every_command_that_answers(run: Run, filled: Filled, tmp_path: Path) -> None:
    asked: list[Any] = [
        ("jobs",),
        ("trials", filled.job_id),
        ("best", filled.job_id),
        ("pareto", filled.job_id),
        ("points", filled.job_id),
        ("diff", filled.job_id, "0", "1"),
        ("models",),
        ("version",),
        ("fetch", filled.job_id, "0", "-o", str(tmp_path / "out")),
        ("report", filled.job_id, "-o", str(tmp_path / "r.html")),
        ("pause", filled.job_id),
    ]
    for arguments in asked:
        assert json.loads(run(*arguments, "--json").stdout), arguments


# --- finalize ---


def test_a_final_training_learns_from_the_float_model_where_the_command_says_so(
    run: Run, filled: Filled, client: SearchClient
) -> None:
    lonely = run("finalize", filled.job_id, "0", "--epochs", "3", "--share", "0.7")
    assert lonely.exit_code == 2
    assert "--distill" in lonely.output
    asked = run("finalize", filled.job_id, "0", "--epochs", "3", "--distill", "--share", "0.7")
    assert "teacher" in asked.stdout
    distill = client.final(filled.job_id, 0).distill
    assert distill is not None
    assert (distill.temperature, distill.share) == (4.0, 0.7)
