"""The command line, over the real application in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from search.history import JobStatus
from service.cli import app as command
from service.cli.output import error_console, output_console
from service.cli.text import numbers
from service.client import SearchClient
from tests.security.models import keras_file
from tests.service.conftest import Run
from tests.service.filled import JOB, Filled, Filler


@pytest.fixture
def filled(filler: Filler) -> Filled:
    """A job with three measured trials and a failed one."""
    found = filler.job()
    ids = filler.queue(found, 4)
    for trial_id in ids[:3]:
        filler.measure(found, trial_id)
    filler.fail(ids[3], "[bold]out of memory[/bold]")
    return found


@pytest.fixture(params=["yaml", "json"])
def job_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A job file in each format."""
    path = tmp_path / f"job.{request.param}"
    path.write_text(yaml.safe_dump(JOB) if request.param == "yaml" else json.dumps(JOB))
    return path


def test_a_job_file_is_submitted(run: Run, job_file: Path, client: SearchClient) -> None:
    result = run("submit", str(job_file))
    assert result.exit_code == 0
    (job,) = client.jobs()
    assert f"fewbits watch {job.id}" in result.stdout
    assert f"/#/jobs/{job.id}" in result.stdout


def test_a_job_is_read_from_standard_input(run: Run, client: SearchClient) -> None:
    result = run("submit", "-", "--json", input=json.dumps(JOB))
    (job,) = client.jobs()
    assert json.loads(result.stdout)["id"] == job.id


def test_a_job_is_validated_without_being_stored(run: Run, job_file: Path, client: SearchClient) -> None:
    result = run("validate", str(job_file))
    assert result.exit_code == 0
    assert "conv2d_0" in result.stdout
    assert "6,615,000 assignments" in result.stdout
    assert list(client.jobs()) == []


def test_a_refused_job_shows_each_fault_and_no_traceback(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(JOB | {"budget": {"trials": 0}, "colour": 1}))
    result = run("submit", str(path))
    assert result.exit_code == 1
    assert "/budget/trials: should be greater than or equal to 1" in result.stderr
    assert "/colour: is not a field" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "content", ["a: [", "- a list", "text", "", "a: !!python/object:os.system {}", "a: .nan", "a: 2020-01-01"]
)
def test_a_file_that_is_no_job_is_a_usage_error(run: Run, tmp_path: Path, content: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(content)
    result = run("submit", str(path))
    assert result.exit_code == 2
    assert "job.yaml" in result.stderr.replace("\n", "")


def test_a_file_that_is_not_there_is_a_usage_error(run: Run) -> None:
    assert run("submit", "nothing.yaml").exit_code == 2


def test_watching_prints_a_line_for_each_change_where_nobody_looks(
    run: Run, filler: Filler, filled: Filled
) -> None:
    filler.end(filled)
    result = run("watch", filled.job_id)
    assert result.exit_code == 0
    assert "4/20 trials" in result.stdout
    assert "best accuracy" in result.stdout
    assert "Best by score" in result.stdout


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
def test_watching_a_job_that_does_not_end_done_exits_with_1(
    run: Run, filler: Filler, filled: Filled, status: JobStatus
) -> None:
    filler.end(filled, status, "because [red]so[/red]")
    result = run("watch", filled.job_id)
    assert result.exit_code == 1
    assert "because [red]so[/red]" in result.stderr


def test_watching_with_json_keeps_standard_output_json(run: Run, filler: Filler, filled: Filled) -> None:
    filler.end(filled)
    assert json.loads(run("watch", filled.job_id, "--json").stdout)["status"] == "done"


def test_lists_are_tables(run: Run, filled: Filled) -> None:
    assert filled.job_id in run("jobs").stdout
    assert "[bold]out" in run("trials", filled.job_id).stdout
    assert "digits_cnn" in run("models").stdout
    assert "Best by score" in run("best", filled.job_id, "-k", "2").stdout
    assert "Pareto front" in run("pareto", filled.job_id).stdout


@pytest.mark.parametrize("name", ["jobs", "trials", "best", "pareto", "models"])
def test_reading_commands_print_json(run: Run, filled: Filled, name: str) -> None:
    arguments = [] if name in ("jobs", "models") else [filled.job_id]
    result = run(name, *arguments, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)


def test_the_files_of_a_trial_are_fetched(run: Run, filled: Filled, tmp_path: Path) -> None:
    result = run("fetch", filled.job_id, "1", "-o", str(tmp_path / "out"))
    assert result.exit_code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.keras", "report.json"}


def test_files_with_other_content_are_overwritten_only_by_force(
    run: Run, filled: Filled, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    command = ("fetch", filled.job_id, "1", "-o", str(folder))
    assert run(*command).exit_code == 0
    assert run(*command).exit_code == 0, "files with the same content stay"
    (folder / "report.json").write_text("mine")
    refused = run(*command)
    assert refused.exit_code == 2
    assert "report.json" in refused.stderr
    assert (folder / "report.json").read_text() == "mine"
    assert run(*command, "--force").exit_code == 0
    assert (folder / "report.json").read_text() != "mine"


def test_no_text_of_others_controls_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name")
    table.add_row("a\x1b]0;owned\x07\x9b31m\u202eb")
    output_console().print(table)
    error_console().print(Text("c\x1b[2Jd"))
    printed = "".join(capsys.readouterr())
    assert not set("\x1b\x07\x9b\u202e") & set(printed)
    assert r"a\x1b]0;owned" in printed


def test_a_trial_without_files_cannot_be_fetched(run: Run, filled: Filled, tmp_path: Path) -> None:
    result = run("fetch", filled.job_id, "3", "-o", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "has no files" in result.stderr


def test_a_job_is_cancelled(run: Run, filled: Filled, client: SearchClient) -> None:
    assert run("cancel", filled.job_id).exit_code == 0
    assert client.job(filled.job_id).status == JobStatus.CANCELLED


def test_an_unknown_job_exits_with_1(run: Run) -> None:
    result = run("best", "0123456789abcdef")
    assert result.exit_code == 1
    assert "0123456789abcdef" in result.stderr


def test_a_service_that_does_not_answer_exits_with_1() -> None:
    result = CliRunner().invoke(command, ["jobs", "--url", "http://127.0.0.1:1"])
    assert result.exit_code == 1
    assert "no answer from http://127.0.0.1:1" in result.stderr
    assert "`fewbits serve` starts one" in result.stderr.replace("\n", " ")


def test_the_address_is_read_from_the_environment() -> None:
    result = CliRunner().invoke(command, ["jobs"], env={"FEWBITS_URL": "http://127.0.0.1:1"})
    assert "http://127.0.0.1:1" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["best"], ["best", "x", "-k", "0"], ["serve", "--port", "x"]]
)
def test_a_wrong_command_exits_with_2(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_help_and_errors_of_usage_load_nothing_heavy() -> None:
    probe = (
        "import importlib, pkgutil, sys, service.cli.main, service.cli.commands as commands\n"
        "for module in pkgutil.iter_modules(commands.__path__, commands.__name__ + '.'):\n"
        "    importlib.import_module(module.name)\n"
        "print([m for m in ('httpx', 'pydantic', 'fastapi', 'sqlalchemy', 'uvicorn', 'numpy') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


# --- numbers ---


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.5, "0.5 pJ"),
        (574164, "574 nJ"),
        (3295146, "3.3 µJ"),
        (999.6, "1 nJ"),
        (2.5e12, "2.5 J"),
    ],
)
def test_energies_have_the_unit_that_keeps_them_short(value: float | None, text: str) -> None:
    assert numbers.energy(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-:--"), (0.2, "0:00"), (61, "1:01"), (3600, "1:00:00"), (59.6, "1:00")]
)
def test_durations_are_clocks(value: float | None, text: str) -> None:
    assert numbers.duration(value) == text


@pytest.mark.parametrize(("digits", "text"), [("735000", "735,000"), ("1" + "0" * 30, "1.00e30")])
def test_numbers_of_assignments_stay_short(digits: str, text: str) -> None:
    assert numbers.space_size(digits) == text


def test_a_job_on_an_uploaded_model_has_the_price_of_its_file(
    run: Run, client: SearchClient, tmp_path: Path
) -> None:
    path, job = tmp_path / "mine.keras", tmp_path / "job.yaml"
    path.write_bytes(keras_file())
    upload = client.upload_model(path)
    job.write_text(yaml.safe_dump(JOB | {"model": {"kind": "uploaded", "id": upload.id}}))
    answer, alone = (
        json.loads(run("cost", str(file), "--source", "int8", "--json").stdout) for file in (job, path)
    )
    assert [layer["name"] for layer in answer["layers"]] == [layer["name"] for layer in alone["layers"]]
    assert answer["costs"]["macs"] == alone["costs"]["macs"]
    job.write_text(yaml.safe_dump(JOB | {"model": {"kind": "uploaded", "id": "0" * 16}}))
    refused = run("cost", str(job))
    assert refused.exit_code == 1
    assert "0000" in refused.output


def test_uploads_are_downloaded_by_their_names(run: Run, client: SearchClient, tmp_path: Path) -> None:
    path = tmp_path / "mine.keras"
    path.write_bytes(keras_file())
    upload = client.upload_model(path)
    result = run("models", "--download", upload.id, "-o", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "mine.keras").read_bytes() == path.read_bytes()
