"""The multiple-choice knapsack: exact where a space is small, near to exact where it is large."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from search.oracles import knapsack
from search.oracles.candidates import Floats, Rows
from search.oracles.knapsack import Price, knapsack_front


def product_price(bits: list[Floats]) -> Price:
    """Neighbouring choices multiply, as bits of kernels and activations do."""

    def price(rows: Rows) -> Floats:
        chosen = np.stack([labels[rows[:, i]] for i, labels in enumerate(bits)], axis=1)
        return np.asarray((chosen[:, 1:] * chosen[:, :-1]).sum(axis=1) + chosen.sum(axis=1))

    return price


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Floats], list[Floats]]:
    sizes = draw(st.lists(st.integers(2, 4), min_size=2, max_size=5))
    numbers = st.floats(0.0, 1.0, allow_nan=False).map(lambda value: round(value, 3))
    damages = [np.array(draw(st.lists(numbers, min_size=n, max_size=n))) for n in sizes]
    bits = [np.array(draw(st.lists(st.integers(1, 8), min_size=n, max_size=n)), dtype=float) for n in sizes]
    return damages, bits


@given(problems())
@settings(max_examples=60, deadline=None)
def test_the_front_of_a_small_space_is_that_of_all_assignments(
    problem: tuple[list[Floats], list[Floats]],
) -> None:
    damages, bits = problem
    price = product_price(bits)
    front = knapsack_front(damages, price)
    rows = np.array(list(itertools.product(*(range(len(labels)) for labels in damages))))
    sums, costs = sum(labels[rows[:, i]] for i, labels in enumerate(damages)), price(rows)
    for damage, cost in zip(front.damages, front.costs, strict=True):
        assert not ((sums <= damage) & (costs < cost)).any()
        assert not ((sums < damage - 1e-12) & (costs <= cost)).any()
    for damage, cost in zip(np.atleast_1d(sums), costs, strict=True):
        assert ((front.damages <= damage + 1e-12) & (front.costs <= cost)).any()


def test_a_large_space_is_solved_as_well_as_if_it_were_enumerated() -> None:
    random = np.random.default_rng(3)
    choices = 8
    bits = [np.array([1.0, 2.0, 4.0, 8.0]) for _ in range(choices)]
    damages = [random.lognormal() * np.array([1.0, 0.4, 0.05, 0.0]) for _ in range(choices)]
    price = product_price(bits)
    assert 4**choices > knapsack._ENUMERATED
    front = knapsack_front(damages, price)
    rows = np.array(list(itertools.product(range(4), repeat=choices)))
    sums, costs = sum(labels[rows[:, i]] for i, labels in enumerate(damages)), price(rows)
    for budget in np.quantile(costs, [0.02, 0.1, 0.3, 0.6, 0.9]):
        best = np.asarray(sums)[costs <= budget].min()
        assert front.damages[front.costs <= budget].min() <= best * 1.05 + 1e-9


def test_what_is_not_allowed_is_on_no_front() -> None:
    price = product_price([np.array([1.0, 2.0, 4.0])] * 8)

    def capped(rows: Rows) -> Floats:
        costs = price(rows)
        return np.where(costs > 40, np.inf, costs)

    front = knapsack_front([np.array([1.0, 0.3, 0.0])] * 8, capped)
    assert len(front.rows) > 3
    assert front.costs.max() <= 40


def test_a_choice_without_consequences_keeps_its_middle_label() -> None:
    bits = [np.array([1.0, 2.0]), np.array([1.0, 1.0, 1.0])]
    front = knapsack_front([np.array([0.5, 0.0]), np.zeros(3)], product_price(bits))
    assert set(front.rows[:, 1].tolist()) == {1}
