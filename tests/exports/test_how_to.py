"""The how-to of each format ends in a prediction on its runtime: that block is run, where the runtime is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from quantization.export.comparison import classes_of
from quantization.export.context import ExportContext
from quantization.export.export import export_model
from quantization.export.formats import FORMATS, export_format
from quantization.export.proof import model_outputs
from quantization.spiking.simulator import simulate
from tests.exports.models import examples, network
from tests.exports.test_akida import chain
from tests.exports.test_xylo import TestXylo as Xylo

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


def block(page: str, heading: str) -> str:
    """The first block of Python below a heading of a how-to."""
    text = (HOW_TO / page).read_text().partition(f"{heading}\n")[2]
    return str(re.findall(r"```python\n(.*?)```", text, re.S)[0])


@pytest.mark.parametrize("name", PREDICTIONS)
def test_the_prediction_of_the_page_is_the_models(name: str, tmp_path: Path) -> None:
    missing = list(FORMATS[name].missing())
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    model = chain() if name == "akida" else network("cnn")
    expected = _exported(model, name, tmp_path)
    python = os.environ.get(FORMATS[name].python_variable, sys.executable)
    code = block(*PREDICTIONS[name])
    said = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr[-2000:]
    assert json.loads(said.stdout.splitlines()[-1]) == expected


def test_the_prediction_by_rockpool_is_that_of_the_simulator(tmp_path: Path) -> None:
    if missing := list(export_format("xylo").missing()):
        pytest.skip(f"not installed: {', '.join(missing)}")
    network = Xylo.network("digits")
    events = Xylo.examples(network, seed=3)
    Xylo.write(network, tmp_path / "out", {})
    np.save(tmp_path / "x_test.npy", events)
    expected = simulate(network, events).counts.argmax(axis=-1).tolist()
    python = os.environ.get(export_format("xylo").python_variable, sys.executable)
    code = block("export-xylo.md", "## Predict with Rockpool")
    said = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr[-2000:]
    assert json.loads(said.stdout.splitlines()[-1]) == expected


def test_the_plain_prediction_of_the_page_is_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, which has Keras loaded already; `tests/packages/test_layers.py` runs the page's other block."""
    expected = _exported(network("cnn"), "keras_plain", tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(block("export-keras.md", "## Predict with Keras alone"), {})  # noqa: S102 -- the page's own
    assert json.loads(capsys.readouterr().out) == expected


def test_own_examples_become_those_that_the_model_reads(tmp_path: Path) -> None:
    model = network("cnn")
    x = examples(model, 6)
    constants = {"subtract": [0.25], "divide_by": 16.0, "input_shape": list(x.shape[1:])}
    export_model(model, "integers", tmp_path / "out", ExportContext(x, preprocessing=constants))
    np.save(tmp_path / "mine.npy", x.reshape(len(x), -1) * 16 + 0.25)
    code = block("../exports.md", "## Predict your own examples")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "x_test.npy"), x, atol=1e-6)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_the_c_of_the_tutorial_classifies_own_numbers_as_the_model_does(
    tmp_path: Path,
) -> None:
    model = network("cnn")
    x = examples(model, 6)
    constants = {"subtract": [0.25], "divide_by": 16.0, "input_shape": list(x.shape[1:])}
    export_model(model, "c", tmp_path / "firmware", ExportContext(x, preprocessing=constants))
    expected = classes_of(model_outputs(model, x, "logits")[0], "logits").tolist()
    page = (HOW_TO.parent / "tutorials/microcontroller.md").read_text().partition("## 5. On the device\n")[2]
    [header] = re.findall(r"```python\n(.*?)```", page, re.S)
    [source] = re.findall(r"```c\n(.*?)```", page, re.S)
    printed = subprocess.run(
        [sys.executable, "-c", header], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    (tmp_path / "firmware/input.h").write_text(printed.stdout)
    numbers = ", ".join(map(str, (x * 16 + 0.25).ravel().tolist()))
    main = (
        f"{source}\n#include <stdio.h>\nstatic const float examples[] = {{{numbers}}};\n"
        f"int main(void) {{ for (int i = 0; i < {len(x)}; i++)"
        ' printf("%d\\n", classify(examples + i * NETWORK_INPUT_SIZE)); return 0; }\n'
    )
    (tmp_path / "firmware/own.c").write_text(main)
    gcc = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "own.c", "network.c", "-lm", "-o", "own"]
    subprocess.run(gcc, cwd=tmp_path / "firmware", check=True)
    said = subprocess.run([tmp_path / "firmware/own"], check=True, capture_output=True, text=True).stdout
    assert [int(line) for line in said.split()] == expected


def _exported(model: keras.Model, name: str, folder: Path) -> list[int]:
    """Write an export and its inputs where a page says they are; the classes that the model gives."""
    x = examples(model, 6)
    export_model(model, name, folder / "out", ExportContext(x))
    np.save(folder / "x_test.npy", x)
    return list(classes_of(model_outputs(model, x, "logits")[0], "logits").tolist())
