"""Weights are given the value that their quantizers are to see, also through a folded normalization."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from quantization.layers import folded

CASES: dict[str, tuple[type, dict[str, Any], tuple[int, ...]]] = {
    "dense": (folded.QuantizedDenseBatchNormalization, {"units": 4}, (6,)),
    "conv": (folded.QuantizedConv2DBatchNormalization, {"filters": 4, "kernel_size": 2}, (5, 5, 3)),
    "transposed": (
        folded.QuantizedConv2DTransposeBatchNormalization,
        {"filters": 4, "kernel_size": 2},
        (5, 5, 3),
    ),
    "depthwise": (
        folded.QuantizedDepthwiseConv2DBatchNormalization,
        {"kernel_size": 2, "depth_multiplier": 2},
        (5, 5, 3),
    ),
    "separable": (
        folded.QuantizedSeparableConv1DBatchNormalization,
        {"filters": 4, "kernel_size": 2},
        (5, 3),
    ),
}


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_what_is_set_is_what_a_quantizer_sees(name: str, center: bool) -> None:
    layer_class, config, shape = CASES[name]
    layer = layer_class(**config, center=center)
    layer.build((None, *shape))
    draw = np.random.default_rng(1)
    layer.batchnorm.moving_variance.assign(draw.uniform(0.2, 3, layer.batchnorm.moving_variance.shape))
    layer.batchnorm.moving_mean.assign(draw.normal(size=layer.batchnorm.moving_mean.shape))
    for slot in layer.slots:
        if slot == "activation":
            continue
        values = np.rint(draw.normal(size=layer.weight_of(slot).shape) * 16).astype(np.float32) / 16
        layer.set_quantized(slot, values)
        np.testing.assert_allclose(ops.convert_to_numpy(layer.weight_of(slot)), values, atol=1e-5)


def test_a_filter_with_a_gamma_of_0_keeps_its_weights() -> None:
    layer = folded.QuantizedDenseBatchNormalization(units=2)
    layer.build((None, 3))
    layer.batchnorm.gamma.assign([0.0, 1.0])
    before = ops.convert_to_numpy(layer.kernel)
    layer.set_quantized("kernel", np.zeros((3, 2), np.float32))
    after = ops.convert_to_numpy(layer.kernel)
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    assert not after[:, 1].any()
    assert np.isfinite(after).all()


def test_a_plain_layer_is_assigned_to() -> None:
    layer: Any = keras.saving.deserialize_keras_object(
        {
            "class_name": "fewbits>QuantizedDense",
            "registered_name": "fewbits>QuantizedDense",
            "config": {"units": 2},
        }
    )
    layer.build((None, 3))
    layer.set_quantized("kernel", np.full((3, 2), 0.5, np.float32))
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.weight_of("kernel")), 0.5)
