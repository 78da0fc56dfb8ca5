"""The formats that are integer programs: `integers`, and its table."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
from keras import layers

from costmodel.foldable import UNFOLDED
from costmodel.layer_classes import TRAINING_ONLY
from quantization.engine import logits
from quantization.export.context import ExportContext
from quantization.export.export import export_model
from quantization.export.legality.integers import ACTIVATIONS, LAYERS
from quantization.export.proof import compare
from quantization.export.run import Outputs
from quantization.integer.activations import _QUANTIZERS
from quantization.integer.compile import LAYERS as BUILT
from tests.exports.contract import ExportContract
from tests.exports.models import BIAS, INPUT, KERNEL, NETWORKS, WEIGHTS, examples, quantized


def dense(**slots: str) -> keras.Model:
    x = layers.Input((6,), name="image")
    model = keras.Model(x, layers.Dense(3, activation="tanh", name="scores")(x))
    return quantized(model, INPUT | {"scores": slots})


def recurrent() -> keras.Model:
    x = layers.Input((5, 3), name="image")
    return quantized(keras.Model(x, layers.GRU(4, name="gru")(x)), INPUT)


def both_ways() -> keras.Model:
    x = layers.Input((5, 3), name="image")
    y = layers.Bidirectional(layers.LSTM(4), name="both")(x)
    return quantized(keras.Model(x, y), INPUT)


def attention() -> keras.Model:
    x = layers.Input((5, 4), name="image")
    y = layers.MultiHeadAttention(2, 2, name="attention")(x, x)
    return quantized(keras.Model(x, y), INPUT | {"attention": WEIGHTS})


def long_series() -> keras.Model:
    x = layers.Input((200, 3), name="image")
    return quantized(keras.Model(x, layers.GRU(4, name="gru")(x)), INPUT)


def float_slopes() -> keras.Model:
    x = layers.Input((6,), name="image")
    return quantized(keras.Model(x, layers.PReLU(name="slopes")(x)), INPUT)


def averaged() -> keras.Model:
    x = layers.Input((5, 5, 2), name="image")
    return quantized(keras.Model(x, layers.AveragePooling2D(2, padding="same", name="mean")(x)), INPUT)


def softmax_inside() -> keras.Model:
    x = layers.Input((6,), name="image")
    y = layers.Softmax(name="weights")(layers.Dense(3, name="hidden")(x))
    return quantized(
        keras.Model(x, layers.Dense(3, name="scores")(y)), INPUT | {"hidden": WEIGHTS, "scores": WEIGHTS}
    )


#: What no integer program expresses: a model, the layer that is named, and words of the reason.
REFUSES = {
    "a float kernel": (
        lambda: dense(bias=BIAS, activation="quantized_tanh(4)"),
        "scores",
        "its kernel has no quantizer",
    ),
    "a float function": (
        lambda: dense(kernel=KERNEL, bias=BIAS),
        "scores",
        "its activation has no quantizer",
    ),
    "a scale of the data": (
        lambda: dense(**WEIGHTS, activation="quantized_bits(4,0,alpha='auto')"),
        "scores",
        "depends on the data; give a number",
    ),
    "a softmax inside": (softmax_inside, "weights", "only the output's is left out"),
    "a float loop": (recurrent, "gru", "its state has no quantizer"),
    "a float loop in both directions": (both_ways, "both", "its state has no quantizer"),
    "attention": (attention, "attention", "a softmax of floats between its products"),
    "a long series": (long_series, "gru", "at most 128 are"),
    "float slopes": (float_slopes, "slopes", "its alpha has no quantizer"),
    "an average of padding": (averaged, "mean", "use padding='valid'"),
}


class TestIntegers(ExportContract):
    name = "integers"
    refuses = REFUSES


def test_the_table_has_the_layers_that_are_built() -> None:
    built = {UNFOLDED.get(name, name) for name in BUILT} - {"Input"} - TRAINING_ONLY
    assert built - {"Conv3D", "Conv3DTranspose"} == LAYERS  # those two have no quantized class


def test_the_table_has_the_quantizers_that_are_built() -> None:
    assert set(_QUANTIZERS) == ACTIVATIONS


@pytest.mark.parametrize("function", ["tanh", "sigmoid", "elu", "softsign"])
def test_a_function_with_a_grid_behind_it_is_a_table(function: str, tmp_path: Path) -> None:
    x = layers.Input((6,), name="image")
    y = layers.Dense(8, activation=function, name="hidden")(x)
    model = keras.Model(x, layers.Dense(3, name="scores")(y))
    slots = {**WEIGHTS, "activation": "quantized_bits(5,0,1,alpha=1.0)"}
    model = quantized(model, INPUT | {"hidden": slots, "scores": WEIGHTS})
    export = export_model(model, "integers", tmp_path, ExportContext(examples(model)))
    assert list(export.written.inexact) == ["hidden"]
    inputs = examples(model, 64, seed=3)
    proof = compare(model, export, inputs, Outputs((logits(tmp_path, inputs),), {}), (True,))
    assert proof.equal_classes == 1.0


@pytest.mark.parametrize("option", ["auto", "quantized_bits(12,0,0,keep_negative=False)"])
def test_an_input_that_the_model_reads_as_float_is_rounded_and_named(option: str, tmp_path: Path) -> None:
    float_input, slots = NETWORKS["mlp"]()
    model = quantized(float_input, slots)
    export = export_model(model, "integers", tmp_path, ExportContext(examples(model)), {"input": option})
    assert list(export.written.inexact) == ["image"]
    assert "rounds it to quantized_bits" in export.written.inexact["image"]


def test_sums_that_a_float_may_not_hold_are_named(tmp_path: Path) -> None:
    x = layers.Input((64,), name="image")
    model = keras.Model(x, layers.Dense(3, name="scores")(x))
    slots = {"kernel": "quantized_bits(16,0,1,alpha=1.0)", "bias": BIAS}
    export = export_model(
        (model := quantized(model, INPUT | {"scores": slots})),
        "integers",
        tmp_path,
        ExportContext(examples(model)),
    )
    assert "Keras' float32 holds 24" in export.written.inexact["scores"]
