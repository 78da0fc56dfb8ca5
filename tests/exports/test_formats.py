"""The registry of formats, and what can go wrong with any of them."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from quantization.export.context import ExportContext, Written
from quantization.export.errors import InvalidOption, NotExact, RunFailed, UnknownFormat
from quantization.export.export import export_model
from quantization.export.formats import FORMATS, SPIKING_FORMATS, export_format
from quantization.export.formats.base import ExportFormat, Option
from quantization.export.proof import compare, model_outputs
from quantization.export.run import Outputs, run_export
from quantization.export.written import Export
from tests.exports.models import examples, network

FORMAT = ExportFormat(
    name="x",
    title="x",
    options={
        "reuse": Option(1, "reuse factor"),
        "mode": Option("a", "mode", ("a", "b")),
        "rate": Option(0.5, "rate"),
    },
)


def test_formats_load_no_training_framework() -> None:
    script = (
        "import sys, quantization.export.formats; print({'keras', 'tensorflow', 'numpy'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"


@pytest.mark.parametrize("name", [*FORMATS, *SPIKING_FORMATS])
def test_each_format_has_a_writer_and_a_runner(name: str) -> None:
    assert export_format(name).name == name
    for room in ("writers", "runners"):
        assert find_spec(f"quantization.export.{room}.{name}") is not None


def test_an_unknown_format_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat, match=f"formats: {', '.join(FORMATS)}"):
        export_model(network("mlp"), "onyx", tmp_path, ExportContext(examples(network("mlp"))))


def test_options_have_their_defaults_and_types() -> None:
    assert FORMAT.checked({"rate": 1}) == {"reuse": 1, "mode": "a", "rate": 1}
    for name, value, words in (
        ("mode", "c", "must be one of a, b"),
        ("reuse", True, "type int"),
        ("reuse", 1.5, "type int"),
        ("other", 1, "reuse, mode, rate"),
    ):
        with pytest.raises(InvalidOption, match=words):
            FORMAT.checked({name: value})


@pytest.mark.parametrize("name", ["mlp", "cnn", "sequential"])
def test_logits_are_the_outputs_before_the_last_function(name: str) -> None:
    model = network(name)
    [logits], [outputs] = (model_outputs(model, examples(model), stage) for stage in ("logits", "outputs"))
    exponents = np.exp(logits)
    expected = exponents / (exponents.sum(-1, keepdims=True) if logits.shape[-1] > 1 else exponents + 1)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)
    assert not np.allclose(outputs, logits)


def test_a_softmax_before_a_flatten_is_left_out_too() -> None:
    x = keras.Input((1, 1, 4))
    softmax = keras.layers.Flatten()(keras.layers.Activation("softmax")(keras.layers.Conv2D(3, 1)(x)))
    model = keras.Model(x, keras.layers.Dropout(0.5)(softmax))
    inputs = examples(model)
    [logits], [outputs] = (model_outputs(model, inputs, stage) for stage in ("logits", "outputs"))
    exponents = np.exp(logits)
    np.testing.assert_allclose(outputs, exponents / exponents.sum(-1, keepdims=True), rtol=1e-5)
    assert logits.shape == outputs.shape == (len(inputs), 3)


def test_a_promise_that_is_not_held_is_an_error() -> None:
    model = network("cnn")
    x = examples(model)
    export = Export("keras", {}, Path(), (), Written())
    [outputs] = model_outputs(model, x, "outputs")
    proof = compare(model, export, x, Outputs((outputs,), {}), (True,))
    assert (proof.equal_classes, proof.largest_difference, proof.examples) == (1.0, 0.0, len(x))
    with pytest.raises(NotExact, match="differs by"):
        compare(model, export, x, Outputs((outputs + 0.25,), {}), (True,))
    named = Export("keras", {}, Path(), (), Written(inexact={"conv": "its sums are rounded"}))
    proof = compare(model, named, x, Outputs((outputs[:, ::-1],), {}), (True,))
    assert proof.equal_classes < 1.0
    assert proof.inexact == {"conv": "its sums are rounded"}


def test_a_runtime_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"No module named 'quantization\.export\.runners\.nothing'"):
        run_export("nothing", tmp_path, np.zeros((1, 6)))


@pytest.mark.parametrize("name", ["qkeras", "akida", "xylo"])
def test_what_needs_an_environment_of_its_own_says_how_to_make_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv(export_format(name).python_variable, raising=False)
    entry = export_format(name)
    assert not entry.extra
    remedy = entry.remedy
    assert f"python -m venv ~/fewbits-{name}" in remedy
    assert all(f"'{package}'" in remedy for package in entry.environment)
    assert f"set {entry.python_variable}=~/fewbits-{name}/bin/python" in remedy
