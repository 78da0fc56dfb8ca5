"""The format `hls4ml`: the C++ emulation where hls4ml and g++ are installed, and always the types by numpy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from keras import layers

from costmodel.layer_classes import INPUT
from quantization.export.context import ExportContext
from quantization.export.errors import ExportRefused
from quantization.export.legality.hls4ml import HLS4ML
from quantization.export.proof import model_outputs
from quantization.export.writers.hls4ml import write_network
from quantization.export.writers.hls4ml_project.layers import LAYERS
from tests.exports import branches
from tests.exports.contract import ExportContract
from tests.exports.models import INPUT as QUANTIZED_INPUT
from tests.exports.models import WEIGHTS, examples, network, quantized

ACTIVATIONS = (
    *("quantized_bits(4,1)", "quantized_bits(6,2,1)", "quantized_bits(3,0,0,keep_negative=False)"),
    *(
        "quantized_bits(5,1,1,alpha=0.75)",
        "quantized_bits(1,0)",
        "quantized_bits(16,4)",
        "quantized_relu(4,2)",
    ),
    *("quantized_relu(3,1)", "quantized_relu(8,4)", "quantized_relu(1,1)", "quantized_tanh(4)"),
    *("quantized_tanh(5,symmetric=1)", "quantized_sigmoid(4)", "binary()", "binary(alpha=0.5)"),
)
#: Without those that need more than float32's 24 bits.
KERNELS = tuple(text for text in branches.WEIGHTS if "12" not in text)


class TestHls4ml(ExportContract):
    name = "hls4ml"
    refuses: ClassVar = {
        "a bound": (
            lambda: _activation("quantized_relu(4,2,relu_upper_bound=1.5,is_quantized_clip=0)"),
            "fire",
            "relu_upper_bound is not converted",
        ),
        "a recurrent layer": (lambda: _recurrent(), "memory", "SimpleRNN is not one of"),
    }


def _activation(text: str) -> keras.Model:
    x = layers.Input((4,), name="image")
    return quantized(
        keras.Model(x, layers.Activation("linear", name="fire")(x)), {"fire": {"activation": text}}
    )


def _recurrent() -> keras.Model:
    x = layers.Input((4, 2), name="image")
    return keras.Model(x, layers.Dense(2, name="scores")(layers.SimpleRNN(3, name="memory")(x)))


# ---- without hls4ml --------------------------------------------------------------------------------------------------


def cast(values: Any, precision: str) -> np.ndarray:
    """Numbers in a type of hls4ml's: wrapped without a mode, else rounded half to even and saturated."""
    unsigned, width, integer, mode = re.fullmatch(r"(u?)fixed<(\d+),(-?\d+)(.*)>", precision).groups()  # type: ignore[union-attr]
    step = 2.0 ** (int(integer) - int(width))
    half = 2.0 ** (int(width) - (not unsigned))
    low, high = (0.0 if unsigned else -half), half - 1
    low = -high if "SAT_SYM" in mode else low
    codes = np.asarray(values, np.float64) / step
    if mode:
        return np.clip(np.round(codes), low, high) * step
    assert np.all(codes == np.floor(codes)), precision
    assert codes.min() >= low, precision
    assert codes.max() <= high, precision
    return codes * step


def evaluated(folder: Path, x: np.ndarray) -> list[np.ndarray]:
    """What the layers of network.json compute, every number in its type: what a type cuts is an error."""
    document = json.loads((folder / "network.json").read_text())
    arrays = np.load(folder / "network.npz")
    values: dict[str, np.ndarray] = {}
    for layer in document["layers"]:
        name, types = layer["name"], document["precisions"][layer["name"]]
        inputs = [values[source] for source in layer.get("inputs", [])]
        constants = {
            key: cast(arrays[value["array"]], types[key.removesuffix("_data")])
            for key, value in layer.items()
            if isinstance(value, dict)
        }
        y = x if not inputs else RULES[layer["class_name"]](layer, inputs, constants)
        values[name] = cast(y, types["result"])
    return [values[name] for name in document["outputs"]]


def _functions(layer: dict[str, Any], inputs: list[np.ndarray], _: Any) -> np.ndarray:
    functions = {
        "linear": lambda x: x,
        "relu": lambda x: np.maximum(x, 0),
        "binary_tanh": lambda x: np.where(x < 0, -1, 1),
    }
    return functions[layer["activation"]](inputs[0])


RULES: dict[str, Any] = {
    "Dense": lambda layer, x, c: x[0] @ c["weight_data"] + c.get("bias_data", 0.0),
    "ApplyAlpha": lambda layer, x, c: x[0] * c["scale_data"] + c["bias_data"],
    "Activation": _functions,
}


def outputs(model: keras.Model) -> keras.Model:
    """The branches of a model, each an output: hls4ml joins two tensors at a time."""
    return keras.Model(model.inputs, model.get_layer("all")._inbound_nodes[0].input_tensors)


@pytest.mark.parametrize("kind", ["activations", "weights", "scaled"])
def test_every_quantizer_has_a_type_that_cuts_nothing(kind: str, tmp_path: Path) -> None:
    texts = {"activations": ACTIVATIONS, "weights": KERNELS, "scaled": branches.SCALED}[kind]
    model = outputs((branches.activations if kind == "activations" else branches.weights)(texts))
    x = branches.numbers() if kind == "activations" else branches.sixteenths()
    x = np.round(x * 64) / 64
    write_network(model, tmp_path, ExportContext(x))
    tolerance = 1e-6 if kind == "scaled" else 0.0
    expectations = model_outputs(model, x, "logits")
    for text, actual, expected in zip(texts, evaluated(tmp_path, x), expectations, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance, err_msg=text)


def test_a_network_without_an_input_quantizer_has_the_type_of_its_examples(tmp_path: Path) -> None:
    source = layers.Input((6,), name="image")
    model = keras.Model(source, layers.Dense(3, name="scores")(source))
    x = np.round(examples(model) * 8) / 8
    written = write_network(quantized(model, {"scores": WEIGHTS}), tmp_path, ExportContext(x))
    document = json.loads((tmp_path / "network.json").read_text())
    assert document["precisions"]["image"]["result"] == "ufixed<4,1,RND_CONV,SAT>"
    assert written.inexact == {}


def test_floats_are_named(tmp_path: Path) -> None:
    x = layers.Input((6,), name="image")
    y = layers.Dense(3, activation="tanh", name="hidden")(x)
    model = quantized(
        keras.Model(x, layers.Dense(2, name="scores")(y)), QUANTIZED_INPUT | {"scores": WEIGHTS}
    )
    written = write_network(model, tmp_path, ExportContext(examples(model)))
    assert set(written.inexact) == {"hidden"}
    assert "table" in written.inexact["hidden"]


def test_every_layer_that_the_target_takes_has_a_writer() -> None:
    assert HLS4ML.layers is not None
    assert HLS4ML.layers | HLS4ML.left_out <= set(LAYERS) | {INPUT}


def test_what_no_description_shows_is_refused(tmp_path: Path) -> None:
    model = quantized(network("mlp"), {"hidden": {"kernel": "quantized_bits(4,0,1,qnoise_factor=0.5)"}})
    with pytest.raises(ExportRefused, match="part of the float values"):
        write_network(model, tmp_path, ExportContext(examples(model)))
