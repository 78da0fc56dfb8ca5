"""Data files that cannot be used: refused before anything is queued."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from service.settings import Settings
from tests.service.api.test_problems import post, refused


def arrays(**changes: Any) -> dict[str, Any]:
    drawn = np.random.default_rng(0)
    return {
        "x_train": drawn.random((40, 8, 8), dtype="float32"),
        "y_train": drawn.integers(0, 10, 40),
        "x_test": drawn.random((10, 8, 8), dtype="float32"),
        "y_test": drawn.integers(0, 10, 10),
    } | changes


@pytest.fixture
def data_folder(settings: Settings) -> Iterator[Path]:
    """Where the service looks for data files."""
    settings.data_folder.mkdir(parents=True)
    return settings.data_folder


BAD_DATA = {
    "more labels than outputs": arrays(y_train=np.arange(40)),
    "negative labels": arrays(y_train=-np.ones(40, dtype="int64")),
    "objects": arrays(x_train=np.array([None] * 40, dtype=object)),
    "lengths that differ": arrays(y_train=np.zeros(39, dtype="int64")),
    "a shape that does not fit": arrays(
        x_train=np.zeros((40, 9, 9), "float32"), x_test=np.zeros((10, 9, 9), "float32")
    ),
    "keys that are missing": {"x_train": np.zeros((4, 8, 8))},
}


@pytest.mark.parametrize("kind", BAD_DATA)
def test_a_data_file_that_cannot_be_used_is_refused(
    http: TestClient, job: dict[str, Any], data_folder: Path, kind: str
) -> None:
    np.savez(data_folder / "bad.npz", **BAD_DATA[kind], allow_pickle=True)
    problem = refused(post(http, job | {"data": {"kind": "npz", "file": "bad.npz"}}))
    assert {fault["pointer"] for fault in problem["errors"]} <= {"/data", "/data/file"}


@pytest.mark.parametrize("kind", ["truncated", "not a zip", "a zip of something else"])
def test_a_data_file_that_is_not_an_npz_is_refused(
    http: TestClient, job: dict[str, Any], data_folder: Path, kind: str
) -> None:
    path = data_folder / "bad.npz"
    np.savez(path, **arrays())
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "not a zip":
        path.write_bytes(b"hello" * 1000)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x_train.npy", b"no array")
    problem = refused(post(http, job | {"data": {"kind": "npz", "file": "bad.npz"}}))
    assert problem["errors"][0]["pointer"] == "/data/file"


def test_a_good_data_file_is_accepted(http: TestClient, job: dict[str, Any], data_folder: Path) -> None:
    np.savez(data_folder / "good.npz", **arrays())
    answer = post(http, job | {"data": {"kind": "npz", "file": "good.npz"}}, "/v1/jobs:validate")
    assert answer.json()["data"]["test_samples"] == 10
