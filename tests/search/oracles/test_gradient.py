"""The oracle whose trials train bits, each continuing the one before at a higher penalty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from search.errors import InvalidSpec
from search.history import Assignment, TrialRecord, TrialStatus, penalty_of
from search.plans.kinds import plan
from search.space.trained_bits import start_first
from search.spec.oracle import oracle_warnings
from tests.contracts.test_oracles import LARGE
from tests.search.conftest import small_spec
from tests.search.searches import Outcome, Search, bits, failed, make_spec

GRADIENT = {"kind": "gradient", "stages": 5, "first_penalty": 0.01, "last_penalty": 0.16}


def search(trials: int, **changes: Any) -> Search:
    return Search(make_spec(oracle=GRADIENT, trials=trials), LARGE, **changes)


def lanes(history: list[TrialRecord]) -> list[list[TrialRecord]]:
    by_lane: dict[int, list[TrialRecord]] = {}
    for record in history:
        by_lane.setdefault(record.oracle_trial["values"]["tuner/lane"], []).append(record)
    return list(by_lane.values())


def test_penalties_rise_by_equal_factors_and_every_stage_continues_the_one_before() -> None:
    records = search(5).run().history
    assert [penalty_of(record) for record in records] == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16])
    whole = make_spec().training.epochs
    for stage, record in enumerate(records):
        assert record.parent == (stage - 1 if stage else None)
        assert (record.initial_epoch, record.epochs) == (stage * whole, (stage + 1) * whole)


def test_lanes_that_run_at_once_have_penalties_between_each_other_s() -> None:
    first, second, *_ = lanes(search(10).run(parallel=2).history)
    factor = (penalty_of(second[0]) or 0) / (penalty_of(first[0]) or 1)
    assert factor == pytest.approx(2**0.5)
    assert first[0].assignment != second[0].assignment


def test_a_stage_starts_from_what_its_parent_s_bits_became() -> None:
    running = search(2)
    running.add(running.propose(1))
    [first] = running.history
    learned = LARGE.assignment({name: labels[0] for name, labels in LARGE.dimensions().items()})
    assert bits(learned) < bits(first.assignment)
    running.history = [replace(first, assignment=learned, status="done", metric=0.9, cost=10.0)]  # type: ignore[arg-type]
    [second] = running.propose(1).trials
    assert (second.parent, second.assignment) == (0, learned)


def test_a_lane_whose_first_trial_failed_is_given_up() -> None:
    history = search(4, outcome=failed).run().history
    assert [len(lane) for lane in lanes(history)] == [1, 1, 1, 1]
    assert len({record.assignment.key for record in history}) == 4


def test_what_costs_too_much_is_trained_on() -> None:
    def dear(assignment: Assignment) -> Outcome:
        return TrialStatus.INFEASIBLE, None, None

    history = search(3, outcome=dear).run().history
    assert [record.parent for record in history] == [None, 0, 1]


def test_the_first_stage_has_the_candidates_with_the_nearest_bits() -> None:
    labels = start_first(LARGE, 6)["layer0.kernel"]
    # In a kernel quantized_bits without an alpha has an automatic scale: none is fixed point, the widest comes first.
    assert labels == LARGE.dimensions()["layer0.kernel"][::-1]
    prepared = plan(fixed_point_spec(), Path())
    assert start_first(prepared.choices, 6)["conv2d_0.kernel"] == tuple(
        f"quantized_bits({bits},0,1,alpha=1.0)" for bits in (8, 4, 2)
    )
    assert start_first(prepared.choices, 3)["conv2d_0.kernel"][0] == "quantized_bits(4,0,1,alpha=1.0)"


def fixed_point_spec(**changes: Any) -> Any:
    spaces = {
        "kernel": [f"quantized_bits({bits},0,1,alpha=1.0)" for bits in (2, 4, 8)],
        "bias": ["quantized_bits(8,3,1)"],
        "activation": ["quantized_relu(4,2)"],
    }
    limits = {"by_class": {"Dense": 8, "Conv2D": 8, "Activation": 8}}
    return small_spec(
        **({"oracle": GRADIENT, "filters": {"by": "none"}, "quantizers": spaces, "limits": limits} | changes)
    )


def test_what_is_no_fixed_point_is_never_chosen_and_said_so() -> None:
    mixed = small_spec(
        oracle=GRADIENT,
        filters={"by": "none"},
        quantizers={"kernel": ["binary(alpha=1.0)", "quantized_bits(4,0,1,alpha=1.0)"]},
    )
    warnings = [text for text in plan(mixed, Path()).warnings if "never chosen" in text]
    assert any("conv2d_0.kernel" in text and "binary" in text for text in warnings)
    binary = fixed_point_spec(
        quantizers={"kernel": ["binary()", "ternary()"], "bias": ["quantized_bits(8,3,1)"]}
    )
    assert any("so that ternary() stays" in text for text in plan(binary, Path()).warnings)
    assert not any("never chosen" in text for text in plan(fixed_point_spec(), Path()).warnings)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"filters": {"by": "layer"}}, "set filters.by to none"),
        ({"training": {"epochs": 1, "learning_rate": {"choices": [0.001, 0.1]}}}, "state a number"),
        (
            {
                "quantizers": {
                    "kernel": ["binary()", "ternary()"],
                    "bias": ["quantized_po2(4)"],
                    "activation": ["quantized_relu_po2(4,4)", "quantized_relu_po2(3,4)"],
                }
            },
            "no choice has any",
        ),
    ],
)
def test_choices_that_gradients_do_not_make_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidSpec, match=says):
        plan(fixed_point_spec(**changes), Path())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"stopping": "median"}, "set stopping to off"),
        ({"training": {"executions": 2}}, "set training.executions to 1"),
        ({"training": {"decay": "cosine"}}, "set training.decay to none"),
        ({"training": {"sparsity": "keep", "start": "float"}}, "leave out training.sparsity"),
        ({"bound": "strict"}, "set bound to off"),
        ({"schedule": {"kind": "per_block", "blocks": [".*"]}}, "set schedule to whole_model"),
        ({"oracle": {"kind": "gradient", "first_penalty": 1.0, "last_penalty": 0.5}}, "below first_penalty"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        make_spec(**({"oracle": GRADIENT} | changes))


def test_a_budget_that_ends_before_the_last_stage_is_warned_of() -> None:
    oracle = make_spec(oracle=GRADIENT).oracle
    assert "5 stages" in oracle_warnings(oracle, 4, 10, 3)[0]
    assert "in each of 2 that run at once" in oracle_warnings(oracle, 5, 10, 3, parallel=2)[0]
    assert oracle_warnings(oracle, 10, 10, 3, parallel=2) == []
