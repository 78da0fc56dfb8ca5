"""The quantizer of a model's input: built, saved, read back, priced and run in integers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from costmodel.energy import prepare, price
from costmodel.network import read_network
from costmodel.settings import EnergySettings
from quantization.integer import integer_network
from quantization.models.convert import Assignment, plain_description, quantize, read_quantizers
from quantization.specs.parse import parse_quantizer

_WEIGHTS = {
    "kernel": parse_quantizer("quantized_bits(4,0,1,alpha=1.0)"),
    "bias": parse_quantizer("quantized_bits(4,0,1)"),
}
ASSIGNMENT: Assignment = {
    "pixels": {"activation": parse_quantizer("quantized_bits(3,0,1)")},
    "hidden": {**_WEIGHTS, "activation": parse_quantizer("quantized_relu(4,2)")},
    "out": _WEIGHTS,
}


def functional() -> keras.Model:
    """An input that two layers read."""
    pixels = keras.Input((6,), name="pixels")
    hidden = keras.layers.Dense(4, "relu", name="hidden")(pixels)
    joined = keras.layers.Concatenate(name="joined")([pixels, hidden])
    return keras.Model(pixels, keras.layers.Dense(2, name="out")(joined))


def sequential() -> keras.Model:
    layers = [keras.layers.Dense(4, "relu", name="hidden"), keras.layers.Dense(2, name="out")]
    return keras.Sequential([keras.Input((6,), name="pixels"), *layers])


MODELS = pytest.mark.parametrize("make", [functional, sequential])


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (30, 6)).astype(np.float32)


def outputs(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(x)))


@MODELS
class TestAnInput:
    """Of both kinds of models."""

    def test_is_quantized(self, make: Any, x: np.ndarray) -> None:
        model = quantize(make(), ASSIGNMENT)
        on_grid = np.clip(np.round(x * 4), -3, 3) / 4
        assert (outputs(model, x) == outputs(model, on_grid)).all()
        without = quantize(make(), {name: ASSIGNMENT[name] for name in ("hidden", "out")})
        without.set_weights(model.get_weights())
        assert (outputs(model, x) == outputs(without, on_grid)).all()
        assert (outputs(without, x) != outputs(without, on_grid)).any()

    def test_is_read_back_and_saved(self, make: Any, x: np.ndarray, tmp_path: Path) -> None:
        model = quantize(make(), ASSIGNMENT)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert read_quantizers(model) == read_quantizers(loaded) == ASSIGNMENT
        assert (outputs(model, x) == outputs(loaded, x)).all()

    def test_is_no_layer_of_the_plain_network(self, make: Any) -> None:
        model = quantize(make(), ASSIGNMENT)
        plain, original = read_network(plain_description(model)), read_network(json.loads(make().to_json()))
        assert [layer.name for layer in plain.layers] == [layer.name for layer in original.layers]
        assert (plain.inputs, plain.outputs) == (original.inputs, original.outputs)
        again = quantize(plain_description(model), read_quantizers(model))
        assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]

    def test_gets_another_quantizer(self, make: Any) -> None:
        other = {"activation": parse_quantizer("quantized_bits(4,0,1)")}
        model = quantize(quantize(make(), ASSIGNMENT), {"pixels": other})
        assert read_quantizers(model) == {**ASSIGNMENT, "pixels": other}

    def test_runs_in_integers(self, make: Any, x: np.ndarray) -> None:
        model = quantize(make(), ASSIGNMENT)
        assert (integer_network(model).logits(x).to_float() == outputs(model, x)).all()


def test_whole_numbers_reach_an_embedding() -> None:
    tokens = keras.Input((5,), name="tokens", dtype="int32")
    table = keras.layers.Embedding(9, 3, name="table")
    model = keras.Model(tokens, table(tokens))
    grid = {"activation": parse_quantizer("quantized_bits(4,4,0,keep_negative=False)")}
    quantized = quantize(model, {"tokens": grid})
    quantized.set_weights(model.get_weights())
    numbers = np.arange(10).reshape(2, 5) % 9
    assert (outputs(quantized, numbers) == outputs(model, numbers)).all()


def test_the_price_of_a_network_is_that_of_its_input_quantizer() -> None:
    prepared = prepare(read_network(json.loads(sequential().to_json())))
    types = {
        name: {slot: spec.data_type() for slot, spec in slots.items() if spec}
        for name, slots in ASSIGNMENT.items()
    }
    rest = {name: slots for name, slots in types.items() if name != "pixels"}
    by_slot = price(prepared, types, EnergySettings(source="fp32"))  # type: ignore[arg-type]
    by_setting = price(prepared, rest, EnergySettings(source=types["pixels"]["activation"]))
    assert by_slot.energy_pj == by_setting.energy_pj
    assert by_slot.source_types == by_setting.source_types
