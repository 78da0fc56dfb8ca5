"""Measures the sensitivities of the tables' networks: `python -m benchmarks.table_sensitivity`.

The tables are frozen; what they cannot express, how quantizing each tensor alone changes a float network, stands beside
them in `sensitivities.json`. Each table has the sensitivities of `MODELS` float networks, trained by Keras on the data,
with the recipe and for the epochs of the table's job. Searches take one of them by their seed.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import keras

import benchmarks.threads  # noqa: F401 -- before TensorFlow is loaded
from benchmarks.table_trainer import SEEDS, _digits, _jets
from benchmarks.tabular import FOLDER, JOBS, SENSITIVITIES, space_of
from quantization.models.convert import float_model
from search.networks.architecture import architecture, network
from search.spec.job import SearchSpec
from search.task import task
from search.training.sensitivity import measure_sensitivity

#: Float networks a table.
MODELS: Final = 5


def sensitivities(name: str) -> list[dict[str, Any]]:
    """The sensitivities of a table's float networks, as JSON values."""
    return [_sensitivity(name, seed) for seed in range(MODELS)]


def _sensitivity(name: str, seed: int) -> dict[str, Any]:
    spec = SearchSpec.model_validate(JOBS[name])
    data = _jets() if name == "jet" else _digits(spec, SEEDS[name])
    keras.utils.set_random_seed(seed)
    model = float_model(architecture(spec.model))
    training = spec.training
    model.compile(
        keras.optimizers.Adam(training.base_rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(data.x, data.y, batch_size=training.batch_size, epochs=training.epochs, verbose=0)
    _, accuracy = model.evaluate(data.x_validation, data.y_validation, verbose=0)
    plan: Any = SimpleNamespace(
        spec=spec,
        job=SimpleNamespace(model=spec.model),
        choices=space_of(name).choices,
        task=task(spec, network(spec.model)),
    )
    examples: Any = SimpleNamespace(x_train=data.x, y_train=data.y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return measure_sensitivity(plan, path, accuracy, examples).to_json()


def main() -> None:
    """Measure all tables and store the file."""
    stored = {name: sensitivities(name) for name in JOBS}
    (FOLDER / SENSITIVITIES).write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main()
