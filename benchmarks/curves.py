"""Draws curves with their quartiles as SVG, one panel for each table and quantity, without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.sax.saxutils import escape

WIDTH, HEIGHT, MARGIN = 460, 300, 52

#: Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS: Final = ("#000000", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#F0E442")

TITLES: Final = {"score": "best score", "area": "hypervolume, share of the table's"}


def draw(tables: Mapping[str, Mapping[str, Any]], trials: int) -> str:
    """An SVG document: a row for each table, a column for the best score and one for the hypervolume."""
    panels, height = [], 0
    for name, modes in tables.items():
        for column, kind in enumerate(TITLES):
            curves = {mode: numbers[kind] for mode, numbers in modes.items()}
            group = f'<g transform="translate({column * (WIDTH + 20)} {height})">'
            panels.append(f"{group}{_panel(f'{name}: {TITLES[kind]}', curves, trials)}</g>")
        height += HEIGHT
    modes = list(next(iter(tables.values())))
    legend = f'<g transform="translate({MARGIN} {height + 6})">{_legend(modes)}</g>'
    size = f'viewBox="0 0 {2 * WIDTH + 20} {height + 30}"'
    style = 'font-family="sans-serif" font-size="12"'
    background = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{background}{"".join(panels)}{legend}</svg>\n'


def _panel(title: str, curves: Mapping[str, Sequence[Sequence[float]]], trials: int) -> str:
    values = [value for quartiles in curves.values() for curve in quartiles for value in curve]
    low, high = min(values), max(values)

    def x(trial: float) -> float:
        return MARGIN + (trial - 1) / (trials - 1) * (WIDTH - 2 * MARGIN)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (value - low) / ((high - low) or 1) * (HEIGHT - 2 * MARGIN)

    parts = [f'<text x="{WIDTH / 2}" y="24" text-anchor="middle" font-size="14">{escape(title)}</text>']
    for trial in (1, *range(10, trials + 1, 10)):
        parts.append(
            f'<text x="{x(trial):.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">{trial}</text>'
        )
    for share in (0, 0.25, 0.5, 0.75, 1):
        value = low + share * (high - low)
        parts.append(
            f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>'
            f'<text x="{MARGIN - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3f}</text>'
        )
    for colour, (first, median, third) in zip(COLOURS, curves.values(), strict=False):
        band = [(x(i + 1), y(v)) for i, v in enumerate(third)]
        band += [(x(i + 1), y(v)) for i, v in reversed(list(enumerate(first)))]
        line = [(x(i + 1), y(v)) for i, v in enumerate(median)]
        parts.append(f'<polygon points="{_points(band)}" fill="{colour}" opacity="0.1"/>')
        parts.append(f'<polyline points="{_points(line)}" fill="none" stroke="{colour}" stroke-width="2"/>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 14}" text-anchor="middle">trials</text>')
    return "".join(parts)


def _points(pairs: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)


def _legend(modes: Sequence[str]) -> str:
    return "".join(
        f'<rect x="{112 * place}" y="0" width="14" height="14" fill="{colour}"/>'
        f'<text x="{112 * place + 20}" y="12">{escape(mode)}</text>'
        for place, (mode, colour) in enumerate(zip(modes, COLOURS, strict=False))
    )
