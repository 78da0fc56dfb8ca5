"""New kernels reach the levels of their quantizers."""

from __future__ import annotations

import keras
import numpy as np

from quantization.models.convert import quantize
from quantization.specs.parse import QuantizerSpec, parse_quantizer
from search.history import Assignment
from search.networks.zoo import zoo_config
from search.training.build import assemble
from search.training.kernel_rescaling import rescale_zero_kernels

COARSE, FINE = (
    parse_quantizer("quantized_bits(2,1,1,alpha=1.0)"),
    parse_quantizer("quantized_bits(8,0,1,alpha=1.0)"),
)
SCALED = parse_quantizer("quantized_bits(2,1,1,alpha='auto')")


def jet(spec: QuantizerSpec) -> keras.Model:
    keras.utils.set_random_seed(3)
    return quantize(zoo_config("jet_mlp"), {name: {"kernel": spec} for name in ("fc1", "fc2", "fc3")}, {})


def kernel(model: keras.Model, layer: str) -> np.ndarray:
    return np.asarray(model.get_layer(layer).weight_of("kernel"))


def test_a_kernel_that_was_rounded_to_zero_reaches_the_largest_level() -> None:
    model = jet(COARSE)
    before = kernel(model, "fc2")
    assert np.abs(before).max() < 0.5
    assert ("fc2", "kernel") in rescale_zero_kernels(model)
    after = kernel(model, "fc2")
    assert np.abs(after).max() == np.float32(1.0)
    np.testing.assert_allclose(after / np.abs(after).max(), before / np.abs(before).max(), rtol=1e-6)
    assert rescale_zero_kernels(model) == []


def test_kernels_that_reach_their_levels_and_those_with_a_scale_of_their_own_stay() -> None:
    for spec in (FINE, SCALED):
        model = jet(spec)
        before = kernel(model, "fc2")
        assert rescale_zero_kernels(model) == []
        np.testing.assert_array_equal(kernel(model, "fc2"), before)


def test_no_kernel_of_a_new_network_is_rounded_to_zero() -> None:
    assignment = Assignment(values={}, quantizers={"fc2": {"kernel": COARSE}}, widths={})
    codes, _ = assemble(assignment, zoo_config("jet_mlp"), 1).get_layer("fc2").quantized_weights()["kernel"]
    assert np.count_nonzero(codes) > codes.size / 10
