"""`fewbits import` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from search.spec.job import SearchSpec
from service.cli import app
from service.client import SearchClient
from tests.service.conftest import Run

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


MODEL = {
    "class_name": "Sequential",
    "config": {
        "name": "mine",
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "name": "x"}},
            {"class_name": "Dense", "config": {"units": 6, "name": "hidden", "activation": "relu"}},
            {"class_name": "Dense", "config": {"units": 3, "name": "out"}},
        ],
    },
}
SOURCE = (
    RUN_CONFIG
    + """
run_config["output_dir"] = tempfile.mkdtemp()
run_config["distribution_strategy"] = cur_strategy
run_config["tune_filters_exceptions"] = "^out"
run_config["layer_indexes"] = range(0, len(model.layers) - 1)
"""
)


def test_files_of_model_and_data_are_uploaded(run: Run, client: SearchClient, tmp_path: Path) -> None:
    model, data, source, target = (tmp_path / name for name in ("m.json", "d.npz", "run.py", "job.yaml"))
    model.write_text(json.dumps(MODEL))
    np.savez(data, x=np.zeros((30, 4), np.float32), y=np.arange(30) % 3)
    source.write_text(SOURCE)
    done = run("import", str(source), "-m", str(model), "-d", str(data), "-o", str(target))
    assert done.exit_code == 0, done.output
    job = yaml.safe_load(target.read_text())
    assert job["model"] == {"kind": "uploaded", "id": client.models()[-1].id}
    assert job["data"] == {"kind": "uploaded", "id": client.datasets()[-1].id}
    assert job["layers"]["indexes"] == [1]  # the hidden layer; 0 is the input, which Keras does not list
    assert client.validate(job).untouched == ("out",)


def test_ids_of_uploads_are_taken_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "run_config.py"
    source.write_text(RUN_CONFIG)
    ids = "5f0c3a9be2d14477", "81aa02c4f7e6b3d9"
    done = CliRunner().invoke(app, ["import", str(source), "-m", ids[0], "-d", ids[1]])
    job = yaml.safe_load(done.stdout)
    assert [job["model"], job["data"]] == [{"kind": "uploaded", "id": name} for name in ids]


@pytest.mark.parametrize(
    ("option", "words"), [("--model", "no such file, no id"), ("--data", "none of digits, mnist, diabetes")]
)
def test_a_model_or_data_that_does_not_exist_is_named(tmp_path: Path, option: str, words: str) -> None:
    source = tmp_path / "run_config.py"
    source.write_text(RUN_CONFIG)
    arguments = {"--model": "digits_cnn", "--data": "digits"} | {option: "nowhere.bin"}
    done = CliRunner().invoke(
        app, ["import", str(source), *(part for pair in arguments.items() for part in pair)]
    )
    assert done.exit_code == 2
    assert f"{option} nowhere.bin: no such file" in done.stderr
    assert words in done.stderr.replace("\n", " ")


def test_data_that_are_not_named_are_told(tmp_path: Path) -> None:
    source = tmp_path / "run_config.py"
    source.write_text(RUN_CONFIG)
    done = CliRunner().invoke(app, ["import", str(source), "--model", "mnist_convblock"])
    assert "note: data: none named, so the job uses digits" in done.stderr
