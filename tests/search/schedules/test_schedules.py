"""Schedules: which choices each stage makes, and how many trials it gets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.network import read_network
from search.cost.pricing import Pricer
from search.errors import InvalidSpec
from search.history import Assignment, TrialRecord, TrialStatus
from search.networks.zoo import zoo_config
from search.schedules import Stage, current_stage, stages
from search.schedules.base import on_top_of, shares
from search.space.choices import Choices, choices
from search.spec.job import SearchSpec

NETWORK = read_network(zoo_config("mnist_convblock"))
CLASSES = {"Conv2D": [4, 8, 4], "Activation": [4], "BatchNormalization": []}


def make_stages(
    blocks: list[str], trials: int = 40, limits: dict[str, Any] | None = None, **more: Any
) -> tuple[Choices, tuple[Stage, ...]]:
    spec = SearchSpec.model_validate(
        {
            "model": "mnist_convblock",
            "limits": limits or {"by_class": CLASSES},
            "schedule": {"kind": "per_block", "blocks": blocks, **more},
            "budget": {"trials": trials},
        }
    )
    space = choices(spec, NETWORK)
    return space, stages(spec, space, Pricer(spec.goal, NETWORK).reference())


def record(number: int, status: TrialStatus = TrialStatus.DONE) -> TrialRecord:
    return TrialRecord(number, Assignment({}, {}), status)


def test_the_whole_model_is_one_stage() -> None:
    spec = SearchSpec.model_validate({"model": "mnist_convblock", "limits": {"by_class": CLASSES}})
    space = choices(spec, NETWORK)
    (only,) = stages(spec, space, Pricer(spec.goal, NETWORK).reference())
    assert (only.choices, only.trials) == (space, spec.budget.trials)


def test_every_choice_is_made_in_one_block() -> None:
    space, plan = make_stages([".*_0", ".*_1", ".*_[234]|dense"])
    names = [name for stage in plan for name in stage.choices.dimensions()]
    assert sorted(names) == sorted(space.dimensions())


def test_the_trials_of_the_blocks_sum_to_the_budget_and_follow_each_other() -> None:
    _, plan = make_stages([".*_0", ".*_1", ".*_[234]|dense"])
    assert sum(stage.trials for stage in plan) == 40
    assert [stage.first for stage in plan] == [0, plan[0].trials, plan[0].trials + plan[1].trials]


def test_expensive_blocks_get_more_trials_and_may_go_first() -> None:
    _, plan = make_stages([".*_0", ".*_[1234]|dense"], order="cost")
    assert [stage.name for stage in plan] == [".*_[1234]|dense", ".*_0"]
    assert plan[0].trials > plan[1].trials


def test_a_choice_shared_across_blocks_is_made_once_in_the_first() -> None:
    space, plan = make_stages([".*_0", ".*_1"], limits={"by_name": {"conv2d_[01]": [4, 8, 4]}})
    assert set(plan[0].choices.dimensions()) == set(space.dimensions())
    assert plan[1].choices.dimensions() == {}
    assert [stage.trials for stage in plan] == [space.size(), 1]


def test_a_block_without_quantized_layers_is_an_error() -> None:
    with pytest.raises(InvalidSpec, match="no layer that the limits quantize"):
        make_stages([".*_0", "nothing"])


def test_fewer_trials_than_blocks_are_an_error() -> None:
    with pytest.raises(InvalidSpec, match="fewer than 3 blocks"):
        make_stages([".*_0", ".*_1", ".*_[234]|dense"], trials=2)


def test_a_stage_lasts_until_its_last_trial_has_ended() -> None:
    _, plan = make_stages([".*_0", ".*_1"], trials=6)
    first = plan[0]
    ended = [record(number) for number in range(first.trials)]
    running = [*ended[:-1], record(first.trials - 1, TrialStatus.RUNNING)]
    assert current_stage(plan, running, frozenset()) is first
    assert current_stage(plan, ended, frozenset()) is plan[1]
    assert current_stage(plan, [], frozenset({0})) is plan[1]
    everything = [record(number) for number in range(6)]
    assert current_stage(plan, everything, frozenset()) is None


def test_what_is_settled_stays_below_what_is_added() -> None:
    _, plan = make_stages([".*_0", ".*_1"])
    picks = [{n: labels[0] for n, labels in stage.choices.dimensions().items()} for stage in plan]
    base, added = (stage.choices.assignment(pick) for stage, pick in zip(plan, picks, strict=True))
    both = on_top_of(base, added)
    assert both.quantizers == {**base.quantizers, **added.quantizers}
    assert on_top_of(None, added) is added


weights = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.floats(0, 1e9), min_size=1, max_size=8)


@given(weights, st.integers(0, 200))
def test_shares_conserve_the_total(weights_by_name: dict[str, float], extra: int) -> None:
    total = len(weights_by_name) + extra
    parts = shares(weights_by_name, total, dict.fromkeys(weights_by_name, 10**9))
    assert sum(parts.values()) == total
    assert min(parts.values()) >= 1


@given(weights, st.integers(0, 200), st.integers(1, 20))
def test_shares_keep_to_their_caps(weights_by_name: dict[str, float], extra: int, cap: int) -> None:
    total = len(weights_by_name) + extra
    parts = shares(weights_by_name, total, dict.fromkeys(weights_by_name, cap))
    assert max(parts.values()) <= cap
    assert sum(parts.values()) == min(total, cap * len(weights_by_name))


def test_more_weight_is_never_less_share() -> None:
    parts = shares({"a": 5.0, "b": 3.0, "c": 1.0}, 20, dict.fromkeys("abc", 100))
    assert parts["a"] >= parts["b"] >= parts["c"]
