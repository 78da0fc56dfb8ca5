"""The how-to of each format ends in a prediction on its runtime: that block is run, where the runtime is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quantization.export.context import ExportContext
from quantization.export.export import export_model
from quantization.export.formats import FORMATS
from quantization.export.proof import classes_of, model_outputs
from tests.exports.models import examples, network
from tests.exports.test_akida import chain

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
#: Format -> page, and the heading above its block of code.
PREDICTIONS = {
    "akida": ("export-akida.md", "## Predict with Akida's software"),
    "integers": ("export-integers.md", "## Predict with numpy"),
    "c": ("export-c.md", "## Predict with gcc"),
    "hls4ml": ("export-hls4ml.md", "## Predict with the C++ emulation"),
    "onnx": ("export-onnx.md", "## Predict with onnxruntime"),
    "qkeras": ("export-qkeras.md", "## Predict with QKeras"),
    "tflite": ("export-tflite.md", "## Predict with LiteRT"),
    "qonnx": ("export-onnx.md", "## Predict with qonnx"),
}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_the_prediction_of_the_page_is_the_models(name: str, tmp_path: Path) -> None:
    missing = list(FORMATS[name].missing())
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    page, heading = PREDICTIONS[name]
    code = re.findall(r"```python\n(.*?)```", (HOW_TO / page).read_text().partition(f"{heading}\n")[2], re.S)[
        0
    ]
    model = chain() if name == "akida" else network("cnn")
    x = examples(model, 6)
    export_model(model, name, tmp_path / "out", ExportContext(x))
    np.save(tmp_path / "x_test.npy", x)
    python = os.environ.get(FORMATS[name].python_variable, sys.executable)
    said = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr[-2000:]
    expected = classes_of(model_outputs(model, x, "logits")[0], "logits").tolist()
    assert json.loads(said.stdout.splitlines()[-1]) == expected
