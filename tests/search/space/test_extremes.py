"""The cheapest and the most expensive network of a space, without pricing all of them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from search.plan import Plan
from search.plans.kinds import plan
from search.space import extremes as module
from search.space.extremes import extremes
from search.spec.job import SearchSpec

JOB: dict[str, Any] = {
    "model": "digits_cnn",
    "data": "digits",
    "limits": {"by_class": {"Dense": [4, 8, 4], "Conv2D": [4, 8, 4], "BatchNormalization": []}},
}


def planned(**changes: Any) -> Plan:
    return plan(SearchSpec.model_validate(JOB | changes), Path())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"goal": {"kind": "bits"}},
        {"limits": {"by_class": {"Dense": [4], "Conv2D": [4]}}, "filters": {"by": "layer"}},
        {"limits": {"by_class": {"Activation": [8], "Conv2D": [4]}}},
    ],
)
def test_varying_choices_one_by_one_finds_what_pricing_all_finds(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = planned(**changes)
    dimensions = prepared.choices.dimensions()
    every = [
        prepared.choices.assignment(dict(zip(dimensions, labels, strict=True)))
        for labels in itertools.islice(itertools.product(*dimensions.values()), 4000)
    ]
    costs = [cost for cost in prepared.pricer.price_many(every) if cost is not None]
    monkeypatch.setattr(module, "_EXACT", 0)
    ends = extremes(prepared.choices, prepared.pricer)
    assert ends is not None
    assert not ends.cheapest.exact
    assert ends.cheapest.cost.value <= min(costs)
    assert ends.most_expensive.cost.value >= max(costs)
    assert ends.cheapest.cost == prepared.pricer.price(ends.cheapest.assignment)


def test_a_small_space_is_priced_whole() -> None:
    prepared = planned(limits={"by_class": {"Dense": {"kernel": ["binary", "ternary"]}}})
    ends = extremes(prepared.choices, prepared.pricer)
    assert ends is not None
    assert ends.cheapest.exact
    assert ends.most_expensive.exact
    assert ends.cheapest.cost.value <= ends.most_expensive.cost.value


@pytest.mark.parametrize(("layers", "kinds"), [(40, 1), (400, 3), (1600, 3), (1600, 800)])
def test_the_networks_of_a_round_are_bounded_however_many_layers_there_are(layers: int, kinds: int) -> None:
    dimensions = {f"d{i}": tuple(range(2 + i % kinds % 9, 12 + i % kinds)) for i in range(layers)}
    most = module._LAYERS // layers
    parts = module.groups(dimensions, most)

    assert sorted(name for part in parts for name in part) == sorted(dimensions)
    changes = sum(max(len(dimensions[name]) for name in part) for part in parts)
    assert changes <= max(2 * most, sum(map(len, dimensions.values())) // 8), changes
