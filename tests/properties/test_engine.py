"""Searches of any shape end within their budget, repeat nothing and leave nothing out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from search.history import Assignment, TrialStatus
from tests.search.searches import Outcome, Search, bits, make_choices, make_spec, measured

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


def mixed(assignment: Assignment) -> Outcome:
    """Every third sum of bits fails."""
    return (TrialStatus.FAILED, None, None) if bits(assignment) % 3 == 0 else measured(assignment)


@settings(deadline=None, max_examples=40)
@given(
    shape=SHAPES,
    trials=st.integers(1, 30),
    parallel=st.integers(1, 5),
    seed=st.integers(0, 2**31 - 2),
)
def test_a_search_tries_as_much_as_budget_and_space_allow_and_nothing_twice(
    shape: list[int], trials: int, parallel: int, seed: int
) -> None:
    choices = make_choices(*shape)
    keys = Search(make_spec(trials=trials, seed=seed), choices, mixed).run(parallel).keys()
    assert len(set(keys)) == len(keys) == min(trials, choices.size())


@settings(deadline=None, max_examples=25)
@given(shape=SHAPES, parallel=st.integers(1, 4), seed=st.integers(0, 2**31 - 2), at=st.integers(0, 10))
def test_a_call_made_twice_gives_one_answer(shape: list[int], parallel: int, seed: int, at: int) -> None:
    search = Search(make_spec(trials=12, seed=seed), make_choices(*shape), mixed)
    for step, _ in enumerate(search.steps(parallel)):
        if step == at:
            assert search.propose(2) == search.propose(2)
