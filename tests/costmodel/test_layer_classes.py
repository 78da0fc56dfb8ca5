"""The table of layers agrees with the shapes and the work that its own rules compute."""

from __future__ import annotations

import pytest

from costmodel.layer_classes import (
    LAYER_CLASSES,
    SEARCHED_LAYERS,
    TRAINING_ONLY,
    ChannelRule,
    lower,
    priced_slots,
)
from costmodel.lowering import Family
from costmodel.network import read_network
from tests.costmodel.build import EXAMPLES, functional, layer, single, source

IDS = [example[0] for example in EXAMPLES]


@pytest.mark.parametrize(("class_name", "shapes", "config"), EXAMPLES, ids=IDS)
def test_the_width_is_the_field_of_the_configuration_that_sets_the_channels(class_name, shapes, config):
    network = single(class_name, *shapes, **config)
    width = LAYER_CLASSES[class_name].width

    assert {width} - {None} == {"filters", "units"} & config.keys()
    if width is not None:
        assert network.layers[-1].output_shape[-1] == config[width]


@pytest.mark.parametrize(("class_name", "shapes", "config"), EXAMPLES, ids=IDS)
def test_the_channels_are_what_the_shapes_say(class_name, shapes, config):
    output = single(class_name, *shapes, **config).layers[-1].output_shape
    channels = [shape[-1] for shape in shapes]

    match LAYER_CLASSES[class_name].channels:
        case ChannelRule.SAME | ChannelRule.MERGED:
            assert output[-1] == max(channels)
        case ChannelRule.MULTIPLIED:
            assert output[-1] == channels[0] * config.get("depth_multiplier", 1)
        case ChannelRule.JOINED:
            assert output[-1] == sum(channels)
        case ChannelRule.FLATTENED:
            assert len(output) == 1
            assert output[0] % channels[0] == 0


@pytest.mark.parametrize(("class_name", "shapes", "config"), EXAMPLES, ids=IDS)
@pytest.mark.parametrize("flag", ["use_bias", "scale", "center"])
@pytest.mark.parametrize("value", [True, False])
def test_every_parameter_is_a_slot_that_takes_a_type(class_name, shapes, config, flag, value):
    described = single(class_name, *shapes, **{**config, flag: value}).layers[-1]
    lowering = lower(described)
    assert lowering is not None

    parameters = {parameter.slot for parameter in lowering.parameters}
    conditional = {slot.name for slot in LAYER_CLASSES[class_name].slots if slot.needs == flag}
    assert parameters <= set(priced_slots(described))
    if not value and class_name != "Bidirectional":
        assert conditional.isdisjoint(priced_slots(described))


def test_layers_that_do_nothing_at_inference_have_no_slots():
    described = functional(source("in", 4), layer("Dropout", "drop", "in", rate=0.1))

    assert priced_slots(read_network(described).layers[-1]) == ()


def test_a_simple_recurrent_layer_has_no_recurrent_activation():
    (_, simple) = single("SimpleRNN", (5, 3), units=2).layers
    (_, gated) = single("LSTM", (5, 3), units=2).layers

    assert "recurrent_activation" not in priced_slots(simple)
    assert "recurrent_activation" in priced_slots(gated)


def test_a_bidirectional_layer_has_the_slots_of_the_layer_it_runs():
    inner = {"class_name": "SimpleRNN", "config": {"units": 2, "use_bias": False}}
    (_, wrapper) = single("Bidirectional", (5, 3), layer=inner).layers

    assert priced_slots(wrapper) == ("kernel", "recurrent_kernel", "activation", "state")


@pytest.mark.parametrize(("class_name", "shapes", "config"), EXAMPLES, ids=IDS)
def test_linear_are_the_classes_whose_work_is_products_with_a_kernel(class_name, shapes, config):
    lowering = lower(single(class_name, *shapes, **config).layers[-1])

    assert lowering is not None
    assert LAYER_CLASSES[class_name].linear == (lowering.family in (Family.MAC, Family.SEPARABLE))


def test_only_classes_that_keras_has_are_searched():
    assert all(LAYER_CLASSES[name].keras for name in SEARCHED_LAYERS)


def test_what_acts_only_in_training_is_never_searched():
    assert TRAINING_ONLY.isdisjoint(SEARCHED_LAYERS)
