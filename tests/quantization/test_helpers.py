"""The noise ramp and the range initializer."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from quantization.layers import QUANTIZED_LAYERS, RangeInitializer
from quantization.layers.callbacks import QuantizationNoise, noise_variables
from quantization.models.convert import float_model


def _model(activation: str) -> keras.Model:
    inputs = keras.Input((4,))
    layer: Any = QUANTIZED_LAYERS["Dense"](3, name="layer", quantizers={"activation": activation})
    model = keras.Model(inputs, layer(inputs))
    model.compile("sgd", "mse", jit_compile=False)
    return model


_X = np.zeros((40, 4), np.float32)
_Y = np.zeros((40, 3), np.float32)


def test_the_ramp_rises_from_the_first_to_the_last_factor_and_stays() -> None:
    ramp = QuantizationNoise(10, 20, initial=0.1, final=0.9)
    factors = [ramp.factor(step) for step in range(40)]
    assert factors[:11] == [0.1] * 11
    assert all(a <= b for a, b in itertools.pairwise(factors))
    assert factors[20:] == pytest.approx([0.9] * 20)


@pytest.mark.parametrize(("every", "expected"), [("step", 1.0), ("epoch", 1 - 0.5**3)])
def test_training_moves_the_factor_of_every_quantizer(every: Any, expected: float) -> None:
    model = _model("quantized_relu(4,1,qnoise_factor=0.0)")
    ramp = QuantizationNoise(0, 4 if every == "step" else 2, every=every)
    model.fit(_X, _Y, batch_size=8, epochs=2, verbose=0, callbacks=[ramp])
    assert [float(variable.value) for variable in noise_variables(model)] == pytest.approx([expected])


def test_a_model_without_noise_factors_is_an_error() -> None:
    with pytest.raises(ValueError, match="set a qnoise_factor below 1"):
        _model("quantized_relu(4,1)").fit(_X, _Y, verbose=0, callbacks=[QuantizationNoise(0, 1)])


@pytest.mark.parametrize("arguments", [{"start": 3, "finish": 3}, {"start": 0, "finish": 2, "exponent": 0}])
def test_a_ramp_that_cannot_be_is_an_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"start|exponent"):
        QuantizationNoise(**arguments)


@pytest.mark.parametrize(
    "quantizer", ["quantized_bits(4,0,1)", "quantized_bits(2,1,1,alpha=1.0)", "quantized_bits(8,2)"]
)
def test_initial_weights_fill_the_range_of_the_quantizer(quantizer: str) -> None:
    initializer = RangeInitializer("he_normal", quantizer)
    weights = np.asarray(keras.ops.convert_to_numpy(initializer((64, 32))))
    top = {"quantized_bits(4,0,1)": 0.875, "quantized_bits(2,1,1,alpha=1.0)": 1.0}.get(quantizer, 4 - 2**-5)
    assert np.abs(weights).max() == pytest.approx(top)


def test_weights_of_a_quantizer_that_measures_them_are_left_alone() -> None:
    inner = keras.initializers.HeNormal(seed=3)
    same = RangeInitializer(keras.initializers.HeNormal(seed=3), "binary(alpha='auto')")((5, 4))
    np.testing.assert_array_equal(np.asarray(same), np.asarray(inner((5, 4))))


def test_a_layer_with_the_initializer_is_saved_loaded_and_rebuilt(tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    initializer = RangeInitializer("he_normal", "quantized_bits(4,0,1)")
    model = keras.Model(inputs, keras.layers.Dense(3, kernel_initializer=initializer, name="d")(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    rebuilt = float_model(model.get_config())
    for other in (loaded, rebuilt):
        assert other.get_layer("d").kernel_initializer.quantizer == initializer.quantizer
