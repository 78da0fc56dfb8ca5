"""A job as its user writes it: what is read, what is refused, and with which words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from quantization.specs.parse import parse_quantizer
from search.spec.job import SearchSpec
from search.spec.limits import Limits
from search.spec.patterns import checked_pattern
from search.spec.quantizers import NOTEBOOK_SPACE

SMALLEST: dict[str, Any] = {"model": "digits_cnn", "limits": {"by_class": {"Dense": [8]}}}


def faults(**changes: Any) -> dict[str, str]:
    """Where the job is at fault, and what is said."""
    with pytest.raises(ValidationError) as caught:
        SearchSpec.model_validate(SMALLEST | changes)
    return {"/".join(map(str, error["loc"])): error["msg"] for error in caught.value.errors()}


def test_the_smallest_job_needs_a_model_and_limits() -> None:
    spec = SearchSpec.model_validate(SMALLEST)
    assert (spec.model.kind, spec.data.kind, spec.oracle.kind, spec.goal.kind) == (
        "zoo",
        "digits",
        "random",
        "energy",
    )


def test_the_default_space_is_the_notebook_s() -> None:
    spec = SearchSpec.model_validate(SMALLEST)
    offered = [(str(candidate.quantizer), candidate.bits) for candidate in spec.quantizers.kernel]
    assert offered == [(str(parse_quantizer(text)), bits) for text, bits in NOTEBOOK_SPACE["kernel"].items()]


def test_a_job_survives_json() -> None:
    spec = SearchSpec.model_validate(SMALLEST | {"limits": {"by_name": {"dense": [["binary"], 4, 4]}}})
    assert SearchSpec.model_validate(json.loads(spec.model_dump_json())) == spec


def test_a_job_cannot_be_changed() -> None:
    spec = SearchSpec.model_validate(SMALLEST)
    with pytest.raises(ValidationError, match="frozen"):
        spec.seed = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "space",
    [
        {"ternary": 2, "binary": 1},
        ["ternary", "binary"],
        [{"quantizer": "ternary", "bits": 2}, {"quantizer": {"kind": "binary"}, "bits": 1}],
    ],
)
def test_a_space_is_a_mapping_a_list_or_objects(space: Any) -> None:
    spec = SearchSpec.model_validate(SMALLEST | {"quantizers": {"kernel": space}})
    assert [(str(c.quantizer), c.bits) for c in spec.quantizers.kernel] == [
        (str(parse_quantizer("ternary")), 2),
        (str(parse_quantizer("binary")), 1),
    ]


def test_an_unknown_quantizer_is_named_with_the_known_ones() -> None:
    problems = faults(quantizers={"kernel": {"quantised_bits(4)": 4}})
    ((where, message),) = problems.items()
    assert where.startswith("quantizers/kernel/0")
    assert "'quantised_bits'" in message
    assert "quantized_bits" in message


def test_a_quantizer_listed_twice_is_an_error() -> None:
    assert "more than once" in faults(quantizers={"kernel": ["binary", "binary"]})["quantizers/kernel"]


@pytest.mark.parametrize("limits", [8, [8], [8, 8, 8], {"kernel": 8}])
def test_limits_of_a_class_are_a_number_a_list_or_an_object(limits: Any) -> None:
    spec = SearchSpec.model_validate(SMALLEST | {"limits": {"by_class": {"Dense": limits}}})
    assert spec.limits.by_class["Dense"].kernel == 8


def test_limits_of_a_pattern_may_be_a_number() -> None:
    limits = Limits.model_validate({"by_name": {"a.*": 8}})
    assert (limits.by_name[0].kernel, limits.by_name[0].activation) == (8, 8)


@pytest.mark.parametrize("limits", ["8", 8.5, True])
def test_limits_that_are_none_are_refused(limits: Any) -> None:
    with pytest.raises(ValidationError, match="a number, a list or an object"):
        Limits.model_validate({"by_name": {"a.*": limits}})


def test_one_number_for_an_activation_layer_limits_both_kinds_of_activation() -> None:
    limits = Limits.model_validate({"by_class": {"Activation": [4]}}).by_class["Activation"]
    assert (limits.activation, limits.linear) == (4, 4)


def test_patterns_keep_their_order() -> None:
    limits = Limits.model_validate({"by_name": {"b.*": [4], "a.*": [8, 8, 8]}})
    assert [entry.pattern for entry in limits.by_name] == ["b.*", "a.*"]


@pytest.mark.parametrize(
    ("changes", "where", "words"),
    [
        ({"budget": {"trials": 0}}, "budget/trials", "greater than or equal to 1"),
        ({"budget": {"seconds": 0}}, "budget/seconds", "greater than 0"),
        ({"goal": {"kind": "energy", "rate": 1}}, "goal/energy/rate", "greater than 1"),
        ({"goal": {"kind": "energy", "delta_p": -1}}, "goal/energy/delta_p", "greater than or equal to 0"),
        ({"goal": {"kind": "latency"}}, "goal", "'energy', 'bits'"),
        (
            {"goal": {"kind": "energy", "parameters_on_memory": ["sram", "flash"]}},
            "goal/energy/parameters_on_memory/1",
            "'dram'",
        ),
        ({"oracle": {"kind": "psychic"}}, "oracle", "'random'"),
        ({"limits": {}}, "limits", "at least one layer class"),
        ({"limits": {"by_class": {"Dense": [8, 8, 8, 8, 8]}}}, "limits/by_class/Dense", "at most four"),
        (
            {"limits": {"by_class": {"Dense": [0]}}},
            "limits/by_class/Dense/kernel/constrained-int",
            "greater than or equal to 1",
        ),
        ({"limits": {"by_name": {"(": [8]}}}, "limits/by_name/0/pattern", "not a regular expression"),
        ({"model": {"kind": "zoo"}}, "model/zoo/name", "required"),
        ({"training": {"epochs": 0}}, "training/epochs", "greater than or equal to 1"),
        ({"trainning": {}}, "trainning", "not permitted"),
        ({"seed": -1}, "seed", "greater than or equal to 0"),
    ],
)
def test_a_fault_is_found_where_it_stands(changes: dict[str, Any], where: str, words: str) -> None:
    problems = faults(**changes)
    assert where in problems
    assert words in problems[where]


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(", "a{2000}", "((a{99}){99}){99}", "a" * 501])
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression|at most"):
        checked_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["conv.*", "^dense$", r"(conv|dense)_\d+", "bn_[0-9]", "(a+)+", "(?:a|b){2}c*d*e*f*"]
)
def test_ordinary_patterns_are_read(pattern: str) -> None:
    assert checked_pattern(pattern) == pattern


def test_hyperband_continues_one_training_so_several_executions_are_refused() -> None:
    problems = faults(oracle="hyperband", training={"executions": 2})
    assert "set training.executions to 1" in " ".join(problems.values())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": True}, "seed: "),
        ({"budget": {"trials": True}}, "trials: "),
        ({"training": {"learning_rate": True}}, "learning_rate: "),
        ({"goal": {"kind": "energy", "delta_p": False}}, "delta_p: "),
        ({"limits": {"by_class": {"Dense": [True]}}}, "kernel: "),
    ],
)
def test_true_is_not_taken_for_1(changes: dict[str, Any], said: str) -> None:
    [message] = faults(**changes).values()
    assert f"{said}expected a number, got a boolean" in message


def test_true_stands_where_it_is_meant() -> None:
    quantizer = {"kind": "quantized_bits", "bits": 4, "use_stochastic_rounding": True}
    space = {"kernel": [{"quantizer": quantizer, "bits": 4}]}
    spec = SearchSpec.model_validate(SMALLEST | {"quantizers": space})
    assert "use_stochastic_rounding=1" in str(spec.quantizers.kernel[0].quantizer)
