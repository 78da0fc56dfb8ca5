"""The format `akida`: by Akida's software where it is installed, and always the Python file and its arrays."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import pytest
from keras import layers

from quantization.export.errors import ExportRefused
from quantization.export.export import network_of
from quantization.export.formats import FORMATS
from quantization.export.proof import model_outputs
from quantization.export.run import run_exports
from quantization.export.writers.akida import write_source
from tests.exports.contract import ExportContract
from tests.exports.models import INPUT, examples, network, quantized

KERNEL = "quantized_bits(4,0,1,alpha='auto')"
PLAIN = "quantized_bits(4,0,1,alpha=1.0)"
RELU = "quantized_relu(4,2)"


@functools.cache
def chain() -> keras.Model:
    """Blocks of every sort that Akida takes."""
    x = layers.Input((8, 8, 1), name="image")
    y = layers.BatchNormalization(name="normal")(layers.Conv2D(8, 3, padding="same", name="conv")(x))
    y = layers.Activation("relu", name="fire")(layers.MaxPooling2D(2, padding="same", name="pool")(y))
    y = layers.ReLU(name="fire_2")(layers.SeparableConv2D(8, 3, padding="same", name="separable")(y))
    y = layers.Dense(3, name="scores")(layers.Flatten(name="flat")(y))
    model = keras.Model(x, layers.Activation("softmax", name="probabilities")(y))
    return quantized(
        model,
        INPUT
        | {
            "conv": {"kernel": "max_per_axis(8)"},
            "fire": {"activation": RELU},
            "separable": {"kernel": PLAIN, "pointwise_kernel": PLAIN},
            "fire_2": {"activation": RELU},
            "scores": {"kernel": KERNEL},
        },
    )


def row(bits: int, *, fires: bool = False) -> keras.Model:
    """A dense network whose input has so many bits; it can end in an activation."""
    x = layers.Input((6,), name="image")
    y = layers.ReLU(name="fire")(layers.Dense(8, name="hidden")(x))
    y = layers.Dense(3, name="scores")(y)
    y = layers.ReLU(name="end")(y) if fires else y
    slots = {"hidden": {"kernel": PLAIN}, "fire": {"activation": RELU}, "scores": {"kernel": PLAIN}}
    ends = {"end": {"activation": RELU}} if fires else {}
    start = {"image": {"activation": f"quantized_bits({bits},0,0,keep_negative=False)"}}
    return quantized(keras.Model(x, y), start | slots | ends)


class TestAkida(ExportContract):
    name = "akida"
    takes: ClassVar = ()
    refuses: ClassVar = {
        "a branch": (lambda: network("residual"), "start", "more than one layer"),
        "a kernel of three bits": (
            lambda: _dense("quantized_bits(3,0,1,alpha=1.0)"),
            "scores",
            "2, 4, 8 bits",
        ),
    }
    test_it_computes_what_the_model_does = None
    test_what_it_takes_is_known_without_keras = None
    test_the_files_are_listed_and_described = None
    test_options_that_do_not_exist_are_refused = None

    def test_the_chain_is_computed(self, tmp_path: Path) -> None:
        export = self.export(chain(), tmp_path / "out")
        x = examples(chain(), seed=1)
        [outputs] = run_exports(self.name, [(export.folder, x)])
        [expected] = model_outputs(chain(), x, "logits")
        assert np.abs(outputs.arrays[0] - expected).max() <= 0.35 * np.abs(expected).max()
        assert np.mean(outputs.arrays[0].argmax(-1) == expected.argmax(-1)) >= 0.9
        assert "model.fbz" in export.files

    @pytest.mark.parametrize("fires", [False, True])
    def test_a_dense_network_of_4_bit_inputs_is_computed(self, tmp_path: Path, fires: bool) -> None:
        model = row(4, fires=fires)
        export = self.export(model, tmp_path / "out")
        x = examples(model, seed=1)
        [outputs] = run_exports(self.name, [(export.folder, x)])
        [expected] = model_outputs(model, x, "logits")
        assert np.abs(outputs.arrays[0] - expected).max() <= 0.35 * np.abs(expected).max()


def test_wide_inputs_are_read_as_images_only() -> None:
    [refusal] = FORMATS["akida"].refusals(*network_of(row(8)))
    assert refusal.layer == "image"
    assert "Dense 'hidden' reads it, with codes of at most 4 bits" in refusal.reason
    assert FORMATS["akida"].refusals(*network_of(row(4))) == []
    assert FORMATS["akida"].refusals(*network_of(chain())) == []


def _dense(kernel: str) -> keras.Model:
    x = layers.Input((6,), name="image")
    return quantized(keras.Model(x, layers.Dense(3, name="scores")(x)), {"scores": {"kernel": kernel}})


# ---- without cnn2snn -------------------------------------------------------------------------------------------------


def test_the_chain_is_taken() -> None:
    assert FORMATS["akida"].refusals(*network_of(chain())) == []


def test_the_file_has_the_layers_and_the_arrays_their_numbers(tmp_path: Path) -> None:
    written = write_source(chain(), tmp_path)
    text = (tmp_path / "model.py").read_text()
    ast.parse(text)
    assert "tf_keras.layers.Rescaling(0.00390625)" in text
    assert "quantized.QuantizedConv2D(8, (3, 3), strides=(1, 1), padding='same', quantizer=Fixed(8, " in text
    assert "Steps(4, 0.25, 0.125, name='fire')" in text
    assert set(written.inexact) == {"fire", "fire_2"}
    arrays = np.load(tmp_path / "weights.npz")
    codes, scale = chain().get_layer("scores").quantized_weights()["kernel"]
    np.testing.assert_array_equal(arrays["scores/0"], codes.astype(np.float32) * scale)
    np.testing.assert_array_equal(np.round(arrays["scores/0"] / arrays["scores/kernel/scale"]), codes)


def test_an_input_that_is_no_code_is_refused(tmp_path: Path) -> None:
    x = layers.Input((8, 8, 1), name="image")
    model = keras.Model(x, layers.Dense(3, name="scores")(layers.Flatten()(x)))
    with pytest.raises(ExportRefused, match="no codes without a sign"):
        write_source(quantized(model, {"scores": {"kernel": PLAIN}}), tmp_path)
