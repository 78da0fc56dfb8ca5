"""Metric against cost: which trials no other trial beats. Plain numbers; the metric is to grow, the cost to shrink."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


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


def front(points: Iterable[Point]) -> list[Point]:
    """Points no other point dominates, by rising cost. Ties are kept. O(n log n)."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.metric, p.number)):
        best = kept[-1] if kept else None
        if (
            best is None
            or point.metric > best.metric
            or (point.metric, point.cost) == (best.metric, best.cost)
        ):
            kept.append(point)
    return kept


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
