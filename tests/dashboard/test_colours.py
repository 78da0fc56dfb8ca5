"""The colours of the style sheet: what is drawn stands out from its ground, in light, dark and on paper."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from service.api.pages import FOLDER

STYLE = (FOLDER / "style.css").read_text("utf-8")
VIEWS = (FOLDER / "views.css").read_text("utf-8")

#: Dots, lines and bars; WCAG 2.2 asks for 3:1 (1.4.11).
DRAWN = (
    *("trial", "front", "best", "reference", "ring", "operations", "parameters", "inputs", "outputs"),
    *("training", "validation", "fault", "constraint"),
)
#: Text; WCAG 2.2 asks for 4.5:1 (1.4.3).
WORDS = ("text", "muted", "accent", "fault")
#: Selector of a block of colours -> how it is called.
BLOCKS = {
    ":root {": "light",
    ':root[data-theme="dark"] {': "dark, chosen",
    ':root:not([data-theme="light"]) {': "dark, by the system",
    ':root, :root[data-theme="dark"], :root:not([data-theme="light"]) {': "paper",
}


def colours(selector: str) -> dict[str, str]:
    """The variables of the block that begins with this selector."""
    start = re.search(rf"^\s*{re.escape(selector)}$", STYLE, re.MULTILINE)
    assert start is not None
    block = STYLE[start.end() : STYLE.index("}", start.end())]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2: 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_ratio_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("selector", BLOCKS, ids=BLOCKS.get)
def test_what_is_drawn_stands_out(selector: str) -> None:
    named = colours(":root {") | colours(selector)
    grounds = (named["card"], named["ground"])
    faint = {
        name: round(ratio, 2)
        for names, least in ((DRAWN, 3.0), (WORDS, 4.5))
        for name in names
        if (ratio := min(contrast(named[name], ground) for ground in grounds)) < least
    }
    assert faint == {}


@pytest.mark.parametrize("selector", BLOCKS, ids=BLOCKS.get)
def test_more_bits_are_darker(selector: str) -> None:
    named = colours(":root {") | colours(selector)
    ramp = [luminance(named[f"ramp-{step}"]) for step in range(5)]
    assert all(contrast(named[f"ramp-{step}"], named[f"ramp-{step + 1}"]) > 1.3 for step in range(4))
    assert ramp == sorted(ramp, reverse=True)


def test_parts_of_a_bar_differ_in_grey_too() -> None:
    patterns = {}
    for part in ("operations", "parameters", "inputs", "outputs"):
        rules = re.findall(rf"[^}}]*\.{part}_pj\b[^{{]*{{([^}}]*)}}", STYLE + VIEWS)
        patterns[part] = re.sub(r"var\(--\w+\)|#\w+", "", " ".join(rules))
    assert all(patterns[one] != patterns[other] for one, other in combinations(patterns, 2))
