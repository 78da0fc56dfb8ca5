"""Every method of the clients that takes a path takes a string, too."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.networks.zoo import zoo_config
from service.client import AsyncSearchClient, SearchClient
from tests.service.client.test_client import client, filled  # noqa: F401 -- fixtures
from tests.service.filled import Filled

WITH_PATHS = {"download": "folder", "export": "path", "upload_model": "path", "upload_dataset": "path"}
WITH_PATHS |= dict.fromkeys(
    ("download_model", "download_dataset", "download_export", "export_model"), "folder"
)


@pytest.mark.parametrize("kind", [SearchClient, AsyncSearchClient])
def test_paths_of_all_methods_may_be_strings(kind: type) -> None:
    paths = {
        (name, parameter.name): parameter.annotation
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
        for parameter in inspect.signature(method).parameters.values()
        if "Path" in str(parameter.annotation)
    }
    assert paths == dict.fromkeys(WITH_PATHS.items(), "StrPath")


@pytest.mark.parametrize("path_type", [str, Path])
def test_files_are_written_to_and_read_from_strings(
    client: Any,  # noqa: F811
    filled: Filled,  # noqa: F811
    tmp_path: Path,
    path_type: type[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert client.download(filled.job_id, 1, "model.keras", path_type("out")) == Path("out", "model.keras")
    assert client.export(filled.job_id, path_type("o.csv")) == Path("o.csv")
    assert Path("o.csv").read_text().startswith("number")
    np.savez("d.npz", x_train=np.zeros((4, 2)), x_test=np.zeros((2, 2)))
    assert client.upload_dataset(path_type("d.npz")).name == "d.npz"
    Path("m.json").write_text(json.dumps(zoo_config("jet_mlp")))
    assert client.upload_model(path_type("m.json")).name == "m.json"
