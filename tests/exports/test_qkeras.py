"""The format `qkeras`: loaded with qkeras where it is installed, and always the Python file and its arrays."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from keras import layers

from quantization.export.errors import ExportRefused
from quantization.export.export import network_of
from quantization.export.formats import FORMATS
from quantization.export.legality.qkeras import ACTIVATIONS, activation_fault
from quantization.export.proof import model_outputs
from quantization.export.run import run_exports
from quantization.export.writers.qkeras import write_source
from quantization.specs.parse import parse_quantizer
from tests.exports import branches
from tests.exports.contract import ExportContract
from tests.exports.models import INPUT, WEIGHTS, examples, network, quantized


def is_written(text: str) -> bool:
    spec = parse_quantizer(text)
    return spec.kind in ACTIVATIONS and activation_fault(spec) is None


#: Those that qkeras computes as fewbits does.
GRIDS = tuple(text for text in (*branches.GRIDS, *branches.STEPS) if is_written(text))


class TestQKeras(ExportContract):
    name = "qkeras"
    refuses: ClassVar = {
        "exponents of fewbits": (lambda: _activation("quantized_po2(4)"), "fire", "reference_exponents=1"),
        "a ceiling": (lambda: _activation("discrete_relu(3)"), "fire", "is not one of"),
        "a bound": (
            lambda: _activation("quantized_relu(4,2,relu_upper_bound=1.6,is_quantized_clip=0)"),
            "fire",
            "does not save",
        ),
    }

    @pytest.mark.parametrize("kind", ["activations", "weights", "scaled"])
    def test_every_quantizer_is_computed(self, kind: str, tmp_path: Path) -> None:
        self.need_packages()
        model, x = of_kind(kind)
        export = self.export(model, tmp_path / "out")
        [expected] = model_outputs(model, x, "outputs")
        [outputs] = run_exports(self.name, [(export.folder, x)])
        np.testing.assert_allclose(outputs.arrays[0], expected, rtol=1e-6 * (kind == "scaled"), atol=1e-7)


def of_kind(kind: str) -> tuple[keras.Model, np.ndarray]:
    if kind == "activations":
        return branches.activations(GRIDS), branches.numbers()
    return branches.weights(branches.WEIGHTS if kind == "weights" else branches.SCALED), branches.sixteenths()


def _activation(text: str) -> keras.Model:
    x = layers.Input((4,), name="image")
    return quantized(
        keras.Model(x, layers.Activation("linear", name="fire")(x)), {"fire": {"activation": text}}
    )


# ---- without qkeras --------------------------------------------------------------------------------------------------


def written(model: keras.Model, folder: Path) -> tuple[str, Any]:
    write_source(model, folder)
    text = (folder / "model.py").read_text()
    ast.parse(text)
    return text, np.load(folder / "weights.npz")


@pytest.mark.parametrize("kind", ["weights", "scaled"])
def test_the_arrays_are_the_numbers_of_the_model_and_their_quantizer_keeps_them(
    kind: str, tmp_path: Path
) -> None:
    model, _ = of_kind(kind)
    text, arrays = written(model, tmp_path)
    for layer in model.layers:
        if layer.name.startswith("dense"):
            codes, scale = layer.quantized_weights()["kernel"]
            np.testing.assert_array_equal(arrays[f"{layer.name}/0"], codes.astype(np.float32) * scale)
    for line in text.splitlines():
        if "post_training_scale" in line:
            _assert_kept(line, arrays)


def _assert_kept(line: str, arrays: Any) -> None:
    """qkeras' formula of a given scale: z = floor(|x| / (scale / m) + 1/2), x = z / m * scale."""
    call = ast.parse(line.strip()).body[0].value  # type: ignore[attr-defined]
    name = next(entry.value for entry in call.keywords if entry.arg == "name").value
    for index, slot in enumerate(("kernel_quantizer", "bias_quantizer")):
        quantizer = next(entry.value for entry in call.keywords if entry.arg == slot)
        keywords = {entry.arg: entry.value for entry in quantizer.keywords}
        if "post_training_scale" not in keywords:
            continue
        m = 2.0 ** (quantizer.args[0].value - 1)
        scale = arrays[keywords["post_training_scale"].args[0].value]
        x = arrays[f"{name}/{index}"]
        z = np.minimum(np.floor(np.abs(x) / (scale / np.float32(m)) + np.float32(0.5)), m - 1)
        np.testing.assert_array_equal(np.sign(x) * z / np.float32(m) * scale, x)


def test_a_file_reads_as_one_would_write_it(tmp_path: Path) -> None:
    text, _ = written(network("cnn"), tmp_path)
    assert "qkeras.QConv2D(" in text
    assert "filters=4, kernel_size=(3, 3)" in text
    assert "qkeras.QActivation(qkeras.quantized_relu(bits=4, integer=2), name='fire')" in text
    assert 'build().save(HERE / "model.keras")' in text


def test_layers_that_qkeras_lacks_are_keras_own_and_named(tmp_path: Path) -> None:
    x = layers.Input((6, 2), name="image")
    y = layers.DepthwiseConv1D(2, name="depthwise")(x)
    y = layers.BatchNormalization(name="normal")(layers.GRU(3, name="memory")(y))
    model = keras.Model(x, layers.Dense(2, name="scores")(y))
    slots = {"depthwise": WEIGHTS, "memory": {"kernel": WEIGHTS["kernel"]}, "scores": WEIGHTS}
    result = write_source(quantized(model, INPUT | slots), tmp_path)
    assert result.notes == ("Keras' own layers, with the quantized numbers as weights: depthwise, memory",)
    assert "keras.layers.GRU.from_config({" in (tmp_path / "model.py").read_text()


def test_what_no_description_shows_is_refused(tmp_path: Path) -> None:
    x = layers.Input((6, 2), name="image")
    model = keras.Model(x, layers.LSTM(3, name="memory")(x))
    with pytest.raises(ExportRefused, match="inside the loop"):
        write_source(quantized(model, {"memory": {"activation": "quantized_tanh(4)"}}), tmp_path)
    assert FORMATS["qkeras"].exact
    assert examples(model).shape == (24, 6, 2)


def test_what_all_projections_share_quantizes_each(tmp_path: Path) -> None:
    x = layers.Input((5, 4), name="image")
    y = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    model = quantized(keras.Model(x, y), {**INPUT, "attention": WEIGHTS})
    write_source(model, tmp_path)
    with np.load(tmp_path / "weights.npz") as stored:
        arrays = [stored[name] for name in stored.files]
    for codes, scale in model.get_layer("attention").quantized_weights().values():
        numbers = codes.astype(np.float32) * scale
        assert any(array.shape == numbers.shape and np.array_equal(array, numbers) for array in arrays)


def test_causal_padding_is_refused_with_the_remedy() -> None:
    x = layers.Input((5, 4), name="image")
    model = keras.Model(x, layers.Conv1D(2, 2, padding="causal", name="conv")(x))
    model = quantized(model, {**INPUT, "conv": WEIGHTS})
    [refusal] = FORMATS["qkeras"].refusals(*network_of(model))
    assert (refusal.layer, "put ZeroPadding1D before" in refusal.reason) == ("conv", True)
