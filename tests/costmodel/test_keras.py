"""Shapes, parameters and descriptions agree with Keras itself."""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.bits import BitsSettings, model_bits
from costmodel.energy import prepare, price
from costmodel.errors import InvalidNetwork
from costmodel.layer import Config
from costmodel.layer_classes import KERAS_LAYERS, LAYER_CLASSES, lower
from costmodel.network import read_network
from costmodel.propagation import FIXED8
from costmodel.settings import EnergySettings
from costmodel.size import parameters
from tests.costmodel.build import EXAMPLES

#: Classes Keras does not have: normalization folded in, and softmax to the base 2.
OURS = LAYER_CLASSES.keys() - KERAS_LAYERS
KERAS = [example for example in EXAMPLES if example[0] not in OURS]
MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot")


def keras_layer(class_name, config):
    """The Keras layer of this configuration."""
    if class_name == "Bidirectional":
        inner = config["layer"]
        wrapped = getattr(keras.layers, inner["class_name"])(**inner["config"])
        return keras.layers.Bidirectional(
            wrapped, **{key: value for key, value in config.items() if key != "layer"}
        )
    return getattr(keras.layers, class_name)(name="x", **config)


def keras_model(class_name, shapes, config):
    """A Keras model of that one layer."""
    inputs = [keras.Input(shape) for shape in shapes]
    layer = keras_layer(class_name, config)
    if class_name == "MultiHeadAttention":
        return keras.Model(inputs, layer(*inputs))
    return keras.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]))


def read(model):
    return read_network(json.loads(model.to_json()))


@pytest.mark.parametrize(("class_name", "shapes", "config"), KERAS, ids=[example[0] for example in KERAS])
def test_the_shape_of_every_layer_is_what_keras_says(class_name, shapes, config):
    model = keras_model(class_name, shapes, config)

    network = read(model)

    assert network.layers[-1].output_shape == model.output_shape[1:]


@pytest.mark.parametrize(("class_name", "shapes", "config"), KERAS, ids=[example[0] for example in KERAS])
def test_every_layer_has_the_parameters_keras_gives_it(class_name, shapes, config):
    model = keras_model(class_name, shapes, config)

    lowering = lower(read(model).layers[-1])

    assert lowering is not None
    assert sum(parameter.elements for parameter in lowering.parameters) == model.count_params()


@pytest.mark.parametrize(("class_name", "shapes", "config"), KERAS, ids=[example[0] for example in KERAS])
def test_get_config_is_read_as_to_json_is(class_name, shapes, config):
    model = keras_model(class_name, shapes, config)

    parsed, direct = read(model), read_network(model.get_config())
    assert [layer.output_shape for layer in parsed.layers] == [layer.output_shape for layer in direct.layers]


sizes = st.integers(1, 9)
small = st.integers(1, 4)


def windowed(rank, *, dilated=True, **more):
    """Configurations of a convolution of this rank."""
    strides = st.tuples(*[st.integers(1, 3)] * rank)
    fields = {
        "kernel_size": st.tuples(*[small] * rank),
        "padding": st.sampled_from(["valid", "same"]),
        "strides": strides,
        **more,
    }
    plain = st.fixed_dictionaries(fields)
    if not dilated:
        return plain
    spread = {**fields, "strides": st.just((1,) * rank), "dilation_rate": st.tuples(*[small] * rank)}
    return plain | st.fixed_dictionaries(spread)


def pooled(rank):
    fields = {
        "pool_size": st.tuples(*[small] * rank),
        "strides": st.none() | st.tuples(*[small] * rank),
        "padding": st.sampled_from(["valid", "same"]),
    }
    return st.fixed_dictionaries(fields)


def margins(field, rank):
    pair = st.tuples(st.integers(0, 2), st.integers(0, 2))
    several = pair if rank == 1 else st.tuples(*[pair] * rank)
    return st.fixed_dictionaries({field: st.integers(0, 2) | several})


CONFIGS = {
    **{f"Conv{n}D": (n + 1, windowed(n, filters=sizes)) for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": (n + 1, windowed(n, dilated=False, filters=sizes)) for n in (1, 2, 3)},
    **{f"DepthwiseConv{n}D": (n + 1, windowed(n, dilated=False, depth_multiplier=small)) for n in (1, 2)},
    **{f"SeparableConv{n}D": (n + 1, windowed(n, dilated=False, filters=sizes)) for n in (1, 2)},
    **{f"{kind}Pooling{n}D": (n + 1, pooled(n)) for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{
        f"Global{kind}Pooling{n}D": (n + 1, st.fixed_dictionaries({"keepdims": st.booleans()}))
        for kind in ("Max", "Average")
        for n in (1, 2, 3)
    },
    **{f"ZeroPadding{n}D": (n + 1, margins("padding", n)) for n in (1, 2, 3)},
    **{f"Cropping{n}D": (n + 1, margins("cropping", n)) for n in (1, 2, 3)},
    "UpSampling1D": (2, st.fixed_dictionaries({"size": small})),
    "UpSampling2D": (3, st.fixed_dictionaries({"size": small | st.tuples(small, small)})),
    "UpSampling3D": (4, st.fixed_dictionaries({"size": st.tuples(small, small, small)})),
    **{
        name: (2, st.fixed_dictionaries({"units": sizes, "return_sequences": st.booleans()}))
        for name in ("SimpleRNN", "LSTM", "GRU")
    },
    "Embedding": (1, st.fixed_dictionaries({"input_dim": sizes, "output_dim": sizes})),
    "RepeatVector": (1, st.fixed_dictionaries({"n": sizes})),
    "Permute": (3, st.fixed_dictionaries({"dims": st.permutations([1, 2, 3])})),
}


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_configuration_has_the_shape_keras_computes_or_is_refused_by_both(data):
    class_name = data.draw(st.sampled_from(sorted(CONFIGS)))
    rank, configs = CONFIGS[class_name]
    shape, config = data.draw(st.tuples(*[sizes] * rank)), data.draw(configs)
    try:
        ours = LAYER_CLASSES[class_name].shape(Config("x", config), (shape,))
    except InvalidNetwork:
        ours = None

    theirs = computed(class_name, config, [shape])

    assert ours == theirs


def computed(class_name, config, shapes):
    """The shape Keras computes, None if it computes none or an empty one."""
    try:
        layer = keras_layer(class_name, config)
        given_shapes = [(None, *shape) for shape in shapes]
        theirs_shape = layer.compute_output_shape(given_shapes[0] if len(shapes) == 1 else given_shapes)
    except ValueError:
        return None
    lengths = tuple(theirs_shape)[1:]
    return lengths if all(length > 0 for length in lengths) else None


@given(
    class_name=st.sampled_from(MERGES[:6]),
    shape=st.tuples(sizes, sizes),
    flat=st.lists(st.sampled_from([(False, False), (True, False), (False, True)]), min_size=2, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_broadcasting_merges_have_the_shape_keras_computes(class_name, shape, flat):
    shapes = [tuple(1 if one else n for n, one in zip(shape, ones, strict=True)) for ones in flat]
    if class_name == "Subtract":
        shapes = shapes[:2]

    ours = LAYER_CLASSES[class_name].shape(Config("x", {}), tuple(shapes))

    assert ours == computed(class_name, {}, shapes)


@given(first=st.tuples(sizes, sizes), width=sizes, axes=st.sampled_from([1, 2, -1, (2, 1), (1, 2)]))
@settings(max_examples=60, deadline=None)
def test_dot_has_the_shape_keras_gives(first, width, axes):
    pair = axes if isinstance(axes, tuple) else (axes, axes)
    second = [width, width]
    second[pair[1] - 1 if pair[1] > 0 else 1] = first[pair[0] - 1 if pair[0] > 0 else 1]

    ours = LAYER_CLASSES["Dot"].shape(Config("x", {"axes": axes}), (first, tuple(second)))

    given_shapes = [keras.KerasTensor((2, *first)), keras.KerasTensor((2, *second))]
    assert ours == keras.layers.Dot(axes)(given_shapes).shape[1:]


def test_sequential_models_are_read_with_and_without_an_input_layer():
    with_input = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, name="d")])
    without = keras.Sequential([keras.layers.Dense(3, name="d")])
    without.build((None, 6))

    assert read(with_input).layer("d").input_shapes == read(without).layer("d").input_shapes == ((6,),)


def test_a_residual_network_of_two_inputs_is_read_as_keras_has_it():
    a, b = keras.Input((8, 8, 4), name="a"), keras.Input((4,), name="b")
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(a)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(keras.layers.Add()([x, a]))
    x = keras.layers.Multiply()([keras.layers.GlobalAveragePooling2D()(x), b])
    model = keras.Model(
        [a, b], [keras.layers.Dense(2, name="left")(x), keras.layers.Dense(3, name="right")(x)]
    )

    network = read(model)

    assert (network.inputs, network.outputs) == (("a", "b"), ("left", "right"))
    assert {entry.name: entry.output_shape for entry in network.layers} == {
        entry.name: entry.output.shape[1:] for entry in model.layers
    }


def test_a_layer_that_is_called_twice_is_a_layer_at_each_call_with_one_set_of_parameters():
    a = keras.Input((4,), name="a")
    dense = keras.layers.Dense(4, name="dense")
    model = keras.Model(a, dense(dense(a)))
    network = read(model)

    assert [(layer.name, layer.inbound) for layer in network.layers] == [
        ("a", ()),
        ("dense", ("a",)),
        ("dense#2", ("dense",)),
    ]
    assert network.outputs == ("dense#2",)
    types = {"dense": {"kernel": FIXED8, "bias": FIXED8, "activation": FIXED8}}
    first, second = price(prepare(network), types, EnergySettings()).layers
    assert first.energy.operations_pj == second.energy.operations_pj > 0
    assert first.energy.parameters_pj > second.energy.parameters_pj == 0
    assert model_bits(network, types, BitsSettings()).parameters == 8 * model.count_params()
    assert sum(parameters(layer) for layer in network.layers) == model.count_params()


def test_the_work_of_a_kernel_is_the_products_that_make_its_output():
    """A kernel of ones on an input of ones sums, position by position, the products of one output number."""
    model = keras_model(
        "Conv2D", [(8, 8, 4)], {"filters": 6, "kernel_size": 3, "groups": 2, "use_bias": False}
    )
    model.layers[-1].set_weights([np.ones_like(model.layers[-1].get_weights()[0])])

    products = np.sum(model([np.ones((1, 8, 8, 4), "float32")]))

    assert prepare(read(model)).nodes[0].lowering.macs == products == 36 * 6 * 9 * 2
