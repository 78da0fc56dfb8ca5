"""The Pareto front: what no other trial beats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.scoring.pareto import Point, dominates, front, hypervolume, knee, on_front

numbers = st.integers(0, 6).map(float)
clouds = st.lists(st.tuples(numbers, numbers), max_size=25).map(
    lambda pairs: [Point(index, metric, cost) for index, (metric, cost) in enumerate(pairs)]
)
points = st.builds(Point, st.just(0), numbers, numbers)


@given(points, points)
def test_dominance_is_one_sided(one: Point, other: Point) -> None:
    assert not (dominates(one, other) and dominates(other, one))


@given(points, points, points)
def test_dominance_is_transitive(one: Point, two: Point, three: Point) -> None:
    if dominates(one, two) and dominates(two, three):
        assert dominates(one, three)


@given(clouds)
def test_the_front_is_every_point_that_no_other_dominates(cloud: list[Point]) -> None:
    expected = {p.number for p in cloud if not any(dominates(other, p) for other in cloud)}
    assert {p.number for p in front(cloud)} == expected


@given(clouds, st.randoms())
def test_the_front_does_not_depend_on_the_order(cloud: list[Point], random: object) -> None:
    shuffled = list(cloud)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert front(shuffled) == front(cloud)


@given(clouds)
def test_the_front_of_columns_is_that_of_points(cloud: list[Point]) -> None:
    mask = on_front(np.array([p.metric for p in cloud]), np.array([p.cost for p in cloud]))
    assert set(np.flatnonzero(mask)) == {point.number for point in front(cloud)}


def test_a_point_with_nan_is_never_on_the_front() -> None:
    cloud = [
        Point(0, math.nan, 0.0),
        Point(1, 0.5, 1.0),
        Point(2, 9.0, math.nan),
        Point(3, math.nan, math.nan),
    ]
    assert front(cloud) == [cloud[1]]
    assert front(cloud[2:]) == []
    assert hypervolume(cloud, metric_floor=0.0, cost_ceiling=2.0) == 0.5


def test_the_front_rises_in_cost() -> None:
    cloud = [Point(0, 0.9, 5.0), Point(1, 0.5, 1.0), Point(2, 0.4, 2.0), Point(3, 0.95, 9.0)]
    assert [p.number for p in front(cloud)] == [1, 0, 3]


def test_ties_are_kept() -> None:
    assert len(front([Point(0, 0.5, 1.0), Point(1, 0.5, 1.0)])) == 2


@given(clouds)
def test_the_hypervolume_is_the_count_of_dominated_unit_squares(cloud: list[Point]) -> None:
    squares = sum(any(p.metric >= m + 1 and p.cost <= c for p in cloud) for m in range(7) for c in range(7))
    assert hypervolume(cloud, metric_floor=0.0, cost_ceiling=7.0) == pytest.approx(squares)


def test_the_knee_is_where_the_front_bends() -> None:
    bent = [Point(0, 0.1, 1.0), Point(1, 0.9, 2.0), Point(2, 1.0, 10.0)]
    assert knee(bent) == bent[1]


def test_a_front_of_one_point_has_it_as_its_knee() -> None:
    assert knee([Point(0, 0.5, 1.0)]) == Point(0, 0.5, 1.0)
    assert knee([]) is None
