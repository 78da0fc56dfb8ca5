"""What every quantized layer promises, shown of each of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import pytest
from keras import ops

from costmodel.foldable import FOLDED
from costmodel.layer_classes import KERAS_LAYERS, LAYER_CLASSES, SEARCHED_LAYERS, slots_of
from quantization.layers import QUANTIZED_LAYERS
from quantization.layers.outputs import AdaptiveActivation
from quantization.models.convert import quantize, read_quantizers, width_of
from quantization.specs.parse import parse_quantizer

_L: Final = keras.layers
_KERNEL: Final = {"kernel": "quantized_bits(4,0,1)", "bias": "quantized_bits(8,3,1)"}
_IMAGE: Final = (8, 8, 3)
_SERIES: Final = (6, 3)
_MERGES: Final = (
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"),
    "Dot",
)
_RECURRENT: Final = {
    **_KERNEL,
    "recurrent_kernel": "ternary",
    "state": "quantized_bits(6,1)",
    "activation": "quantized_tanh(6)",
}
_GATED: Final = {**_RECURRENT, "recurrent_activation": "quantized_sigmoid(6)"}

#: Keras class -> (layer of that class, shape of an input, quantizers).
_LAYERS: Final[dict[str, tuple[Callable[[], Any], tuple[int, ...], dict[str, str]]]] = {
    "Dense": (lambda: _L.Dense(4, "relu"), (5,), {**_KERNEL, "activation": "quantized_relu(4,2)"}),
    "Conv1D": (lambda: _L.Conv1D(4, 3, padding="causal"), _SERIES, _KERNEL),
    "Conv2D": (lambda: _L.Conv2D(4, 3, strides=2), _IMAGE, {**_KERNEL, "activation": "quantized_bits(6,2)"}),
    "Conv1DTranspose": (lambda: _L.Conv1DTranspose(4, 3), _SERIES, _KERNEL),
    "Conv2DTranspose": (lambda: _L.Conv2DTranspose(4, 3), _IMAGE, _KERNEL),
    "DepthwiseConv1D": (lambda: _L.DepthwiseConv1D(3), _SERIES, _KERNEL),
    "DepthwiseConv2D": (lambda: _L.DepthwiseConv2D(3, depth_multiplier=2), _IMAGE, _KERNEL),
    "SeparableConv1D": (lambda: _L.SeparableConv1D(4, 3), _SERIES, {**_KERNEL, "pointwise_kernel": "binary"}),
    "SeparableConv2D": (lambda: _L.SeparableConv2D(4, 3), _IMAGE, {**_KERNEL, "pointwise_kernel": "binary"}),
    "Activation": (lambda: _L.Activation("tanh"), (5,), {"activation": "quantized_bits(4,0,1)"}),
    "BatchNormalization": (
        lambda: _L.BatchNormalization(),
        _IMAGE,
        {"gamma": "quantized_relu_po2(6,2048)", "beta": "quantized_po2(5)", "mean": "quantized_bits(8,2)"},
    ),
    "Embedding": (lambda: _L.Embedding(9, 4), (6,), {"embeddings": "quantized_bits(4,0,1)"}),
    "AveragePooling1D": (lambda: _L.AveragePooling1D(3), _SERIES, {"average": "quantized_bits(6,0,1)"}),
    "AveragePooling2D": (lambda: _L.AveragePooling2D(3), _IMAGE, {"average": "quantized_bits(6,0,1)"}),
    "GlobalAveragePooling1D": (
        lambda: _L.GlobalAveragePooling1D(),
        _SERIES,
        {"average": "quantized_bits(6,0,1)", "activation": "quantized_bits(6,2)"},
    ),
    "GlobalAveragePooling2D": (
        lambda: _L.GlobalAveragePooling2D(),
        _IMAGE,
        {"activation": "quantized_bits(6,2)"},
    ),
    "SimpleRNN": (lambda: _L.SimpleRNN(4), _SERIES, _RECURRENT),
    "LSTM": (lambda: _L.LSTM(4, dropout=0.2), _SERIES, _GATED),
    "GRU": (lambda: _L.GRU(4, return_sequences=True), _SERIES, _GATED),
    "Bidirectional": (lambda: _L.Bidirectional(_L.LSTM(4)), _SERIES, _GATED),
    "ReLU": (lambda: _L.ReLU(2.0), _IMAGE, {"activation": "quantized_relu(4,1)"}),
    "LeakyReLU": (lambda: _L.LeakyReLU(0.25), _IMAGE, {"activation": "quantized_bits(6,2)"}),
    "PReLU": (
        lambda: _L.PReLU(shared_axes=[1, 2]),
        _IMAGE,
        {"alpha": "quantized_bits(4,0,1)", "activation": "quantized_bits(6,2)"},
    ),
    "ELU": (_L.ELU, _IMAGE, {"activation": "quantized_bits(6,2)"}),
    "Softmax": (_L.Softmax, _IMAGE, {"activation": "quantized_bits(6,0,0,keep_negative=0)"}),
    "LayerNormalization": (
        _L.LayerNormalization,
        _SERIES,
        {"gamma": "quantized_bits(6,1)", "beta": "quantized_bits(4,0)", "activation": "quantized_bits(6,2)"},
    ),
    "GroupNormalization": (
        lambda: _L.GroupNormalization(3),
        _SERIES,
        {"gamma": "quantized_bits(6,1)", "activation": "quantized_bits(6,2)"},
    ),
    "RMSNormalization": (
        _L.RMSNormalization,
        _SERIES,
        {"gamma": "quantized_bits(6,1)", "activation": "quantized_bits(6,2)"},
    ),
    "UnitNormalization": (_L.UnitNormalization, _SERIES, {"activation": "quantized_bits(6,2)"}),
    "Rescaling": (lambda: _L.Rescaling(0.3), _SERIES, {"activation": "quantized_bits(6,2)"}),
    "Resizing": (lambda: _L.Resizing(5, 5), _IMAGE, {"activation": "quantized_bits(6,2)"}),
    **{
        name: (getattr(_L, name), _IMAGE, {"activation": "quantized_bits(5,2)"})
        for name in ("MaxPooling2D", "GlobalMaxPooling2D", "UpSampling2D")
    },
    **{
        name: (getattr(_L, name), _IMAGE, {"activation": "quantized_bits(5,2)"})
        for name in _MERGES
        if name != "Dot"
    },
    "Dot": (lambda: _L.Dot(1), _SERIES, {"activation": "quantized_bits(5,2)"}),
    "MultiHeadAttention": (
        lambda: _L.MultiHeadAttention(2, 4),
        _SERIES,
        {**_KERNEL, "query_kernel": "ternary", "activation": "quantized_bits(6,2)"},
    ),
}
#: Those whose quantized class is that of a layer above, word for word, over another number of axes.
_ALIKE: Final = frozenset(
    {f"{kind}{rank}D" for kind in ("MaxPooling", "GlobalMaxPooling", "UpSampling") for rank in (1, 3)}
    | {"AveragePooling3D", "GlobalAveragePooling3D"}
)
_RNG: Final = np.random.default_rng(5)


def _model(name: str) -> keras.Model:
    """A model of one layer, called `layer`, whose weights are random."""
    make, shape, _ = _LAYERS[name]
    inputs = keras.Input(shape, dtype="int32" if name == "Embedding" else "float32")
    layer = make()
    layer.name = "layer"
    if name in _MERGES:
        outputs = layer([inputs, keras.layers.Activation("tanh", name="other")(inputs)])
    else:
        outputs = layer(inputs, inputs) if name == "MultiHeadAttention" else layer(inputs)
    model = keras.Model(inputs, outputs)
    model.set_weights(
        [
            _RNG.uniform(-0.9, 0.9, w.shape).astype(np.float32) + (0.9 if w.ndim < 1 else 0)
            for w in model.get_weights()
        ]
    )
    if name == "BatchNormalization":
        layer.moving_variance.assign(np.full(3, 0.7))
    return model


def _quantized(name: str, model: keras.Model) -> keras.Model:
    slots = {slot: parse_quantizer(text) for slot, text in _LAYERS[name][2].items()}
    quantized = quantize(model, {"layer": slots})
    for old, new in zip(model.get_layer("layer").weights, quantized.get_layer("layer").weights, strict=False):
        new.assign(old)
    return quantized


def _x(name: str) -> np.ndarray:
    shape = (7, *_LAYERS[name][1])
    return (
        _RNG.integers(0, 9, shape).astype(np.int32)
        if name == "Embedding"
        else _RNG.normal(size=shape).astype(np.float32)
    )


def _array(value: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(ops.cast(value, "float32")))


def test_every_quantized_layer_is_shown() -> None:
    elsewhere = {"Shiftmax", "InputLayer"}  # tests/quantization/models/test_inputs.py
    assert set(_LAYERS) | _ALIKE | set(FOLDED.values()) | elsewhere == set(QUANTIZED_LAYERS)


@pytest.mark.parametrize("name", QUANTIZED_LAYERS)
class TestTheTableOfLayers:
    """What the plain table says of a class is what its quantized layer does."""

    def test_it_names_the_slots_of_the_quantized_layer(self, name: str) -> None:
        assert {slot.name for slot in LAYER_CLASSES[name].slots} == set(QUANTIZED_LAYERS[name].SLOTS)

    @pytest.mark.parametrize("flag", ["use_bias", "scale", "center"])
    @pytest.mark.parametrize("value", [True, False])
    def test_a_slot_exists_where_the_quantized_layer_has_it(self, name: str, flag: str, value: bool) -> None:
        inner = {"class_name": "SimpleRNN", "config": {flag: value}}
        config = {"layer": inner} if name == "Bidirectional" else {flag: value}
        quantized = QUANTIZED_LAYERS[name]
        exist = {slot for slot in quantized.SLOTS if quantized.configured(slot, config)}
        assert {slot.name for slot in slots_of(name, config)} == exist


def test_the_classes_of_keras_in_the_table_are_those_keras_has() -> None:
    assert {name for name in LAYER_CLASSES if hasattr(keras.layers, name)} == KERAS_LAYERS


def test_every_class_that_a_search_names_can_be_quantized() -> None:
    assert set(SEARCHED_LAYERS) <= QUANTIZED_LAYERS.keys()


def test_every_folded_class_has_a_quantized_layer() -> None:
    assert {row.folded for row in LAYER_CLASSES.values()} - {None} <= QUANTIZED_LAYERS.keys()


@pytest.mark.parametrize("name", _LAYERS)
class TestEveryLayer:
    def test_without_quantizers_it_is_the_keras_layer_exactly(self, name: str) -> None:
        model, x = _model(name), _x(name)
        plain = quantize(model, {"layer": {}})
        plain.set_weights(model.get_weights())
        np.testing.assert_array_equal(_array(plain(x, training=False)), _array(model(x, training=False)))

    def test_with_quantizers_it_computes_something_else(self, name: str) -> None:
        model, x = _model(name), _x(name)
        difference = np.abs(_array(_quantized(name, model)(x)) - _array(model(x)))
        assert 0 < difference.max() < np.inf

    def test_its_weights_are_integers_times_a_scale(self, name: str) -> None:
        layer: Any = _quantized(name, _model(name)).get_layer("layer")
        for slot, (codes, scale) in layer.quantized_weights().items():
            direction, _, inner_slot = slot.partition("_")
            if direction in ("forward", "backward"):
                owner = getattr(layer, f"{direction}_layer")
            else:
                owner, inner_slot = layer, slot
            expected = owner.quantizer(inner_slot)(owner.weight_of(inner_slot))
            np.testing.assert_array_equal(
                (codes * scale.astype(np.float64)).astype(np.float32), _array(expected)
            )

    def test_its_width_is_the_field_that_the_table_names(self, name: str) -> None:
        layer: Any = _quantized(name, _model(name)).get_layer("layer")
        fields = {"filters", "units"} & layer.get_config().keys()
        assert fields == {LAYER_CLASSES[name].width} - {None}
        assert width_of(layer) == (4 if fields else None)

    def test_its_configuration_reads_back(self, name: str) -> None:
        layer: Any = _quantized(name, _model(name)).get_layer("layer")
        config = json.loads(json.dumps(layer.get_config()))
        assert type(layer).from_config(config).specs == layer.specs

    def test_gradients_are_finite_and_reach_every_weight(self, name: str) -> None:
        model = _quantized(name, _model(name))
        if not model.trainable_variables:
            pytest.skip("the layer has no weights")
        before = [np.array(weight) for weight in model.get_weights()]
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        x = _x(name)
        model.fit(x, np.ones_like(_array(model(x))), verbose=0)
        after = model.get_weights()
        assert all(np.all(np.isfinite(weight)) for weight in after)
        assert any(np.any(old != new) for old, new in zip(before, after, strict=True))

    @pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
    def test_mixed_precision_quantizes_the_float32_weights(self, name: str, dtype: str) -> None:
        model, x = _model(name), _x(name)
        wide = _quantized(name, model)
        config = wide.get_layer("layer").get_config() | {"dtype": dtype}
        narrow: Any = type(wide.get_layer("layer")).from_config(config)
        inputs = [x, np.tanh(x)] if name in _MERGES else x
        outputs = narrow(inputs, inputs) if name == "MultiHeadAttention" else narrow(inputs)
        assert keras.backend.standardize_dtype(outputs.dtype) == dtype.removeprefix("mixed_")
        assert np.all(np.isfinite(_array(outputs)))
        for slot, (codes, _) in narrow.quantized_weights().items():
            assert codes.dtype == np.int64, slot

    def test_an_unknown_slot_is_an_error_that_lists_the_slots(self, name: str) -> None:
        with pytest.raises(ValueError, match="has no slot 'colour'; its slots"):
            quantize(_model(name), {"layer": {"colour": parse_quantizer("binary")}})

    def test_it_is_read_back_as_it_was_assigned(self, name: str) -> None:
        slots = {slot: parse_quantizer(text) for slot, text in _LAYERS[name][2].items()}
        assert read_quantizers(_quantized(name, _model(name))) == {"layer": slots}


_LOADER: Final = """
import sys, numpy as np, keras, quantization.layers
for path in sys.argv[1:]:
    outputs = keras.models.load_model(path + ".keras")(np.load(path + ".x.npy"), training=False)
    np.save(path + ".y.npy", np.asarray(keras.ops.convert_to_numpy(outputs)))
"""


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Class -> outputs of the model here, and of the saved one in a process that only imports the layers."""
    folder = tmp_path_factory.mktemp("saved")
    here = {}
    for name in _LAYERS:
        model, x = _quantized(name, _model(name)), _x(name)
        model.save(folder / f"{name}.keras")
        np.save(folder / f"{name}.x.npy", x)
        here[name] = _array(model(x, training=False))
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", _LOADER, *(str(folder / name) for name in _LAYERS)]
    subprocess.run(command, check=True, env=environment, cwd=folder, capture_output=True)
    return {name: (here[name], np.load(folder / f"{name}.y.npy")) for name in _LAYERS}


@pytest.mark.parametrize("name", _LAYERS)
def test_a_saved_layer_computes_the_same_in_a_new_process(name: str, reloaded: Any) -> None:
    here, there = reloaded[name]
    np.testing.assert_array_equal(here, there)


def test_what_a_quantizer_remembers_is_saved(tmp_path: Path) -> None:
    inputs = keras.Input((5,))
    quantizers = {"kernel": "trainable_std(4)", "activation": "quantized_relu(4,2,qnoise_factor=0.25)"}
    layer: Any = QUANTIZED_LAYERS["Dense"](3, name="layer", quantizers=quantizers)
    model = keras.Model(inputs, layer(inputs))
    layer.quantizer("kernel").threshold.assign(1.5)
    layer.quantizer("activation").noise_factor.assign(0.75)
    model.save(tmp_path / "model.keras")
    loaded: Any = keras.models.load_model(tmp_path / "model.keras").get_layer("layer")
    numbers = (
        float(loaded.quantizer("kernel").threshold.value),
        float(loaded.quantizer("activation").noise_factor.value),
    )
    assert numbers == (1.5, 0.75)


def test_a_kernel_without_alpha_has_scales_that_are_powers_of_two() -> None:
    layer: Any = QUANTIZED_LAYERS["Dense"](
        3, quantizers={"kernel": "binary", "bias": "quantized_bits(8,3,1)"}
    )
    layer.build((None, 5))
    scale = layer.quantized_weights()["kernel"][1]
    assert scale.shape == (1, 3)
    np.testing.assert_array_equal(scale, np.exp2(np.round(np.log2(scale))))


def test_an_adaptive_activation_widens_its_range_with_the_data() -> None:
    layer = AdaptiveActivation("relu", bits=4, momentum=0.5)
    widths = []
    for size in (0.5, 3.0, 30.0):
        for _ in range(20):
            layer(np.full((4, 2), size, np.float32), training=True)
        widths.append(int(_array(layer.integer_bits())))
    assert widths == [0, 2, 5] or widths == [-1, 2, 5]


def test_an_adaptive_activation_gives_at_most_its_levels() -> None:
    layer = AdaptiveActivation("relu", bits=3)
    x = np.linspace(-1, 4, 500, dtype=np.float32)
    layer(x, training=True)
    assert len(np.unique(_array(layer(x)))) == 8


def test_shiftmax_in_attention_weighs_by_powers_of_two() -> None:
    layer: Any = QUANTIZED_LAYERS["MultiHeadAttention"](1, 4, shiftmax=True)
    x = _RNG.normal(size=(2, 5, 3)).astype(np.float32)
    _, scores = layer(x, x, return_attention_scores=True)
    logs = np.log2(_array(scores))
    np.testing.assert_array_equal(logs, np.round(logs))


def test_attention_by_shifts_respects_a_causal_mask() -> None:
    layer: Any = QUANTIZED_LAYERS["MultiHeadAttention"](1, 4, shiftmax=True)
    x = _RNG.normal(size=(2, 5, 3)).astype(np.float32)
    _, scores = layer(x, x, return_attention_scores=True, use_causal_mask=True)
    assert np.all(np.triu(_array(scores)[:, 0], 1) == 0)
