"""From limits and a network to the choices of a search."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from costmodel.network import Network, read_network
from quantization.specs.parse import parse_quantizer
from search.errors import InvalidSpec
from search.networks.zoo import zoo_config
from search.space.choices import Choices, choices
from search.spec.filters import FilterTuning
from search.spec.job import SearchSpec
from tests.search.nets import functional, layer, residual

NOTEBOOK = {
    "Dense": [8, 8, 4],
    "Conv2D": [4, 8, 4],
    "DepthwiseConv2D": [4, 8, 4],
    "Activation": [4],
    "BatchNormalization": [],
}


def spec(limits: dict[str, Any], **more: Any) -> SearchSpec:
    return SearchSpec.model_validate({"model": "digits_cnn", "limits": limits, **more})


def space(limits: dict[str, Any], config: dict[str, Any] | None = None, **more: Any) -> Choices:
    return choices(spec(limits, **more), read_network(config or residual()))


def problems(limits: dict[str, Any], **more: Any) -> dict[str, str]:
    with pytest.raises(InvalidSpec) as caught:
        space(limits, **more)
    return {problem.pointer: problem.message for problem in caught.value.problems}


def candidates(job_space: Choices, name: str) -> list[str]:
    return [str(label) for label in job_space.dimensions()[name]]


def mnist() -> Network:
    return read_network(zoo_config("mnist_convblock"))


def test_a_number_caps_the_nominal_bits() -> None:
    job_space = space({"by_class": {"Conv2D": {"kernel": 2}}})
    assert candidates(job_space, "conv_a.kernel") == [
        str(parse_quantizer(text))
        for text in (
            "binary",
            "stochastic_binary",
            "ternary",
            "stochastic_ternary",
            "quantized_bits(2,1,1,alpha=1.0)",
        )
    ]


def test_a_number_alone_limits_every_layer() -> None:
    job_space = space(8)  # type: ignore[arg-type]
    named = space({"by_class": dict.fromkeys(("Conv2D", "DepthwiseConv2D", "Dense", "Activation", "Add"), 8)})
    assert {**job_space.dimensions()} == {**named.dimensions()}
    assert job_space.warnings == ()


def test_a_class_of_its_own_precedes_the_star() -> None:
    job_space = space({"by_class": {"Conv2D": {"kernel": 2}, "*": 4}})
    assert candidates(job_space, "conv_a.kernel") == candidates(
        space({"by_class": {"Conv2D": {"kernel": 2}}}), "conv_a.kernel"
    )
    assert "quantized_bits(8" not in str(candidates(job_space, "dense.kernel"))


def test_a_list_picks_quantizers_in_the_order_of_the_space() -> None:
    job_space = space({"by_class": {"Conv2D": {"kernel": ["ternary", "binary"]}}})
    assert candidates(job_space, "conv_a.kernel") == [str(parse_quantizer(t)) for t in ("binary", "ternary")]


def test_a_slot_without_a_limit_takes_the_default() -> None:
    job_space = space({"by_class": {"Dense": {"kernel": 1}}, "default": {"bias": 4}})
    assert [str(spec) for spec in job_space._by_label["dense.bias"].values()] == [
        str(parse_quantizer(text)) for text in ("quantized_bits(4,0,1)", "quantized_po2(4,8)")
    ]


def test_in_layer_activations_are_choices_of_their_own() -> None:
    job_space = space({"by_class": {"Dense": [8, 8, 4]}})
    assert set(job_space.dimensions()) == {
        "hidden.kernel",
        "hidden.activation",
        "dense.kernel",
        "dense.bias",
    }


def test_softmax_is_never_quantized() -> None:
    job_space = space({"by_class": {"Activation": [4]}})
    assert set(job_space.dimensions()) == {"relu_a.activation"}


def test_layers_under_one_pattern_share_each_choice() -> None:
    job_space = space({"by_name": {"conv_[ab]": [4, 8, 4]}})
    assert set(job_space.dimensions()) == {
        "/conv_[ab]/.kernel",
        "/conv_[ab]/.bias",
        "/conv_[ab]/.output",  # their sums meet in an Add
    }
    chosen = job_space.assignment({name: labels[0] for name, labels in job_space.dimensions().items()})
    assert chosen.quantizers["conv_a"] == chosen.quantizers["conv_b"]


def test_the_first_pattern_that_matches_wins_over_later_ones_and_over_the_class() -> None:
    job_space = space({"by_name": {"conv_a": [1], "conv_.*": [2]}, "by_class": {"Conv2D": [8]}})
    assert {"/conv_a/.kernel", "/conv_.*/.kernel"} <= set(job_space.dimensions())
    assert "conv_a.kernel" not in job_space.dimensions()


def test_a_pattern_has_to_match_the_whole_name() -> None:
    assert "/limits/by_name/0/pattern" in problems({"by_name": {"conv": [4, 8, 4]}})


def test_a_pattern_that_matches_no_layer_is_an_error() -> None:
    faults = problems({"by_name": {"dens": [4]}, "by_class": {"Dense": [8]}})
    assert "'dens' matches" in faults["/limits/by_name/0/pattern"]


def test_a_class_that_does_not_occur_is_a_warning() -> None:
    job_space = space({"by_class": {"DepthwiseConv2D": [4], "Dense": [8]}})
    assert any("DepthwiseConv2D" in warning for warning in job_space.warnings)


def test_a_class_that_cannot_be_quantized_is_an_error_that_names_those_that_can() -> None:
    faults = problems({"by_class": {"Dens": [4]}})
    assert "Dense" in faults["/limits/by_class/Dens"]


def test_a_slot_without_a_candidate_names_layer_limit_and_offer() -> None:
    faults = problems({"by_class": {"Dense": {"bias": 2}}})
    message = faults["/limits/by_class/Dense/bias"]
    assert "'dense'" in message
    assert "of 2 bits" in message
    assert "quantized_bits(8,3,1" in message


def test_a_quantizer_that_is_not_in_the_space_is_an_error() -> None:
    faults = problems({"by_class": {"Dense": {"kernel": ["quantized_bits(5,0,1)"]}}})
    assert "not in the kernel space" in faults["/limits/by_class/Dense/kernel"]


def test_layers_that_stay_float_are_named() -> None:
    job_space = space({"by_class": {"Dense": [8]}})
    assert any("conv_a" in warning for warning in job_space.warnings)


def test_only_selected_layers_are_quantized() -> None:
    job_space = space({"by_class": {"Conv2D": [4]}}, layers={"indexes": [1]})
    assert set(job_space.quantized) == {"conv_a"}


def test_an_index_beyond_the_model_is_an_error() -> None:
    assert "/layers/indexes/0" in problems({"by_class": {"Conv2D": [4]}}, layers={"indexes": [99]})


def test_a_batch_normalization_that_stays_float_is_converted_without_a_choice() -> None:
    job_space = choices(spec({"by_class": {"BatchNormalization": []}}, normalization="float"), mnist())
    assert job_space.dimensions() == {}
    assert job_space.assignment({}).quantizers == {f"bn_{index}": {} for index in range(5)}


def test_the_size_is_the_number_of_different_assignments() -> None:
    job_space = space({"by_class": {"Dense": [1, 4, 1]}}, filters={"by": "layer"})
    every = {name: len(labels) for name, labels in job_space.dimensions().items()}
    assert every == {
        "hidden.kernel": 2,
        "hidden.activation": 1,
        "dense.kernel": 2,
        "dense.bias": 2,
        "hidden.filters": 5,
    }
    assert job_space.size() == 2 * 1 * 2 * 2 * 5


def test_widths_added_together_are_tied() -> None:
    job_space = space({"by_class": {"Conv2D": [4], "Dense": [8]}}, filters={"by": "layer"})
    assert {width.layers for width in job_space.widths} == {("conv_a", "conv_b"), ("hidden",)}


def test_the_last_layer_keeps_its_width() -> None:
    job_space = space({"by_class": {"Dense": [8]}}, filters={"by": "layer"})
    assert "dense" not in {name for width in job_space.widths for name in width.layers}


def test_excepted_layers_keep_their_width_and_so_do_those_tied_to_them() -> None:
    job_space = space(
        {"by_class": {"Conv2D": [4], "Dense": [8]}}, filters={"by": "layer", "exceptions": ["conv_b"]}
    )
    assert {width.layers for width in job_space.widths} == {("hidden",)}


def test_a_list_of_widths_needs_a_number_of_channels_that_is_not_searched() -> None:
    limits = {"by_class": {"Dense": {"kernel": ["quantized_bits([8,4])", "quantized_bits(4,0,1)"]}}}
    offered = {"kernel": ["quantized_bits([8,4])", "quantized_bits(4,0,1)"]}
    faults = problems(limits, filters={"by": "layer"}, quantizers=offered)
    assert "write one width, set filters.by to none" in faults["/filters"]
    assert "quantized_bits_per_channel([8,4],[0,0])" in faults["/filters"]


def test_an_exception_that_matches_nothing_is_an_error() -> None:
    faults = problems({"by_class": {"Dense": [8]}}, filters={"by": "layer", "exceptions": ["^dens$"]})
    assert "/filters/exceptions/0" in faults


def test_a_job_states_its_own_multiples_of_widths() -> None:
    job_space = space(
        {"by_class": {"Conv2D": [4], "Dense": [8]}}, filters={"by": "block", "multipliers": [1, 0.25, 0.01]}
    )
    assert job_space.dimensions()["filters"] == (0.01, 0.25, 1.0)
    chosen = {name: labels[0] for name, labels in job_space.dimensions().items()}
    assert set(job_space.assignment(chosen).widths.values()) == {1}
    assert job_space.assignment(chosen | {"filters": 0.25}).widths == {"conv_a": 2, "conv_b": 2, "hidden": 2}


@pytest.mark.parametrize("multipliers", [[], [0], [0.5, 0.5], [17]])
def test_multiples_that_are_none_are_refused(multipliers: list[float]) -> None:
    with pytest.raises(ValidationError, match="multipliers"):
        FilterTuning(by="layer", multipliers=tuple(multipliers))


def test_one_multiple_for_all_when_tuned_by_block() -> None:
    job_space = space({"by_class": {"Conv2D": [4], "Dense": [8]}}, filters={"by": "block"})
    assert [width.name for width in job_space.widths] == ["filters"]
    chosen = {name: labels[0] for name, labels in job_space.dimensions().items()} | {"filters": 0.5}
    assert job_space.assignment(chosen).widths == {"conv_a": 4, "conv_b": 4, "hidden": 5}


def test_a_layer_that_feeds_a_reshape_keeps_its_width() -> None:
    net = functional(
        (4,),
        [
            layer("Dense", "wide", ["input"], units=8),
            layer("Reshape", "shape", ["wide"], target_shape=[2, 4]),
            layer("Flatten", "flat", ["shape"]),
            layer("Dense", "dense", ["flat"], units=2),
        ],
    )
    job_space = space({"by_class": {"Dense": [8]}}, net, filters={"by": "layer"})
    assert job_space.widths == ()
    assert any("Reshape" in warning for warning in job_space.warnings)


def test_the_notebook_s_limits_give_the_notebook_s_choices_on_its_mnist_net() -> None:
    filters = {"by": "layer", "exceptions": ["^dense"]}
    job_space = choices(spec({"by_class": NOTEBOOK}, filters=filters, normalization="float"), mnist())
    dimensions = job_space.dimensions()
    assert len(dimensions["conv2d_0.kernel"]) == 7
    assert len(dimensions["dense.kernel"]) == 7
    assert len(dimensions["act_0.activation"]) == 5
    assert len(job_space.widths) == 5
    assert job_space.size() == (7 * 5 * 5) ** 5 * 7 * 3
