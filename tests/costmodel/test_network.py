"""Networks are read from Keras' descriptions, and nothing in a description is trusted."""

import json
import random
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.errors import InvalidNetwork, UnsupportedLayer
from costmodel.layer_classes import LAYER_CLASSES, TRAINING_ONLY, width_field
from costmodel.network import read_network, with_widths
from tests.costmodel.build import EXAMPLES, functional, layer, single, source, tensor


def chain():
    return functional(
        source("in", 8, 8, 2),
        layer("Conv2D", "conv", "in", filters=4, kernel_size=[3, 3]),
        layer("Flatten", "flat", "conv"),
        layer("Dense", "dense", "flat", units=3),
    )


def test_layers_come_in_topological_order():
    described = chain()
    described["config"]["layers"].reverse()

    network = read_network(described)

    assert [entry.name for entry in network.layers] == ["in", "conv", "flat", "dense"]


def test_shapes_leave_the_batch_out():
    network = read_network(chain())

    assert [entry.output_shape for entry in network.layers] == [(8, 8, 2), (6, 6, 4), (144,), (3,)]
    assert network.layer("flat").input_shapes == ((6, 6, 4),)


def test_inputs_and_outputs_are_named():
    network = read_network(chain())

    assert (network.inputs, network.outputs) == (("in",), ("dense",))


def test_a_single_output_may_be_written_without_a_list():
    described = chain()
    described["config"]["output_layers"] = ["dense", 0, 0]

    assert read_network(described).outputs == ("dense",)


def test_the_configuration_alone_is_read_too():
    assert read_network(chain()["config"]) == read_network(chain())


def test_an_unknown_layer_is_named_with_those_supported():
    described = functional(source("in", 4), layer("Lambda", "magic", "in"))

    with pytest.raises(UnsupportedLayer, match=r"'magic'.*Lambda has no price.*supported: .*Dense") as caught:
        read_network(described)

    assert caught.value.supported == tuple(sorted(LAYER_CLASSES))


@pytest.mark.parametrize("class_name", ["Functional", "Sequential"])
def test_a_nested_model_is_refused(class_name):
    with pytest.raises(UnsupportedLayer, match="a model inside a model"):
        read_network(functional(source("in", 4), layer(class_name, "inner", "in")))


def test_a_sequential_model_is_a_chain():
    layers = [
        {"class_name": "Dense", "config": {"name": "a", "units": 5}},
        {"class_name": "Dropout", "config": {"name": "b", "rate": 0.5}},
        {"class_name": "Dense", "config": {"name": "c", "units": 2}},
    ]

    network = read_network({"layers": layers, "build_input_shape": [None, 7]})

    assert [(entry.class_name, entry.output_shape) for entry in network.layers] == [
        ("InputLayer", (7,)),
        ("Dense", (5,)),
        ("Dropout", (5,)),
        ("Dense", (2,)),
    ]


def test_a_sequential_model_never_built_is_refused():
    with pytest.raises(InvalidNetwork, match="never built"):
        read_network({"layers": [{"class_name": "Dense", "config": {"name": "a", "units": 5}}]})


def test_an_input_of_open_length_is_refused():
    described = functional(
        layer("InputLayer", "in", batch_shape=[None, None, 3]), layer("Flatten", "f", "in")
    )

    with pytest.raises(InvalidNetwork, match=r"'in', batch_shape\[1\]: is left open"):
        read_network(described)


def test_a_cycle_is_refused():
    described = functional(
        source("in", 4), layer("Add", "a", "in", "b"), layer("Dense", "b", "a", units=4), outputs=["b"]
    )

    with pytest.raises(InvalidNetwork, match="reads, directly or indirectly, from itself"):
        read_network(described)


def test_two_layers_of_one_name_are_refused():
    with pytest.raises(InvalidNetwork, match="same name"):
        read_network(functional(source("in", 4), layer("ReLU", "a", "in"), layer("ReLU", "a", "in")))


def test_a_tensor_from_nowhere_is_refused():
    with pytest.raises(InvalidNetwork, match="reads 'ghost'"):
        read_network(functional(source("in", 4), layer("Add", "a", "in", "ghost")))


def test_an_output_that_is_not_there_is_refused():
    with pytest.raises(InvalidNetwork, match="'ghost'"):
        read_network(functional(source("in", 4), layer("ReLU", "a", "in"), outputs=["ghost"]))


def test_a_second_output_of_a_layer_is_refused():
    described = chain()
    described["config"]["layers"][2]["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = [
        "conv",
        0,
        1,
    ]

    with pytest.raises(InvalidNetwork, match="second output"):
        read_network(described)


def test_channels_first_is_refused():
    with pytest.raises(InvalidNetwork, match="'x', data_format"):
        single("Conv2D", (8, 8, 3), filters=2, kernel_size=3, data_format="channels_first")


def test_masks_are_passed_over():
    described = functional(source("in", 5, 3), layer("LSTM", "x", "in", units=2))
    described["config"]["layers"][1]["inbound_nodes"][0]["kwargs"] = {
        "mask": None,
        "attention_mask": tensor("in"),
    }

    assert read_network(described).layer("x").inbound == ("in",)


def test_an_initial_state_is_refused():
    described = functional(
        source("in", 5, 3), source("s", 2), layer("LSTM", "x", "in", units=2), outputs=["x"]
    )
    described["config"]["layers"][2]["inbound_nodes"][0]["kwargs"] = {"initial_state": tensor("s")}

    with pytest.raises(InvalidNetwork, match="initial_state"):
        read_network(described)


@pytest.mark.parametrize(
    ("class_name", "shapes", "config", "says"),
    [
        ("Dense", [(4,)], {"units": 0}, "units"),
        ("Dense", [(4,)], {"units": True}, "units"),
        ("Dense", [(4,)], {"units": 2.5}, "units"),
        ("Dense", [(4,)], {}, "units"),
        ("Conv2D", [(8, 8, 3)], {"filters": 4, "kernel_size": 9}, "kernel_size"),
        ("Conv2D", [(8, 8, 3)], {"filters": 4, "kernel_size": 3, "groups": 2}, "groups"),
        ("Conv2D", [(8, 3)], {"filters": 4, "kernel_size": 3}, "input_shape"),
        ("Conv2D", [(8, 8, 3)], {"filters": 4, "kernel_size": [3, 3, 3]}, "kernel_size"),
        ("Conv2D", [(8, 8, 3)], {"filters": 4, "kernel_size": 3, "padding": "causal"}, "padding"),
        ("Reshape", [(8,)], {"target_shape": [3, -1]}, "target_shape"),
        ("Reshape", [(8,)], {"target_shape": [-1, -1]}, "target_shape"),
        ("Reshape", [(8,)], {"target_shape": "8"}, "target_shape"),
        ("Permute", [(3, 4)], {"dims": [1, 1]}, "dims"),
        ("Cropping2D", [(4, 4, 1)], {"cropping": 2}, "cropping"),
        ("Concatenate", [(4, 3), (5, 4)], {"axis": -1}, "input_shape"),
        ("Add", [(4,)], {}, "inbound_nodes"),
        ("Add", [(4,), (5,)], {}, "input_shape"),
        ("Dot", [(4,), (5,)], {"axes": 1}, "axes"),
        ("LSTM", [(4, 3)], {"units": 2, "return_state": True}, "return_state"),
        ("UpSampling2D", [(4, 4, 3)], {"interpolation": "bilinear"}, "interpolation"),
        ("Bidirectional", [(4, 3)], {"layer": {"class_name": "Dense", "config": {}}}, "layer"),
        ("Embedding", [(4,)], {"input_dim": 10}, "output_dim"),
        ("MultiHeadAttention", [(4, 3)], {"num_heads": 1, "key_dim": 2}, "inbound_nodes"),
    ],
)
def test_a_layer_that_makes_no_sense_is_refused_by_name_and_field(class_name, shapes, config, says):
    with pytest.raises(InvalidNetwork) as caught:
        single(class_name, *shapes, **config)

    assert (caught.value.layer, caught.value.field) == ("x", says)


@pytest.mark.parametrize(
    "value", [None, [], "model", 3, {}, {"layers": []}, {"class_name": "Model", "config": 1}]
)
def test_what_is_no_model_is_refused(value):
    with pytest.raises(InvalidNetwork):
        read_network(value)


def test_a_description_nested_without_end_is_refused():
    nested = "deep"
    for _ in range(500):
        nested = [nested]
    described = chain()
    described["config"]["layers"][1]["inbound_nodes"][0]["args"] = nested

    with pytest.raises(InvalidNetwork, match="nested too deeply"):
        read_network(described)


def test_a_tensor_too_large_to_be_real_is_refused():
    with pytest.raises(InvalidNetwork, match="output_shape"):
        single("ZeroPadding2D", (1, 1, 2**20), padding=2**20)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(value=junk, seed=st.integers(0, 10**6))
def test_a_corrupted_description_is_read_or_refused_but_never_breaks(value, seed):
    described = json.loads(json.dumps(chain()))
    places = list(_places(described))
    container, key = random.Random(seed).choice(places)
    container[key] = value

    said = ""
    try:
        read_network(described)
    except InvalidNetwork as error:
        said = str(error)
    assert len(said) < 3000


def _places(value):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def test_widths_change_every_shape_behind_them():
    network = with_widths(read_network(chain()), {"conv": 8, "dense": 5})

    assert [entry.output_shape for entry in network.layers] == [(8, 8, 2), (6, 6, 8), (288,), (5,)]


def test_the_narrower_network_leaves_the_first_as_it_was():
    described = chain()
    network = read_network(described)

    with_widths(network, {"conv": 8})

    assert network == read_network(chain())
    assert described == chain()


def test_a_width_that_breaks_a_sum_names_the_sum():
    described = functional(
        source("in", 8, 8, 4),
        layer("Conv2D", "conv", "in", filters=4, kernel_size=3, padding="same"),
        layer("Add", "sum", "in", "conv"),
    )

    with pytest.raises(InvalidNetwork, match=r"'sum'.*do not fit"):
        with_widths(read_network(described), {"conv": 6})


@pytest.mark.parametrize(
    ("widths", "says"),
    [({"flat": 3}, "no width"), ({"ghost": 3}, "ghost"), ({"dense": 0}, "units"), ({"dense": -1}, "units")],
)
def test_widths_that_make_no_sense_are_refused(widths, says):
    with pytest.raises(InvalidNetwork, match=says):
        with_widths(read_network(chain()), widths)


def test_only_units_and_filters_are_widths():
    network = read_network(chain())

    assert [width_field(entry.class_name) for entry in network.layers] == [None, "filters", None, "units"]


@pytest.mark.parametrize(
    ("class_name", "shapes", "config"), EXAMPLES, ids=[example[0] for example in EXAMPLES]
)
def test_reading_changes_nothing_of_what_it_reads(class_name, shapes, config):
    before = deepcopy(config)

    single(class_name, *shapes, **config)

    assert config == before


def test_there_is_an_example_of_every_supported_class_that_runs_at_inference():
    missing = LAYER_CLASSES.keys() - TRAINING_ONLY - {example[0] for example in EXAMPLES}

    assert missing == {"InputLayer"}
