"""Run by a test in a process of its own: measure and price the best models of trials again, from their files alone.

Prints, as JSON, network -> its metric on the validation data, and its energy.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np

import quantization.layers  # noqa: F401 -- registers the quantized layers
from search.cost.answer import price_network
from search.spec.cost import CostSpec
from search.trial_files import MODEL_FILE, QUANTIZERS_FILE


def main(folders: list[Path]) -> None:
    """Measure what lies in each folder."""
    results = {}
    for folder in folders:
        note = json.loads((folder / "note.json").read_text())
        model = keras.models.load_model(folder / MODEL_FILE)
        with np.load(folder / "validation.npz") as arrays:
            x = [arrays[name] for name in note["inputs"]]
            y = [arrays[name] for name in note["targets"]]
        examples = x[0] if len(x) == 1 else x
        values = model.evaluate(examples, y[0] if len(y) == 1 else y, verbose=0, return_dict=True)
        document = json.loads((folder / QUANTIZERS_FILE).read_text())
        request = {
            "model": {"kind": "architecture", "config": document["architecture"]},
            "quantizers": document,
        }
        energy = price_network(CostSpec.model_validate(request)).answer().energy_pj
        results[note["name"]] = {"metric": values[note["metric"]], "energy_pj": energy}
    print(json.dumps(results))


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
