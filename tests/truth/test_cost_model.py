"""What the cost model counts of a layer is what Keras builds: shape, parameters, products."""

from __future__ import annotations

import json
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from costmodel.errors import InvalidNetwork
from costmodel.layer_classes import INPUT, KERAS_LAYERS, lower
from costmodel.network import read_network
from tests.costmodel.build import functional, layer, single, source
from tests.truth.layer_options import OPTIONS

few = settings(
    max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
#: Classes whose sums of ones, with a kernel of ones, count the products of every output.
COUNTABLE = [*sorted(name for name in KERAS_LAYERS if "Conv" in name and "Separable" not in name), "Dense"]

RNN = {"class_name": "SimpleRNN", "config": {"units": 2}}
OTHER_RNN = {"class_name": "SimpleRNN", "config": {"units": 3}}


def built(class_name, drawn):
    """The Keras layer and the shape of its output, without the batch; None where Keras refuses it or gives nothing."""
    shapes, config = drawn
    keras_layer = made(class_name, config)
    batches = [(2, *shape) for shape in shapes]
    arguments = batches if class_name == "MultiHeadAttention" or len(batches) == 1 else [batches]
    try:
        keras_layer.build(*arguments)
        output = tuple(keras_layer.compute_output_shape(*arguments))[1:]
    except (ValueError, IndexError):
        return keras_layer, None
    return keras_layer, output if all(n > 0 for n in output) else None


def made(class_name, config):
    """The Keras layer of these arguments; inner layers are pairs of class and arguments."""
    inner = {key: made(*value) for key, value in config.items() if key in ("layer", "backward_layer")}
    with warnings.catch_warnings(action="ignore"):  # Keras calls a way of normalizing deprecated
        return getattr(keras.layers, class_name)(**{"name": "x", **config, **inner})


def described(class_name, shapes, keras_layer):
    """The layer as the cost model reads it from the JSON of a model."""
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(keras_layer)))["config"]
    config.pop("name")
    inputs = [source(f"in{i}", *shape) for i, shape in enumerate(shapes)]
    names = [entry["name"] for entry in inputs]
    network = read_network(functional(*inputs, layer(class_name, "x", *names, **config)))
    return network.layer("x")


def test_every_class_has_its_options_drawn():
    assert OPTIONS.keys() == KERAS_LAYERS - {INPUT}


@pytest.mark.parametrize("class_name", sorted(OPTIONS))
def test_shapes_and_parameters_are_those_of_keras_or_both_refuse(class_name):
    @few
    @given(drawn=OPTIONS[class_name])
    def check(drawn):
        keras_layer, output = built(class_name, drawn)
        if output is None:
            with pytest.raises(InvalidNetwork):
                described(class_name, drawn[0], keras_layer)
            return
        read = described(class_name, drawn[0], keras_layer)

        lowering = lower(read)
        training_only = (
            3 * read.config["renorm"] * drawn[0][0][keras_axis(read)] if "renorm" in read.config else 0
        )
        assert read.output_shape == output
        ours = sum(parameter.elements for parameter in lowering.parameters) if lowering else 0
        assert ours == keras_layer.count_params() - training_only

    check()


def keras_axis(read):
    """The axis a batch normalization normalizes, behind the batch."""
    axis = read.config["axis"]
    return axis - 1 if axis > 0 else axis


@pytest.mark.parametrize("class_name", COUNTABLE)
def test_products_are_those_that_make_the_output(class_name):
    @few
    @given(drawn=OPTIONS[class_name])
    def check(drawn):
        shapes, config = drawn
        config = {**config, "use_bias": False}
        if "padding" in config:
            config["padding"] = "valid"  # a product with padding is counted, and adds nothing to the sum
        keras_layer, output = built(class_name, (shapes, config))
        assume(output is not None)
        for weight in keras_layer.weights:
            weight.assign(np.ones(weight.shape))

        products = np.sum(keras_layer(np.ones((1, *shapes[0]), "float32")))

        assert lower(described(class_name, shapes, keras_layer)).macs == products

    check()


@pytest.mark.parametrize("class_name", ["SimpleRNN", "LSTM", "GRU", "Bidirectional"])
def test_a_recurrent_layer_multiplies_each_weight_once_a_step(class_name):
    @few
    @given(drawn=OPTIONS[class_name])
    def check(drawn):
        keras_layer, output = built(class_name, drawn)
        assume(output is not None)

        kernels = sum(int(np.prod(w.shape)) for w in keras_layer.weights if "bias" not in w.path)

        assert lower(described(class_name, drawn[0], keras_layer)).macs == drawn[0][0][0] * kernels

    check()


@pytest.mark.parametrize(
    ("class_name", "shapes", "config", "word"),
    [
        ("Dense", [(4,)], {"units": 3, "lora_rank": 2}, "merge the adapter"),
        ("Conv2D", [(4, 4, 2)], {"filters": 3, "kernel_size": 2, "lora_rank": 1}, "merge the adapter"),
        ("Embedding", [(4,)], {"input_dim": 3, "output_dim": 4, "lora_rank": 2}, "merge the adapter"),
        ("MultiHeadAttention", [(4, 3), (4, 3)], {"num_heads": 1, "key_dim": 3, "use_gate": True}, "Dense"),
        ("SeparableConv1D", [(4, 3)], {"filters": 1, "kernel_size": 3, "padding": "causal"}, "padding"),
        ("Bidirectional", [(4, 3)], {"layer": RNN, "backward_layer": OTHER_RNN}, "backward_layer.*units"),
    ],
)
def test_options_without_a_price_or_that_keras_refuses_are_refused_with_a_remedy(
    class_name, shapes, config, word
):
    with pytest.raises(InvalidNetwork, match=f"layer 'x'.*{word}"):
        single(class_name, *shapes, **config)
