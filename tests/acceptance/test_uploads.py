"""One's own model and data over real HTTP with a real worker: uploaded, searched from its weights, best downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import quantization.layers  # noqa: F401 -- registers the quantized layers
from service.client import Conflict, Invalid, SearchClient
from tests.acceptance.server import Server
from tests.security.models import architecture, keras_file, layer

pytestmark = pytest.mark.timeout(600)


def trained(folder: Path) -> tuple[Path, Path]:
    """A model with trained weights, and its data: five separable classes of 12 numbers."""
    random = np.random.default_rng(5)
    centres = random.normal(size=(5, 12))
    parts = {}
    for part, count in (("train", 400), ("test", 100)):
        labels = np.arange(count) % 5
        parts[f"x_{part}"] = (centres[labels] + 0.25 * random.normal(size=(count, 12))).astype("float32")
        parts[f"y_{part}"] = labels.astype("int64")
    np.savez_compressed(folder / "mine.npz", **parts)
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(16, name="hidden"),
            keras.layers.Activation("relu", name="relu"),
            keras.layers.Dense(5, activation="softmax", name="scores"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(parts["x_train"], parts["y_train"], epochs=8, batch_size=32, verbose=0)
    model.save(folder / "mine.keras")
    return folder / "mine.keras", folder / "mine.npz"


def test_a_search_starts_from_ones_own_weights_on_ones_own_data(server: Server, tmp_path: Path) -> None:
    model_file, data_file = trained(tmp_path)
    with SearchClient(server.url) as client:
        model, data = client.upload_model(model_file), client.upload_dataset(data_file)
        job = client.submit(
            {
                "name": "mine",
                "model": {"kind": "uploaded", "id": model.id},
                "data": {"kind": "uploaded", "id": data.id, "preprocessing": "none"},
                "limits": {"by_class": {"Dense": [8, 8, 4], "Activation": [4]}},
                # so slow a rate that a trial from scratch would learn nothing in its one epoch
                "training": {"epochs": 1, "batch_size": 64, "learning_rate": 1e-5, "start": "float"},
                "budget": {"trials": 2},
                "seed": 11,
            }
        )
        with pytest.raises(Conflict):
            client.delete_model(model.id)
        ended = client.wait(job.id, timeout_s=400)
        assert ended.status == "done", ended.reason
        best = client.best(job.id, 1)[0]
        assert best.metric > 0.7, server.log()
        path = client.download(job.id, best.number, "model.keras", tmp_path / "out")
        report = client.download(job.id, best.number, "report.json", tmp_path / "out")
        client.delete_model(model.id)
        client.delete_dataset(data.id)
    mine, theirs = keras.models.load_model(model_file), keras.models.load_model(path)
    correlation = np.corrcoef(
        np.ravel(mine.get_layer("hidden").kernel), np.ravel(theirs.get_layer("hidden").kernel)
    )
    assert correlation[0, 1] > 0.99
    with np.load(data_file) as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    reported = json.loads(report.read_text())["test"]["metric"]
    assert theirs.evaluate(x, y, verbose=0)[1] == pytest.approx(reported, abs=1e-6)


def test_a_hostile_model_is_refused_over_the_wire(server: Server, tmp_path: Path) -> None:
    document = architecture()
    layer(document, "fc2").update(class_name="Lambda")
    path = tmp_path / "evil.keras"
    path.write_bytes(keras_file(document))
    with SearchClient(server.url) as client, pytest.raises(Invalid, match="Lambda"):
        client.upload_model(path)
