"""Plots as values, which `plot.html.j2` draws: a scatter with its front, and steps. Positions are pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

#: Dots nearer than this, in pixels, are drawn once: a report of 50,000 trials stays small.
_CELL: Final = 2.0
#: Kind of a dot -> its radius; those that matter are drawn last.
_RADII: Final = {"dot": 3, "kept": 5, "best": 7}


@dataclass(frozen=True)
class Frame:
    """The size of a plot, and the sides of the area inside its axes."""

    width: int = 760
    height: int = 360
    left: int = 64
    right: int = 740
    top: int = 14
    bottom: int = 314


_FRAME: Final = Frame()


@dataclass(frozen=True)
class Axis:
    """An axis; `show` formats a number."""

    label: str
    show: Callable[[float], str]
    is_log: bool = False


@dataclass(frozen=True)
class Dot:
    """A trial in a scatter; `kind` is a class of the style sheet."""

    x: float
    y: float
    kind: str
    title: str


@dataclass(frozen=True)
class Tick:
    """A number on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Circle:
    """A dot where it is drawn."""

    kind: str
    x: float
    y: float
    radius: int
    title: str


@dataclass(frozen=True)
class Plot:
    """Axes, a path, circles, and a vertical line at `mark`. `path` is the `d` of an SVG path, of numbers alone."""

    label: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    path: str
    path_kind: str
    circles: tuple[Circle, ...] = ()
    mark: float | None = None
    frame: Frame = _FRAME


class _Scale:
    """Maps numbers to pixels."""

    def __init__(self, values: Sequence[float], low: float, high: float, axis: Axis) -> None:
        self._show = axis.show
        self._log = axis.is_log and min(values) > 0
        ends = [self._transformed(min(values)), self._transformed(max(values))]
        space = (ends[1] - ends[0]) * 0.06 or abs(ends[0]) * 0.06 or 1.0
        self._first, self._last = ends[0] - space, ends[1] + space
        self._low, self._high = low, high

    def _transformed(self, value: float) -> float:
        return math.log10(value) if self._log else value

    def __call__(self, value: float) -> float:
        share = (self._transformed(value) - self._first) / (self._last - self._first)
        return self._low + share * (self._high - self._low)

    def ticks(self, count: int) -> tuple[Tick, ...]:
        """About `count` ticks, at round numbers."""
        return tuple(Tick(self(value), self._show(value)) for value in self._round_numbers(count))

    def _round_numbers(self, count: int) -> list[float]:
        if self._log and self._last - self._first >= 1.0:
            steps = (1, 2, 5) if self._last - self._first < 3 else (1,)
            exponents = range(math.floor(self._first), math.ceil(self._last) + 1)
            values = [step * 10.0**exponent for exponent in exponents for step in steps]
            return [value for value in values if self._first <= math.log10(value) <= self._last]
        low, high = (10**end if self._log else end for end in (self._first, self._last))
        raw = (high - low) / count
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= raw)
        first = math.ceil(low / step)
        return [step * index for index in range(first, math.floor(high / step) + 1)]


def scatter(
    dots: Sequence[Dot], front: Sequence[tuple[float, float]], x: Axis, y: Axis, *, mark: float | None
) -> Plot | None:
    """Dots, the front as a staircase of increasing x, and a vertical line at x = `mark`. None without dots."""
    if not dots:
        return None
    xs = [dot.x for dot in dots] + ([] if mark is None else [mark])
    to_x, to_y = _scales(xs, [dot.y for dot in dots], x, y)
    return Plot(
        label=f"{y.label} against {x.label}, {len(dots)} trials",
        x_label=x.label,
        y_label=y.label,
        x_ticks=to_x.ticks(7),
        y_ticks=to_y.ticks(6),
        path=_stair([(to_x(a), to_y(b)) for a, b in front]),
        path_kind="front",
        circles=_circles(dots, to_x, to_y),
        mark=None if mark is None else to_x(mark),
    )


def steps(points: Sequence[tuple[float, float]], end: float, x: Axis, y: Axis) -> Plot | None:
    """A value that holds until the next point, up to x = `end`. None without points."""
    if not points:
        return None
    last = max(end, points[-1][0])
    to_x, to_y = _scales([points[0][0], last], [value for _, value in points], x, y)
    corners = [(to_x(a), to_y(b)) for a, b in points]
    return Plot(
        label=f"{y.label} by {x.label}, at last {y.show(points[-1][1])}",
        x_label=x.label,
        y_label=y.label,
        x_ticks=to_x.ticks(7),
        y_ticks=to_y.ticks(6),
        path=_stair([*corners, (to_x(last), corners[-1][1])]),
        path_kind="step",
    )


def _scales(xs: Sequence[float], ys: Sequence[float], x: Axis, y: Axis) -> tuple[_Scale, _Scale]:
    return _Scale(xs, _FRAME.left, _FRAME.right, x), _Scale(ys, _FRAME.bottom, _FRAME.top, y)


def _circles(dots: Sequence[Dot], to_x: _Scale, to_y: _Scale) -> tuple[Circle, ...]:
    """One plain dot for each small square, then all others: those that matter are drawn last."""
    cells: dict[tuple[int, int], Circle] = {}
    others: list[Circle] = []
    for dot in dots:
        circle = Circle(dot.kind, to_x(dot.x), to_y(dot.y), _RADII[dot.kind], dot.title)
        if dot.kind == "dot":
            cells.setdefault((round(circle.x / _CELL), round(circle.y / _CELL)), circle)
        else:
            others.append(circle)
    return (*cells.values(), *sorted(others, key=lambda circle: circle.radius))


def _stair(points: Sequence[tuple[float, float]]) -> str:
    if not points:
        return ""
    (x, y), *rest = points
    return f"M{x:.1f},{y:.1f}" + "".join(f"H{a:.1f}V{b:.1f}" for a, b in rest)
