"""Tables and images from the command line to a job's dry run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from search.uploads import Conversion
from service.client import Invalid, NotUploadable, SearchClient
from service.client.packing import packed


def table(folder: Path) -> Path:
    draw = np.random.default_rng(0)
    lines = [",".join(f"{value:.3f}" for value in row) for row in draw.normal(size=(60, 16))]
    names = ",".join(f"f{index}" for index in range(16))
    path = folder / "jets.csv"
    path.write_text(f"{names},kind\n" + "".join(f"{line},k{i % 5}\n" for i, line in enumerate(lines)))
    return path


def test_a_table_is_uploaded_converted_and_read_by_a_job(
    client: SearchClient, http: TestClient, tmp_path: Path
) -> None:
    path = table(tmp_path)
    with pytest.raises(Invalid, match="does not say which column"):
        client.upload_dataset(path)
    uploaded = client.upload_dataset(path, conversion=Conversion(target="kind"))
    assert (uploaded.format, uploaded.classes, len(uploaded.columns)) == (
        "csv",
        ("k0", "k1", "k2", "k3", "k4"),
        16,
    )
    assert [(array.name, array.shape) for array in uploaded.arrays] == [("x", (60, 16)), ("y", (60,))]
    job: dict[str, Any] = {
        "model": "jet_mlp",
        "data": {"kind": "uploaded", "id": uploaded.id},
        "limits": {"by_class": {"Dense": 8}},
    }
    data = http.post("/v1/jobs:validate", json=job).json()["data"]
    assert (data["train_samples"], data["validation_samples"], data["test_samples"]) == (38, 10, 12)
    assert data["notes"][0] == "training part: x, y"


def test_options_without_effect_are_refused(client: SearchClient, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), y=np.zeros(3, int))
    with pytest.raises(Invalid, match=r"is a \.npz file, which is stored as it is"):
        client.upload_dataset(tmp_path / "a.npz", conversion=Conversion(target="y"))
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(NotUploadable, match="nor CSV, Parquet, or a zip archive"):
        client.upload_dataset(tmp_path / "a.h5")


def test_a_model_has_no_conversion(http: TestClient) -> None:
    body = {"name": "m", "size_bytes": 5, "conversion": {"target": "y"}}
    answer = http.post("/v1/models", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/conversion"


def test_arrays_in_files_of_their_own_are_packed_into_one(client: SearchClient, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.npy" for name in ("x_train", "y_train")]
    for file, array in zip(files, (np.ones((4, 2)), np.zeros(4, int)), strict=True):
        np.save(file, array)
    with packed(files) as path:
        uploaded = client.upload_dataset(path)
    assert not path.exists()
    assert [array.name for array in uploaded.arrays] == ["x_train", "y_train"]
