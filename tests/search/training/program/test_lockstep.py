"""Jobs in lockstep: equal computations are done in one call, and one that fails leaves the others alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from search.training.program.lockstep import coalesced, run_in_lockstep


class Squares:
    """Computes squares, and remembers how many each call was for."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.counts.append(len(numbers))
        return [number * number for number in numbers]


def requesting(squares: Squares, *numbers: int, key: str = "square") -> Callable[[], list[int]]:
    return lambda: [coalesced(key, squares, number) for number in numbers]


def test_without_others_a_computation_is_done_at_once() -> None:
    squares = Squares()
    assert coalesced("square", squares, 3) == 9
    assert squares.counts == [1]


def test_a_single_job_computes_alone() -> None:
    squares = Squares()
    assert run_in_lockstep([requesting(squares, 2, 3)]) == [[4, 9]]
    assert squares.counts == [1, 1]


def test_what_all_request_is_computed_together() -> None:
    squares = Squares()
    results = run_in_lockstep(
        [requesting(squares, 1, 2), requesting(squares, 3, 4), requesting(squares, 5, 6)]
    )
    assert results == [[1, 4], [9, 16], [25, 36]]
    assert squares.counts == [3, 3]


def test_the_places_of_those_that_left_are_filled() -> None:
    squares = Squares()
    results = run_in_lockstep([requesting(squares, 1), requesting(squares, 2, 3)])
    assert results == [[1], [4, 9]]
    assert squares.counts == [2, 2]


def test_different_computations_are_done_apart() -> None:
    one, other = Squares(), Squares()
    assert run_in_lockstep([requesting(one, 1, key="one"), requesting(other, 2, key="other")]) == [[1], [4]]
    assert (len(one.counts), len(other.counts)) == (1, 1)


def test_an_error_of_one_job_is_raised_after_the_others_have_ended() -> None:
    squares, ended = Squares(), []

    def fails() -> list[int]:
        raise LookupError("lost")

    def ends() -> list[int]:
        results = requesting(squares, 1, 2, 3)()
        ended.append(results)
        return results

    with pytest.raises(LookupError, match="lost"):
        run_in_lockstep([fails, ends])
    assert ended == [[1, 4, 9]]


def test_a_computation_that_fails_together_is_tried_for_each() -> None:
    def refusing(numbers: Sequence[int]) -> list[int]:
        if 13 in numbers:
            raise ValueError("13")
        return [-number for number in numbers]

    caught = []

    def unlucky() -> int:
        try:
            return int(coalesced("negative", refusing, 13))
        except ValueError as error:
            caught.append(str(error))
            return 0

    assert run_in_lockstep([unlucky, lambda: int(coalesced("negative", refusing, 7))]) == [0, -7]
    assert caught == ["13"]
