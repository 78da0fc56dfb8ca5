"""One definition of what folds: prices, `fold` and searches agree, and folding changes no output."""

from __future__ import annotations

import json
from typing import Any, Final

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.energy import prepare, price_reference
from costmodel.fold import folded
from costmodel.foldable import FOLDED, foldable_pairs
from costmodel.network import Network, read_network
from costmodel.settings import EnergySettings
from quantization.models import fold as models
from quantization.models.convert import plain_description, quantize
from quantization.specs.parse import parse_quantizer

_L: Final = keras.layers
_SHAPE: Final = (4, 4, 3)
_RNG: Final = np.random.default_rng(3)


def _linear(class_name: str, **options: Any) -> Any:
    """A layer of one of the foldable classes for images of `_SHAPE`, which keeps their shape."""
    if class_name == "Dense":
        return _L.Dense(3, **options)
    if class_name.startswith("Depthwise"):
        return _L.DepthwiseConv2D(2, padding="same", **options)
    return getattr(_L, class_name)(3, 2, padding="same", **options)


_OF_IMAGES: Final = ("Dense", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D")


def _randomized(model: keras.Model) -> keras.Model:
    model.set_weights([_RNG.uniform(0.3, 1.2, w.shape).astype(np.float32) for w in model.weights])
    return model


def _network(model: keras.Model) -> Network:
    return read_network(json.loads(model.to_json()))


#: What a step adds, the tensor and (of Add) the other tensor it reads, an option, and whether it reuses a layer.
_STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(["linear", "relu_linear", "norm", "norm", "norm", "dropout", "relu", "add"]),
        st.sampled_from([-1, -1, -1, -2, -3]),
        st.integers(0, 20),
        st.booleans(),
    ),
    min_size=2,
    max_size=7,
)


def _graph_of(steps: list[tuple[str, int, int, bool]], extra: int, *, shared: bool) -> keras.Model:
    """Layers of every sort that matters, each reading any tensor before it; `extra`: one more output, 0 for none."""
    inputs = keras.Input(_SHAPE)
    tensors, layers = [inputs], []
    for kind, source, option, reuse in steps:
        x = tensors[max(source, -len(tensors))]
        if kind == "add":
            tensors.append(_L.Add()([x, tensors[option % len(tensors)]]))
            continue
        if shared and layers and reuse:
            layers.append(layers[option % len(layers)])
        else:
            layers.append(_layer_of(kind, option))
        tensors.append(layers[-1](x))
    outputs = [tensors[-1], *([tensors[1 + extra % (len(tensors) - 1)]] if extra else [])]
    return _randomized(keras.Model(inputs, outputs))


def _layer_of(kind: str, option: int) -> Any:
    match kind:
        case "linear" | "relu_linear":
            function = "relu" if kind == "relu_linear" else None
            class_name = _OF_IMAGES[option % len(_OF_IMAGES)]
            return _linear(class_name, activation=function, use_bias=option % 2 == 0)
        case "norm":
            return _L.BatchNormalization(axis=(-1, 3, -1, 1)[option % 4], scale=option % 3 > 0)
        case "dropout":
            return _L.Dropout(0.3)
        case _:
            return _L.ReLU()


def _outputs(model: keras.Model, x: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(keras.ops.convert_to_numpy(y)) for y in keras.tree.flatten(model(x, training=False))]


def _assert_same_outputs(one: keras.Model, other: keras.Model) -> None:
    x = _RNG.normal(size=(3, *one.inputs[0].shape[1:])).astype(np.float32)
    for a, b in zip(_outputs(one, x), _outputs(other, x), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-3 * max(1.0, float(np.abs(a).max())))


def _assert_one_definition(model: keras.Model) -> None:
    network = _network(model)
    pairs = foldable_pairs(network)
    assert {node.layer.name: node.folds_into for node in prepare(network).nodes if node.folds_into} == pairs
    assert {before: name for name, before in pairs.items()} == models.foldable_pairs(model)
    built = models.fold(model)
    assert _graph(read_network(plain_description(built))) == _graph(folded(network))
    described = models.folded_description(json.loads(model.to_json()))
    assert _graph(read_network(plain_description(described))) == _graph(folded(network))
    _assert_same_outputs(model, built)


def _graph(network: Network) -> Any:
    layers = {layer.name: (layer.class_name, layer.inbound, layer.output_shape) for layer in network.layers}
    return layers, network.inputs, network.outputs


@settings(max_examples=15, deadline=None)
@given(_STEPS, st.integers(0, 5))
def test_prices_folding_and_searches_have_one_definition_of_foldable(steps: Any, extra: int) -> None:
    _assert_one_definition(_graph_of(steps, extra, shared=False))


@settings(max_examples=10, deadline=None)
@given(_STEPS, st.integers(0, 5))
def test_folding_never_changes_the_outputs_of_a_model_with_shared_layers(steps: Any, extra: int) -> None:
    model = _graph_of(steps, extra, shared=True)
    _assert_same_outputs(model, models.fold(model))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("class_name", FOLDED)
def test_every_foldable_class_folds(class_name: str, bias: bool) -> None:
    length = 3 if class_name == "Dense" or class_name.endswith("1D") or "1D" in class_name else 4
    inputs = keras.Input((6, 3) if length == 3 else _SHAPE)
    if "Depthwise" in class_name:
        layer = getattr(_L, class_name)(2, depth_multiplier=2, use_bias=bias, name="c")
    else:
        layer = getattr(_L, class_name)(*((5,) if class_name == "Dense" else (5, 2)), use_bias=bias, name="c")
    model = _randomized(keras.Model(inputs, _L.BatchNormalization(name="n")(layer(inputs))))

    assert foldable_pairs(_network(model)) == {"n": "c"}
    _assert_one_definition(model)
    _assert_same_outputs(model, models.unfold(models.fold(model)))


def _dropout_and_add() -> keras.Model:
    inputs = keras.Input(_SHAPE)
    x = _L.Dropout(0.2)(_L.Conv2D(4, 3, name="c")(inputs))
    return keras.Model(inputs, _L.Add()([x, _L.BatchNormalization(name="n")(x)]))


def _dropout_is_an_output() -> keras.Model:
    inputs = keras.Input(_SHAPE)
    x = _L.Dropout(0.2)(_L.Conv2D(4, 3, name="c")(inputs))
    return keras.Model(inputs, [x, _L.BatchNormalization(name="n")(x)])


def _along_rows() -> keras.Model:
    inputs = keras.Input(_SHAPE)
    return keras.Model(inputs, _L.BatchNormalization(axis=1, name="n")(_L.Conv2D(4, 3, name="c")(inputs)))


def _along_time() -> keras.Model:
    inputs = keras.Input((5, 3))
    return keras.Model(inputs, _L.BatchNormalization(axis=1, name="n")(_L.Dense(4, name="c")(inputs)))


@pytest.mark.parametrize("make", [_dropout_and_add, _dropout_is_an_output, _along_rows, _along_time])
def test_what_does_not_fold_is_computed_and_priced_as_computed(make: Any) -> None:
    network = _network(make())
    report = price_reference(prepare(network), EnergySettings(internal="int8", accumulator="int32"))

    assert foldable_pairs(network) == {}
    assert "operations" in report.layer("n").energy.included
    _assert_one_definition(_randomized(make()))


def test_a_dropout_that_only_the_normalization_reads_is_passed() -> None:
    inputs = keras.Input(_SHAPE)
    x = _L.Dropout(0.2, name="d")(_L.Conv2D(4, 3, name="c")(inputs))
    model = _randomized(keras.Model(inputs, _L.ReLU()(_L.BatchNormalization(name="n")(x))))

    assert foldable_pairs(_network(model)) == {"n": "c"}
    _assert_one_definition(model)


def test_a_quantized_output_is_not_folded_over() -> None:
    inputs = keras.Input(_SHAPE)
    model = keras.Model(inputs, _L.BatchNormalization(name="n")(_L.Conv2D(4, 3, name="c")(inputs)))
    int4 = quantize(model, {"c": {"activation": parse_quantizer("quantized_bits(4,1)")}})

    assert models.foldable_pairs(int4) == {}


@pytest.mark.parametrize(("layer", "normalization"), [(True, False), (False, True), (False, False)])
def test_what_was_frozen_stays_frozen(layer: bool, normalization: bool) -> None:
    inputs = keras.Input(_SHAPE)
    conv = _L.Conv2D(4, 3, name="c", trainable=layer)
    norm = _L.BatchNormalization(name="n", trainable=normalization)
    built = models.fold(_randomized(keras.Model(inputs, norm(conv(inputs)))))
    built = keras.Model.from_config(built.get_config())
    target: Any = built.get_layer("c")
    statistics = [np.array(w) for w in (target.batchnorm.moving_mean, target.batchnorm.moving_variance)]
    built(_RNG.normal(size=(8, *_SHAPE)).astype(np.float32), training=True)
    after = [np.array(w) for w in (target.batchnorm.moving_mean, target.batchnorm.moving_variance)]

    names = {variable.name for variable in built.trainable_variables}
    assert ("kernel" in names) == layer
    assert ("gamma" in names) == normalization
    moved = any(not np.array_equal(a, b) for a, b in zip(statistics, after, strict=True))
    assert moved == normalization
