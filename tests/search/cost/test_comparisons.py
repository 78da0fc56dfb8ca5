"""What candidates are compared with float: everything in small networks, a bounded number of prices in deep ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.cost import unquantized
from search.cost.pricing import Pricer
from search.plans.kinds import plan
from search.space.extremes import extremes
from search.spec.job import SearchSpec
from tests.security.costly import chain, job

BUDGET = 50_000


@given(
    kinds=st.lists(st.sampled_from("abc"), max_size=300),
    price=st.integers(1, 20),
    layers=st.integers(1, 5_000),
)
def test_every_kind_is_compared_and_all_of_what_can_be(kinds: list[str], price: int, layers: int) -> None:
    compared = unquantized._affordable(kinds, [price] * len(kinds), layers)
    assert compared == sorted(set(compared))
    assert {kinds[index] for index in compared} == set(kinds)
    if len(kinds) * price * layers <= BUDGET - layers:
        assert compared == list(range(len(kinds)))
    assert (len(compared) - len(set(kinds))) * price * layers <= BUDGET


@pytest.mark.parametrize("depth", [10, 300])
def test_comparisons_price_in_proportion_to_the_layers(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    priced: Counter[str] = Counter()
    price_many = Pricer.price_many

    def counted(self: Pricer, assignments: Any) -> Any:
        priced["layers"] += len(assignments) * depth
        return price_many(self, assignments)

    monkeypatch.setattr(Pricer, "price_many", counted)
    spec = SearchSpec.model_validate(job(model=chain(depth)))
    planned = plan(spec, Path())
    ends = extremes(planned.choices, planned.pricer)
    assert ends is not None
    cheapest = ends.cheapest
    priced.clear()
    unquantized.cost_warnings(
        planned.choices, planned.pricer, cheapest.assignment, cheapest.cost, planned.reference
    )
    assert 0 < priced["layers"] < 2 * BUDGET + 100 * depth
