"""`fewbits import` at the command line."""

from __future__ import annotations

from pathlib import Path

import yaml
from typer.testing import CliRunner

from search.spec.job import SearchSpec
from service.cli import app

RUN_CONFIG = """
run_config = {
    "goal": {"type": "energy", "params": {"delta_p": 8.0, "delta_n": 8.0, "rate": 2.0}},
    "mode": "random", "seed": 42, "max_trials": 20,
    "limit": {"Dense": [8, 8, 4], "Conv2D": [4, 8, 4], "Activation": [4], "BatchNormalization": []},
    "tune_filters": "layer", "tune_filters_exceptions": "^dense",
}
"""


def test_a_run_config_becomes_a_job_file(tmp_path: Path) -> None:
    source, target = tmp_path / "run_config.py", tmp_path / "job.yaml"
    source.write_text(RUN_CONFIG)
    done = CliRunner().invoke(app, ["import", str(source), "--model", "mnist_convblock", "-o", str(target)])
    assert done.exit_code == 0, done.output
    spec = SearchSpec.model_validate(yaml.safe_load(target.read_text()))
    assert (spec.budget.trials, spec.filters.by) == (20, "layer")
    assert "note: the best model" in done.stderr


def test_the_job_goes_to_standard_output_unless_a_file_is_named(tmp_path: Path) -> None:
    source = tmp_path / "run_config.py"
    source.write_text(RUN_CONFIG)
    done = CliRunner().invoke(app, ["import", str(source), "--model", "mnist_convblock"])
    assert yaml.safe_load(done.stdout)["model"] == "mnist_convblock"


def test_what_cannot_be_read_is_named_without_a_traceback(tmp_path: Path) -> None:
    source = tmp_path / "run_config.py"
    source.write_text("run_config = {'mode': 'guess'}")
    done = CliRunner().invoke(app, ["import", str(source), "--model", "mnist_convblock"])
    assert done.exit_code == 2
    assert "/mode: 'guess' is not one of random, bayesian, hyperband" in done.stderr.replace("\n", "")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["import", str(tmp_path / "none.py"), "--model", "mnist_convblock"])
    assert done.exit_code == 2
    assert "none.py" in done.stderr
