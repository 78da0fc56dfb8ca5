"""Metric against cost: which trials no other trial beats. The metric is to grow, the cost to shrink. Plain: numpy only.

Which points are on a front is decided in one place, `on_front`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """A trial as the front sees it."""

    number: int
    metric: float
    cost: float


def dominates(one: Point, other: Point) -> bool:
    """True if `one` is no worse in metric and cost, and better in one of them."""
    no_worse = one.metric >= other.metric and one.cost <= other.cost
    return no_worse and (one.metric > other.metric or one.cost < other.cost)


def on_front(metric: Floats, cost: Floats) -> NDArray[np.bool_]:
    """True for each point that no other point dominates: none is as good in metric and cost, and better in one.

    Ties in both are all kept; a point with NaN is never on the front. Shapes (points,). O(n log n).
    """
    mask = np.zeros(len(metric), dtype=np.bool_)
    numbers = np.flatnonzero(~(np.isnan(metric) | np.isnan(cost)))
    if not len(numbers):
        return mask
    order = numbers[np.lexsort((-metric[numbers], cost[numbers]))]
    metric, cost = metric[order], cost[order]
    before = np.concatenate(([-np.inf], np.maximum.accumulate(metric)[:-1]))
    better = metric > before
    better[0] = True
    # A tie repeats both metric and cost of the last point that was better.
    last = np.maximum.accumulate(np.where(better, np.arange(len(order)), 0))
    same = (metric == metric[last]) & (cost == cost[last])
    mask[order[better | same]] = True
    return mask


def front(points: Iterable[Point]) -> list[Point]:
    """Points no other point dominates, by rising cost, ties by number."""
    points = list(points)
    metric, cost = (
        np.array(column, dtype=np.float64)
        for column in ([p.metric for p in points], [p.cost for p in points])
    )
    members = [points[index] for index in np.flatnonzero(on_front(metric, cost))]
    return sorted(members, key=lambda point: (point.cost, point.number))


def hypervolume(points: Iterable[Point], *, metric_floor: float, cost_ceiling: float) -> float:
    """Area that the points dominate, bounded by the worst metric and cost that count (Zitzler and Thiele, 1998).

    In units of metric times cost; points beyond the bounds add nothing.
    """
    inside = front(p for p in points if p.metric > metric_floor and p.cost < cost_ceiling)
    area, floor = 0.0, metric_floor
    for point in inside:
        area += (cost_ceiling - point.cost) * (point.metric - floor)
        floor = point.metric
    return area


def knee(points: Sequence[Point]) -> Point | None:
    """The point of a front farthest above the line between its ends, both axes scaled to [0, 1]; None if empty."""
    if not points:
        return None
    low, high = points[0], points[-1]
    cost_span, metric_span = high.cost - low.cost, high.metric - low.metric
    if cost_span <= 0 or metric_span <= 0:
        return high
    return max(points, key=lambda p: (p.metric - low.metric) / metric_span - (p.cost - low.cost) / cost_span)
