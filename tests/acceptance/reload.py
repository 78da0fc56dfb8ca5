"""Run by a test in a process of its own: load a downloaded model and measure it again.

Prints, as JSON, the metric on validation and test data and the energy, computed from nothing but the files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras

import quantization.layers  # noqa: F401 -- registers the quantized layers
from costmodel.energy import prepare, price
from search.data.load import load
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from tests.quantization import as_network


def main(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    model = keras.models.load_model(folder / "model.keras")
    spec = SearchSpec.model_validate(report["configuration"]["spec"])
    prepared = plan(spec, folder)
    data = load(
        spec.data, folder, spec.seed, prepared.data.input_shape, preprocessing=prepared.data.preprocessing
    )
    metrics = {
        part: model.evaluate(x, y, batch_size=1024, verbose=0, return_dict=True)["accuracy"]
        for part, x, y in (
            ("validation", data.x_validation, data.y_validation),
            ("test", data.x_test, data.y_test),
        )
    }
    energy = price(
        prepare(as_network.network(model)), as_network.types(model), prepared.pricer.trial_settings.energy
    )
    print(json.dumps({**metrics, "energy_pj": energy.energy_pj}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
