"""The built-in networks are what Keras would write, and have the sizes their papers give."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import keras
import pytest

from costmodel.energy import prepare, price_reference
from costmodel.network import read_network
from costmodel.settings import EnergySettings
from search.networks.zoo import DESCRIPTIONS, ZOO, conv_block_network, zoo_config

PARAMETERS = {
    "digits_cnn": 6_234,
    "mnist_convblock": 122_394,
    "fashion_mnist_convblock": 22_935,
    "cifar10_convblock": 69_009,
    "cifar100_convblock": 264_811,
    "jet_mlp": 4_389,
    "diabetes_mlp": 897,
    "digits_autoencoder": 5_264,
}


def contains(whole: Any, part: Any) -> bool:
    """Whether every value of `part` stands at the same place of `whole`; mappings may hold more."""
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(
            key in whole and contains(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return (
            isinstance(whole, list)
            and len(whole) == len(part)
            and all(contains(*pair) for pair in zip(whole, part, strict=True))
        )
    return bool(whole == part)


def built(config: Mapping[str, Any]) -> keras.Model:
    return keras.models.model_from_json(json.dumps(config))


def names(config: Mapping[str, Any]) -> list[str]:
    return [layer["name"] for layer in config["config"]["layers"]]


@pytest.mark.parametrize("name", ZOO)
def test_keras_writes_the_same_architecture_again(name: str) -> None:
    config = zoo_config(name)
    assert contains(json.loads(built(config).to_json()), config)


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_a_network_has_the_parameters_of_its_source(name: str, parameters: int) -> None:
    assert built(zoo_config(name)).count_params() == parameters


SRAM_16_MB = 16 * 2**23  #: bits


@pytest.mark.parametrize(
    ("name", "types", "sram_bits", "energy_pj"),
    [
        ("mnist_convblock", ("fp32", "fp32"), SRAM_16_MB, 3_295_146),
        ("mnist_convblock", ("int8", "int32"), 0, 574_164),
        ("jet_mlp", ("fp32", "fp32"), 0, 19_941),
    ],
)
def test_a_reference_costs_what_qtools_says(
    name: str, types: tuple[str, str], sram_bits: int, energy_pj: int
) -> None:
    settings = EnergySettings(
        profile="horowitz-qkeras",
        source="int8",
        parameters_on_memory="sram",
        activations_on_memory="sram",
        min_sram_size_bits=sram_bits,
        internal=types[0],
        accumulator=types[1],
    )
    network = read_network(zoo_config(name))
    assert price_reference(prepare(network), settings).energy_pj == energy_pj


def test_every_network_is_described() -> None:
    assert set(DESCRIPTIONS) == set(ZOO) == set(PARAMETERS)


@pytest.mark.parametrize("name", ZOO)
def test_a_network_carries_the_name_it_is_found_by(name: str) -> None:
    assert zoo_config(name)["config"]["name"] == name


def test_an_unknown_network_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        zoo_config("resnet50")


def test_the_mnist_layers_are_named_as_in_the_notebook() -> None:
    blocks = [f"{kind}_{index}" for index in range(5) for kind in ("conv2d", "bn", "act", "drop")]
    assert names(zoo_config("mnist_convblock")) == ["inputs", *blocks, "dense", "softmax", "flatten"]


def test_a_single_pixel_is_classified_by_a_convolution() -> None:
    model = built(zoo_config("cifar100_convblock"))
    assert isinstance(model.get_layer("dense"), keras.layers.Conv2D)
    assert model.output.shape == (None, 100)


def test_more_than_a_pixel_is_classified_by_a_dense_layer() -> None:
    model = built(zoo_config("cifar10_convblock"))
    assert isinstance(model.get_layer("dense"), keras.layers.Dense)
    assert model.get_layer("dense").input.shape == (None, 512)


def test_separable_blocks_are_named_as_in_the_notebook() -> None:
    assert names(zoo_config("fashion_mnist_convblock"))[:22] == [
        "inputs",
        "conv2d_dw_33_0",
        "conv2d_dw_bn_33_0",
        "conv2d_dw_act_33_0",
        "conv2d_11_0",
        "mp_0",
        "mp_bn_0",
        "mp_act_0",
        "drop_0",
        "conv2d_dw_33_1_0",
        "conv2d_dw_bn_33_1_0",
        "conv2d_dw_act_33_1_0",
        "conv2d_11_1_0",
        "bn_11_1_0",
        "act_11_1_0",
        "conv2d_dw_33_1_1",
        "conv2d_dw_bn_33_1_1",
        "conv2d_dw_act_33_1_1",
        "conv2d_11_1_1",
        "bn_11_1_1",
        "act_11_1_1",
        "conv2d_dw_33_1_2",
    ]


def test_the_jet_tagger_keeps_its_activations_apart() -> None:
    expected = ["inputs", "fc1", "relu1", "fc2", "relu2", "fc3", "relu3", "output", "softmax"]
    assert names(zoo_config("jet_mlp")) == expected


def test_a_dsp_block_splits_a_convolution_into_a_row_and_a_column() -> None:
    config = conv_block_network("net", (8, 8, 1), 2, 3, [4], use_separable="dsp", with_maxpooling=False)
    kernels = [layer.kernel_size for layer in built(config).layers if layer.name.startswith("conv2d")]
    assert kernels == [(1, 3), (3, 1)]


def test_without_pooling_only_the_last_convolution_of_a_block_has_a_stride() -> None:
    config = conv_block_network("net", (8, 8, 1), 2, 3, [[4, 4, 4]], with_maxpooling=False)
    strides = [layer.strides for layer in built(config).layers if layer.name.startswith("conv2d")]
    assert strides == [(1, 1), (1, 1), (2, 2)]


def test_a_convolution_without_normalization_has_a_bias() -> None:
    config = conv_block_network("net", (8, 8, 1), 2, 3, [4], with_batchnorm=False)
    assert built(config).get_layer("conv2d_0").use_bias


def test_dropout_stands_only_where_a_rate_is_given() -> None:
    assert not [name for name in names(conv_block_network("net", (8, 8, 1), 2, 3, [4])) if "drop" in name]


def test_an_unknown_initializer_is_named() -> None:
    with pytest.raises(ValueError, match="unknown initializer 'he'"):
        conv_block_network("net", (8, 8, 1), 2, 3, [4], kernel_initializer="he")


def test_more_pooling_than_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="mp_3: nothing is left to pool of 1x1 pixels"):
        conv_block_network("net", (8, 8, 1), 2, 3, [4, 4, 4, 4])


def test_a_network_of_the_zoo_takes_another_dropout_rate() -> None:
    def rates(config: Mapping[str, Any]) -> set[float]:
        layers = config["config"]["layers"]
        return {
            layer_name["config"]["rate"] for layer_name in layers if layer_name["class_name"] == "Dropout"
        }

    assert rates(zoo_config("mnist_convblock")) == {0.2}
    assert rates(zoo_config("mnist_convblock", 0.0)) == {0.0}
    assert rates(zoo_config("mnist_convblock")) == {0.2}
