"""Merges align and broadcast as Keras': in the shapes of the cost model, in what it counts, in the integer network."""

from __future__ import annotations

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from costmodel.energy import prepare, price
from costmodel.network import read_network
from costmodel.settings import EnergySettings
from quantization.integer import operations
from quantization.integer.tensor import IntegerTensor
from tests.truth.layer_options import OPTIONS

MERGED = {
    "Add": operations.added,
    "Subtract": operations.subtracted,
    "Multiply": operations.multiplied,
    "Average": operations.added,  # then scaled
    "Maximum": operations.maximum,
    "Minimum": operations.minimum,
}


#: No axis is as long. (Keras' addition in TensorFlow takes an input for a bias where the batch is as long as one.)
BATCH = 7


def codes(shape, per_channel, seed):
    """Small integers, with one exponent or one a channel."""
    rng = np.random.default_rng(seed)
    exponent = rng.integers(-3, 1, shape[-1:]) if per_channel and shape else np.asarray(-2)
    return IntegerTensor(rng.integers(-8, 8, (BATCH, *shape)), np.asarray(exponent, np.int64))


@pytest.mark.parametrize("class_name", sorted(MERGED))
def test_integer_merges_are_those_of_keras(class_name):
    @settings(
        max_examples=25, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(drawn=OPTIONS[class_name], per_channel=st.booleans())
    def check(drawn, per_channel):
        tensors = [codes(shape, per_channel, seed) for seed, shape in enumerate(drawn[0])]
        merge = getattr(keras.layers, class_name)()

        theirs = np.asarray(merge([tensor.to_float().astype("float32") for tensor in tensors]), np.float64)

        ours = MERGED[class_name](tensors).to_float()
        ours = ours / len(tensors) if class_name == "Average" else ours
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        for batch in range(1, BATCH):  # also where it is as long as an axis
            first = [tensor.with_codes(tensor.codes[:batch]) for tensor in tensors]
            rows = MERGED[class_name](first).to_float()
            assert np.array_equal(rows, MERGED[class_name](tensors).to_float()[:batch])

    check()


@pytest.mark.parametrize("class_name", sorted(MERGED))
@pytest.mark.parametrize(
    "shapes", [[(4, 1, 3), (1, 5, 3)], [(6, 1), (1, 6)], [(4, 3), (3,)], [(3,), (2, 1, 3)]]
)
def test_a_merge_computes_every_number_of_its_output(class_name, shapes):
    inputs = [keras.Input(shape) for shape in shapes]
    model = keras.Model(inputs, getattr(keras.layers, class_name)(name="x")(inputs))
    network = read_network(json.loads(model.to_json()))

    layer = price(prepare(network), {}, EnergySettings()).layer("x")

    assert network.layer("x").output_shape == model.output_shape[1:]
    assert layer.work.operations[0].count == np.prod(model.output_shape[1:])
