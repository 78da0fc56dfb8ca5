"""What a dry run says of a job's data, over REST and as text."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from starlette.testclient import TestClient

from service.cli.text.jobs import dry_run
from service.schemas.dry_run import DryRun
from tests.service.api.test_uploads import upload


def stored(http: TestClient, **arrays: Any) -> dict[str, Any]:
    memory = io.BytesIO()
    np.savez(memory, **arrays)
    return {"kind": "uploaded", "id": upload(http, memory.getvalue(), "datasets")["id"]}


def jets(**changes: Any) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 16))
    return {
        "x_train": x,
        "y_train": np.arange(60) % 5,
        "x_test": x[:10] + 1,
        "y_test": np.arange(10) % 5,
    } | changes


def test_the_dry_run_says_how_examples_are_preprocessed_and_what_is_ignored(http: TestClient) -> None:
    data = stored(http, **jets(sample_weight=np.ones(60), w_train=np.ones(60)))
    job = {"model": "jet_mlp", "data": data, "limits": {"by_class": {"Dense": 8}}}
    answer = http.post("/v1/jobs:validate", json=job).json()
    assert answer["data"]["preprocessing"] == "standard"
    assert answer["data"]["preprocessing_reason"] == "the examples are rows of a table"
    ignored = [text for text in answer["warnings"] if "w_train" in text]
    assert len(ignored) == 1
    assert "sample_weight weighs the loss of training examples: 1 to 1" in answer["data"]["notes"]
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(dry_run(DryRun.model_validate(answer)))
    assert "preprocessing: standard, the examples are rows of a table" in console.export_text()
    assert ignored[0] in http.post("/v1/jobs", json=job).json()["warnings"]


@pytest.mark.parametrize("labels", [True, False])
def test_inputs_can_be_the_targets_of_any_file(http: TestClient, labels: bool) -> None:
    x = np.random.default_rng(0).random((300, 8, 8, 1)).astype(np.float32)
    arrays = {"x_train": x[:200], "x_test": x[200:]}
    arrays |= {"y_train": np.zeros(200), "y_test": np.zeros(100)} if labels else {}
    job = {
        "model": "digits_autoencoder",
        "data": stored(http, **arrays) | {"targets": "inputs"},
        "objective": "mse",
        "limits": {"by_class": {"Dense": [8, 8, 8]}},
        "budget": {"trials": 1},
    }
    answer = http.post("/v1/jobs:validate", json=job)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["classes"] is None
    assert http.post("/v1/jobs", json=job).status_code == 202


def test_constraints_below_the_cheapest_assignment_are_said(http: TestClient) -> None:
    job = {"model": "jet_mlp", "data": stored(http, **jets()), "limits": {"by_class": {"Dense": 8}}}
    answer = http.post(
        "/v1/jobs:validate", json=job | {"constraints": {"max_bits": 100, "max_energy_pj": 10}}
    )
    said = [text for text in answer.json()["warnings"] if text.startswith("constraints.")]
    assert [text.split()[0] for text in said] == ["constraints.max_energy_pj", "constraints.max_bits"]
