"""`weights.npz` holds all that a network computes with: numpy computes the zoo's networks from it alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import keras
import numpy as np
import pytest

from quantization.export.parameters import export_parameters
from quantization.models.convert import quantize, quantized_layers, read_quantizers
from quantization.models.fold import fold
from quantization.quantizers import build_quantizer
from quantization.specs.parse import parse_quantizer
from search.networks.zoo import ZOO, zoo_config

Arrays = Mapping[str, np.ndarray]


def _weight(arrays: Arrays, layer: str, slot: str, default: float = 0.0) -> Any:
    key = f"{layer}/{slot}"
    if f"{key}/codes" in arrays:
        return arrays[f"{key}/codes"] * arrays[f"{key}/scale"].astype(np.float64)
    return arrays.get(f"{key}/values", np.float64(default)).astype(np.float64)


def _windows(x: np.ndarray, config: Mapping[str, Any], size: tuple[int, ...], pad: float = 0.0) -> np.ndarray:
    """(examples, rows, columns, channels, window rows, window columns)."""
    strides = config["strides"]
    if config["padding"] == "same":
        totals = [
            max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(x.shape[1:3], strides, size, strict=True)
        ]
        x = np.pad(
            x, [(0, 0), *((total // 2, total - total // 2) for total in totals), (0, 0)], constant_values=pad
        )
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
    return windows[:, :: strides[0], :: strides[1]]


def _linear(kind: str, x: np.ndarray, arrays: Arrays, name: str, config: Mapping[str, Any]) -> np.ndarray:
    kernel, bias = _weight(arrays, name, "kernel"), _weight(arrays, name, "bias")
    if kind.startswith("Dense"):
        return np.asarray(x @ kernel + bias)
    windows = _windows(x, config, kernel.shape[:2])
    if kind.startswith("Depthwise"):
        return np.asarray(
            np.einsum("bhwcij,ijcm->bhwcm", windows, kernel).reshape(*windows.shape[:3], -1) + bias
        )
    return np.asarray(np.einsum("bhwcij,ijco->bhwo", windows, kernel, optimize=True) + bias)


def _normalized(x: np.ndarray, arrays: Arrays, name: str, config: Mapping[str, Any]) -> np.ndarray:
    mean, beta = _weight(arrays, name, "mean"), _weight(arrays, name, "beta")
    if f"{name}/inverse/codes" in arrays:
        factor = _weight(arrays, name, "inverse")
    else:
        factor = _weight(arrays, name, "gamma", 1.0) / np.sqrt(
            _weight(arrays, name, "variance") + config["epsilon"]
        )
    return np.asarray((x - mean) * factor + beta)


_FUNCTIONS: Final[Mapping[str, Any]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}  # fmt: skip


def _layer(kind: str, x: np.ndarray, arrays: Arrays, name: str, config: Mapping[str, Any]) -> np.ndarray:
    if kind.startswith(("Dense", "Conv2D", "DepthwiseConv2D")):
        return _linear(kind, x, arrays, name, config)
    match kind:
        case "BatchNormalization":
            return _normalized(x, arrays, name, config)
        case "MaxPooling2D":
            return np.asarray(_windows(x, config, tuple(config["pool_size"]), -np.inf).max(axis=(-2, -1)))
        case "Flatten":
            return x.reshape(len(x), -1)
        case "Reshape":
            return x.reshape(len(x), *config["target_shape"])
        case _:
            assert kind in ("InputLayer", "Dropout", "Activation"), kind
            return x


def _computed(model: keras.Model, arrays: Arrays, x: np.ndarray) -> np.ndarray:
    """What the chain of layers gives for x; the model lends its configuration, not its weights."""
    specs = read_quantizers(model)
    for layer in model.layers:
        config = layer.get_config()
        x = _layer(type(layer).__name__.removeprefix("Quantized"), x, arrays, layer.name, config)
        spec = specs.get(layer.name, {}).get("activation")
        quantizer = None if spec is None else build_quantizer(spec)
        if quantizer is None or not quantizer.is_activation:
            x = _FUNCTIONS[config.get("activation") or "linear"](x)
        if quantizer is not None:
            codes, scale = quantizer.to_integers(x)
            x = codes * scale.astype(np.float64)
    return x


def _varied(model: keras.Model) -> None:
    """Weights and statistics that no layer starts with."""
    rng = np.random.default_rng(5)
    for weight in model.weights:
        if weight.dtype == "float32" and "quantizer_state" not in weight.path:
            spread = (
                rng.uniform(0.5, 1.5, weight.shape)
                if "variance" in weight.path
                else rng.normal(0, 0.3, weight.shape)
            )
            weight.assign(spread.astype(np.float32))


def _check(model: keras.Model) -> None:
    _varied(model)
    x = np.random.default_rng(6).normal(size=(2, *model.input_shape[1:])).astype(np.float32)
    expected = np.asarray(keras.ops.convert_to_numpy(model(x)))
    np.testing.assert_allclose(_computed(model, export_parameters(model), x), expected, rtol=1e-3, atol=1e-5)


def _assignment(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every second kernel quantized, and every normalization's mean; the rest stays float."""
    slots: dict[str, dict[str, Any]] = {}
    for number, layer in enumerate(config["config"]["layers"]):
        if layer["class_name"] in ("Dense", "Conv2D", "DepthwiseConv2D"):
            slots[layer["config"]["name"]] = (
                {"kernel": parse_quantizer("quantized_bits(8,2,1)")} if number % 2 else {}
            )
        if layer["class_name"] == "BatchNormalization":
            slot = "inverse" if number % 2 else "mean"
            slots[layer["config"]["name"]] = {slot: parse_quantizer("quantized_bits(12,3,alpha=1.0)")}
    return slots


@pytest.mark.parametrize("name", ZOO)
def test_numpy_computes_the_networks_of_the_zoo_from_the_file(name: str) -> None:
    config = zoo_config(name)
    _check(quantize(config, _assignment(config)))


def test_folded_layers_are_written_folded() -> None:
    model = fold(quantize(zoo_config("digits_cnn"), {}))
    assert any("BatchNormalization" in type(layer).__name__ for layer in quantized_layers(model))
    _check(model)


def test_slots_give_their_names_and_other_weights_have_those_of_keras() -> None:
    inputs = keras.Input((4, 3))
    x = keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True), name="both")(inputs)
    x = keras.layers.PReLU(name="prelu")(keras.layers.LayerNormalization(name="norm")(x))
    x = keras.layers.MultiHeadAttention(1, 2, name="attention")(x, x)
    model = quantize(keras.Model(inputs, x), {"both": {"kernel": parse_quantizer("binary")}})
    names = set(export_parameters(model))
    assert {
        "both/forward_kernel/codes",
        "both/backward_recurrent_kernel/values",
        "both/forward_bias/values",
    } <= names
    assert {"norm/gamma/values", "prelu/alpha/values", "attention/query_kernel/values"} <= names
    assert len([name for name in names if name.endswith(("codes", "values"))]) == len(model.weights)
