"""Quantized training reaches what float training reaches, on scikit-learn's digits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from quantization.models.convert import quantize
from quantization.specs.parse import parse_quantizer

_TRAINED = 1400
_SEEDS = (1, 2)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    return (data.images[order][..., None] / 16).astype(np.float32), data.target[order]


def _network() -> keras.Model:
    inputs = x = keras.Input((8, 8, 1), name="in")
    for index, filters in enumerate((16, 32)):
        x = keras.layers.Conv2D(
            filters, 3, padding="same", strides=1 + index, use_bias=False, name=f"c{index}"
        )(x)
        x = keras.layers.BatchNormalization(name=f"n{index}")(x)
        x = keras.layers.Activation("relu", name=f"a{index}")(x)
    x = keras.layers.Dense(10, name="head")(keras.layers.Flatten(name="flat")(x))
    return keras.Model(inputs, keras.layers.Activation("softmax", name="softmax")(x))


def _assignment(kernel: str, bias: str, activation: str) -> dict[str, Any]:
    weights = {"kernel": parse_quantizer(kernel)}
    functions = {"activation": parse_quantizer(activation)}
    head = {**weights, "bias": parse_quantizer(bias)}
    return {"c0": weights, "c1": weights, "a0": functions, "a1": functions, "head": head}


def _accuracy(assignment: dict[str, Any], digits: tuple[np.ndarray, np.ndarray]) -> float:
    """Test accuracy in percent, mean over the seeds, which share one trace."""
    x, y = digits
    model, start, accuracies = None, [], []
    for seed in _SEEDS:
        keras.utils.set_random_seed(seed)
        fresh = quantize(_network(), assignment)
        if model is None:
            model = fresh
            model.compile(
                keras.optimizers.Adam(3e-3),
                "sparse_categorical_crossentropy",
                metrics=["accuracy"],
                jit_compile=False,
                steps_per_execution=11,
            )
            model.optimizer.build(model.trainable_variables)
            start = [np.array(variable) for variable in model.optimizer.variables]
        model.set_weights(fresh.get_weights())
        for variable, value in zip(model.optimizer.variables, start, strict=True):
            variable.assign(value)
        model.fit(x[:_TRAINED], y[:_TRAINED], epochs=12, batch_size=32, verbose=0)
        accuracies.append(100 * model.evaluate(x[_TRAINED:], y[_TRAINED:], verbose=0)[1])
    return float(np.mean(accuracies))


@pytest.fixture(scope="module")
def float_accuracy(digits: tuple[np.ndarray, np.ndarray]) -> float:
    return _accuracy({}, digits)


@pytest.mark.parametrize(
    ("quantizers", "loss_allowed"),
    [
        (("quantized_bits(8,0,1,alpha=1.0)", "quantized_bits(8,3,1)", "quantized_relu(8,3)"), 0.5),
        (("quantized_bits(4,0,1)", "quantized_bits(4,1,1)", "quantized_relu(4,2)"), 1.5),
    ],
    ids=["8 bits", "4 bits"],
)
def test_few_bits_cost_little_accuracy(
    quantizers: tuple[str, str, str], loss_allowed: float, float_accuracy: float, digits: Any
) -> None:
    assert _accuracy(_assignment(*quantizers), digits) >= float_accuracy - loss_allowed


def test_binary_weights_stay_above_ninety_percent(digits: Any) -> None:
    assert _accuracy(_assignment("binary", "quantized_bits(8,3,1)", "quantized_relu(8,3)"), digits) > 90
