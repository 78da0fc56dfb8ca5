"""Plots as SVG text: a scatter with its front, and steps. Every text is escaped; nothing is loaded or run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH, _HEIGHT = 760, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 14, 46
#: Dots nearer than this, in pixels, are drawn once: a report of 50,000 trials stays small.
_CELL: Final = 2.0


@dataclass(frozen=True)
class Axis:
    """Numbers along one side; `show` writes one."""

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


class _Scale:
    """From numbers to pixels."""

    def __init__(self, values: Sequence[float], low: float, high: float, axis: Axis) -> None:
        self._log = axis.is_log and min(values) > 0
        ends = [self._turned(min(values)), self._turned(max(values))]
        space = (ends[1] - ends[0]) * 0.06 or abs(ends[0]) * 0.06 or 1.0
        self._first, self._last = ends[0] - space, ends[1] + space
        self._low, self._high = low, high

    def _turned(self, value: float) -> float:
        return math.log10(value) if self._log else value

    def __call__(self, value: float) -> float:
        share = (self._turned(value) - self._first) / (self._last - self._first)
        return self._low + share * (self._high - self._low)

    def ticks(self, count: int) -> list[float]:
        """Round numbers inside."""
        if self._log and self._last - self._first >= 1.0:
            steps = (1, 2, 5) if self._last - self._first < 3 else (1,)
            exponents = range(math.floor(self._first), math.ceil(self._last) + 1)
            found = [step * 10.0**exponent for exponent in exponents for step in steps]
            return [value for value in found if self._first <= math.log10(value) <= self._last]
        low, high = (10**end if self._log else end for end in (self._first, self._last))
        raw = (high - low) / count
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= raw)
        first = math.ceil(low / step)
        return [step * index for index in range(first, math.floor(high / step) + 1)]


def scatter(
    dots: Sequence[Dot], front: Sequence[tuple[float, float]], x: Axis, y: Axis, *, mark: float | None
) -> str:
    """Dots, the front as a stair of rising x, and a line at `mark` on the x axis."""
    if not dots:
        return _nothing()
    xs = [dot.x for dot in dots] + ([] if mark is None else [mark])
    to_x, to_y = _scales(xs, [dot.y for dot in dots], x, y)
    parts = [_axes(to_x, to_y, x, y)]
    if mark is not None:
        at = to_x(mark)
        parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
    if front:
        parts.append(f'<path class="front" d="{_stair([(to_x(a), to_y(b)) for a, b in front])}"/>')
    parts += [
        f'<circle class="{dot.kind}" cx="{to_x(dot.x):.1f}" cy="{to_y(dot.y):.1f}" r="{_radius(dot)}">'
        f"<title>{escape(dot.title)}</title></circle>"
        for dot in _thinned(dots, to_x, to_y)
    ]
    return _svg(parts, f"{y.label} against {x.label}, {len(dots)} trials")


def steps(points: Sequence[tuple[float, float]], end: float, x: Axis, y: Axis) -> str:
    """A value that holds until the next point, up to x = `end`."""
    if not points:
        return _nothing()
    to_x, to_y = _scales([points[0][0], max(end, points[-1][0])], [value for _, value in points], x, y)
    kept = [(to_x(a), to_y(b)) for a, b in points]
    kept.append((to_x(max(end, points[-1][0])), kept[-1][1]))
    path = f'<path class="step" d="{_stair(kept)}"/>'
    return _svg([_axes(to_x, to_y, x, y), path], f"{y.label} by {x.label}, at last {y.show(points[-1][1])}")


def _scales(xs: Sequence[float], ys: Sequence[float], x: Axis, y: Axis) -> tuple[_Scale, _Scale]:
    return _Scale(xs, _LEFT, _WIDTH - _RIGHT, x), _Scale(ys, _HEIGHT - _BOTTOM, _TOP, y)


def _radius(dot: Dot) -> float:
    return {"best": 7, "kept": 5}.get(dot.kind, 3)


def _thinned(dots: Sequence[Dot], to_x: _Scale, to_y: _Scale) -> list[Dot]:
    """One of the plain dots of each small square; all others; what matters is drawn last."""
    cells: dict[tuple[int, int], Dot] = {}
    for dot in dots:
        if dot.kind == "dot":
            cells.setdefault((round(to_x(dot.x) / _CELL), round(to_y(dot.y) / _CELL)), dot)
    order = ("dot", "kept", "best")
    return sorted(
        [*cells.values(), *(dot for dot in dots if dot.kind != "dot")], key=lambda dot: order.index(dot.kind)
    )


def _stair(points: Sequence[tuple[float, float]]) -> str:
    (x, y), *rest = points
    return f"M{x:.1f},{y:.1f}" + "".join(f"H{a:.1f}V{b:.1f}" for a, b in rest)


def _axes(to_x: _Scale, to_y: _Scale, x: Axis, y: Axis) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    lines = []
    for value in to_y.ticks(6):
        at = to_y(value)
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        lines.append(f'<text class="end" x="{_LEFT - 8}" y="{at + 4:.1f}">{escape(y.show(value))}</text>')
    for value in to_x.ticks(7):
        at = to_x(value)
        lines.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        lines.append(f'<text class="middle" x="{at:.1f}" y="{bottom + 18}">{escape(x.show(value))}</text>')
    lines.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle = (_LEFT + right) / 2
    lines.append(f'<text class="middle name" x="{middle}" y="{_HEIGHT - 8}">{escape(x.label)}</text>')
    turned = f"translate(15 {(_TOP + bottom) / 2}) rotate(-90)"
    lines.append(f'<text class="middle name" transform="{turned}">{escape(y.label)}</text>')
    return "".join(lines)


def _svg(parts: Sequence[str], label: str) -> str:
    inside = "".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label, quote=True)}">{inside}</svg>'


def _nothing() -> str:
    return '<p class="muted">nothing is measured yet</p>'
