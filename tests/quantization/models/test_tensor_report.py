"""The report on what quantization does to each tensor of a model."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest

from quantization.models.calibration import sqnr_db
from quantization.models.convert import quantize
from quantization.models.tensor_report import BINS, tensor_report


@pytest.fixture(scope="module")
def reported() -> tuple[keras.Model, np.ndarray, dict[tuple[str, str], dict[str, Any]]]:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((6,))
    z = keras.layers.Dense(8, name="hidden", activation="tanh")(inputs)
    z = keras.layers.Activation("relu", name="act")(z)
    model = quantize(
        keras.Model(inputs, keras.layers.Dense(3, name="head")(z)),
        {
            "hidden": {"kernel": "quantized_bits(3,0,1,alpha=1.0)", "activation": "quantized_bits(8,0,1)"},
            "act": {"activation": "quantized_relu(2,0)"},
            "head": {"kernel": "binary(alpha=1.0)", "bias": None},
        },
    )
    x = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
    tensors = tensor_report(model, x)
    return model, x, {(tensor["layer"], tensor["slot"]): tensor for tensor in tensors}


def test_every_quantized_tensor_is_reported_as_json(reported: Any) -> None:
    _, _, tensors = reported
    assert {name: tensor["kind"] for name, tensor in tensors.items()} == {
        ("hidden", "kernel"): "weights",
        ("hidden", "activation"): "activations",
        ("act", "activation"): "activations",
        ("head", "kernel"): "weights",
    }
    assert json.loads(json.dumps(list(tensors.values()), allow_nan=False)) == list(tensors.values())
    for tensor in tensors.values():
        assert sum(tensor["counts"]) == tensor["size"]
        assert len(tensor["counts"]) == BINS


def test_weights_are_compared_with_the_values_that_are_computed_with(reported: Any) -> None:
    model, _, tensors = reported
    layer = model.get_layer("hidden")
    codes, scale = layer.quantized_weights()["kernel"]
    exact = np.asarray(keras.ops.convert_to_numpy(layer.weight_of("kernel")))
    tensor = tensors["hidden", "kernel"]
    assert tensor["sqnr_db"] == pytest.approx(sqnr_db(exact, codes * scale))
    assert tensor["levels"] == np.unique(codes * scale).tolist()
    assert tensors["head", "kernel"]["levels"] == [-1.0, 1.0]


def test_activations_are_compared_with_their_function_on_the_same_inputs(reported: Any) -> None:
    model, x, tensors = reported
    before = keras.Model(model.inputs[0], model.get_layer("hidden").output)(x)
    exact = np.maximum(np.asarray(keras.ops.convert_to_numpy(before)), 0.0)
    tensor = tensors["act", "activation"]
    assert (tensor["edges_low"], tensor["edges_high"]) == (
        pytest.approx(exact.min()),
        pytest.approx(exact.max()),
    )
    assert tensor["size"] == exact.size
    assert set(tensor["levels"]) <= {0.0, 0.25, 0.5, 0.75}
    assert tensor["clipped"] == pytest.approx(np.mean(exact > 0.875))
    assert tensors["hidden", "activation"]["sqnr_db"] > 30.0
