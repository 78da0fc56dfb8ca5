"""Scales for each channel lie along the channels of the layer, whatever the axis of its kernel."""

from __future__ import annotations

import math
from typing import Any, Final

import keras
import numpy as np
import pytest
from keras import ops

from costmodel.layer_classes import LAYER_CLASSES, channel_axes
from quantization.layers import QUANTIZED_LAYERS
from quantization.models.convert import quantize, read_quantizers
from quantization.quantizers import build_quantizer
from quantization.specs.parse import as_spec, parse_quantizer

_LAYERS: Final[dict[str, tuple[str, dict[str, Any], tuple[int, ...]]]] = {
    "Dense": ("Dense", {"units": 4}, (6,)),
    "Conv1D": ("Conv1D", {"filters": 4, "kernel_size": 2}, (5, 3)),
    "Conv2D": ("Conv2D", {"filters": 4, "kernel_size": 2}, (5, 5, 3)),
    "Conv1DTranspose": ("Conv1DTranspose", {"filters": 4, "kernel_size": 2}, (5, 3)),
    "Conv2DTranspose": ("Conv2DTranspose", {"filters": 4, "kernel_size": 2}, (5, 5, 3)),
    "DepthwiseConv1D": ("DepthwiseConv1D", {"kernel_size": 3}, (5, 4)),
    "DepthwiseConv2D": ("DepthwiseConv2D", {"kernel_size": 3}, (5, 5, 4)),
    "DepthwiseConv2D, 2 each": ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}, (5, 5, 2)),
    "SeparableConv1D": ("SeparableConv1D", {"filters": 4, "kernel_size": 3}, (5, 4)),
    "SeparableConv2D": ("SeparableConv2D", {"filters": 4, "kernel_size": 3}, (5, 5, 4)),
    "SimpleRNN": ("SimpleRNN", {"units": 4}, (5, 3)),
    "LSTM": ("LSTM", {"units": 4}, (5, 3)),
    "GRU": ("GRU", {"units": 4}, (5, 3)),
    "Embedding": ("Embedding", {"input_dim": 9, "output_dim": 4}, (5,)),
}
_KERNELS: Final = [
    (name, slot)
    for name, (class_name, _, _) in _LAYERS.items()
    for slot in QUANTIZED_LAYERS[class_name].SLOTS
    if slot.endswith("kernel") or slot == "embeddings"
]
#: Quantizers that find a scale for each channel; the axis of others is theirs to say.
_SCALED: Final = (
    *(
        "quantized_bits(4,alpha='auto')",
        "quantized_bits(4,alpha='auto_po2')",
        "quantized_linear(4,alpha='auto')",
    ),
    *("ternary(alpha='auto')", "binary(alpha='auto')", "max_per_axis(4)", "std_per_axis(4)"),
)


def _quantized(name: str, slot: str, text: str) -> Any:
    """A model of one layer, quantized in one slot, whose channels have very different sizes."""
    class_name, config, shape = _LAYERS[name]
    inputs = keras.Input(shape)
    outputs = getattr(keras.layers, class_name)(name="layer", **config)(inputs)
    model = quantize(keras.Model(inputs, outputs), {"layer": {slot: parse_quantizer(text)}})
    layer: Any = model.get_layer("layer")
    kernel = np.asarray(ops.convert_to_numpy(layer.weight_of(slot)))
    axes = [axis % kernel.ndim for axis in channel_axes(class_name, slot)]
    sizes = [kernel.shape[axis] if axis in axes else 1 for axis in range(kernel.ndim)]
    spread = np.geomspace(1.0, 2.0**-6, math.prod(sizes)).reshape(sizes)
    layer.set_weight(slot, (np.random.default_rng(3).normal(size=kernel.shape) * spread).astype(np.float32))
    return layer


def _worst_channel(layer: Any, slot: str) -> float:
    """The least signal-to-noise ratio of a channel, in dB."""
    codes, scale = layer.quantized_weights()[slot]
    weights = np.asarray(ops.convert_to_numpy(layer.weight_of(slot)), np.float64)
    channels = tuple(axis % weights.ndim for axis in channel_axes(layer.plain_class(), slot))
    others = tuple(axis for axis in range(weights.ndim) if axis not in channels)
    noise = np.square(codes * scale - weights).sum(axis=others)
    return float(10 * np.log10(np.square(weights).sum(axis=others) / np.maximum(noise, 1e-30)).min())


@pytest.mark.parametrize(("name", "slot"), _KERNELS)
def test_each_channel_has_its_own_scale(name: str, slot: str) -> None:
    assert _worst_channel(_quantized(name, slot, "quantized_bits(4,alpha='auto')"), slot) > 8.0


@pytest.mark.parametrize("text", _SCALED)
@pytest.mark.parametrize("name", ["DepthwiseConv1D", "DepthwiseConv2D, 2 each", "Conv2DTranspose"])
def test_every_kind_finds_the_channels(name: str, text: str) -> None:
    assert _worst_channel(_quantized(name, "kernel", text), "kernel") > (8.0 if "(4" in text else 1.0)


@pytest.mark.parametrize("rule", ["last_axis=1", "compat=1"])
def test_the_axis_of_qkeras_is_there_by_name(rule: str) -> None:
    layer = _quantized("DepthwiseConv2D", "kernel", f"quantized_bits(4,alpha='auto',{rule})")
    assert layer.quantized_weights()["kernel"][1].shape == (1, 1, 1, 1)
    assert _worst_channel(layer, "kernel") < 1.0


def test_projections_of_attention_have_a_scale_for_each_output() -> None:
    inputs = keras.Input((5, 6))
    attention = keras.layers.MultiHeadAttention(2, 3, name="layer")
    model = keras.Model(inputs, attention(inputs, inputs))
    spec = parse_quantizer("quantized_bits(4,alpha='auto')")
    for slots in (
        {"kernel": spec, "bias": spec},
        {"query_kernel": spec, "query_bias": spec, "output_kernel": spec},
    ):
        layer: Any = quantize(model, {"layer": slots}).get_layer("layer")
        scales = {slot: scale.shape for slot, (_, scale) in layer.quantized_weights().items()}
        assert scales["query_kernel"] == (1, 2, 3)
        assert scales["query_bias"] == (1, 1)
        assert scales["output_kernel"] == (1, 1, 6)


def test_a_bias_has_one_scale_also_where_it_has_two_rows() -> None:
    model = quantize(
        keras.Sequential([keras.Input((5, 3)), keras.layers.GRU(4, name="layer")]),
        {"layer": {"bias": parse_quantizer("quantized_bits(4,alpha='auto')")}},
    )
    layer: Any = model.get_layer("layer")
    assert layer.quantized_weights()["bias"][1].size == 1


def test_listed_scales_lie_along_the_channels() -> None:
    layer = _quantized("Conv2DTranspose", "kernel", "quantized_bits(8,0,1,alpha=[1,2.0,4,8])")
    assert layer.quantized_weights()["kernel"][1].shape == (1, 1, 4, 1)
    with pytest.raises(ValueError, match="lists 3 scales for a tensor of 4 channels"):
        _quantized("Conv2DTranspose", "kernel", "quantized_bits(8,alpha=[1,2,4])")(np.zeros((1, 5, 5, 3)))


def test_every_slot_of_every_quantized_layer_has_its_axes_in_the_table() -> None:
    for class_name in QUANTIZED_LAYERS:
        for slot in LAYER_CLASSES[class_name].slots:
            assert all(-2 <= axis <= -1 for axis in slot.channels), (class_name, slot)


def test_an_axis_that_a_tensor_does_not_have_is_an_error() -> None:
    quantizer = build_quantizer(parse_quantizer("quantized_bits(4,alpha='auto',scale_axis=5)"))
    with pytest.raises(ValueError, match="scale_axis=5"):
        quantizer(np.ones((2, 3), np.float32))


def test_a_layer_that_version_0_1_saved_keeps_the_axis_it_had() -> None:
    layer = _quantized("DepthwiseConv2D", "kernel", "quantized_bits(4,alpha='auto')")
    config = layer.get_config()
    del config["quantizers"]["kernel"]["last_axis"]
    old = type(layer).from_config(config)
    assert str(old.specs["kernel"]) == "quantized_bits(4,0,1,alpha='auto',last_axis=1)"
    dense = _quantized("Dense", "kernel", "quantized_bits(4,alpha='auto')")
    config = dense.get_config()
    del config["quantizers"]["kernel"]["last_axis"]
    assert type(dense).from_config(config).specs == dense.specs


def test_a_quantizer_of_today_is_not_taken_for_one_of_version_0_1() -> None:
    model = quantize(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="layer")]),
        {"layer": {"kernel": as_spec({"kind": "ternary"})}},
    )
    assert str(read_quantizers(model)["layer"]["kernel"]) == "ternary()"
