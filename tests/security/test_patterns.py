"""Patterns are users' input: whatever they say, they are matched by an engine that never backtracks."""

from __future__ import annotations

import ast
import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.spec.patterns import checked_pattern, matches

ROOT = Path(__file__).parents[2]

#: Patterns and names for which a backtracking engine takes time that doubles with each letter.
EXPONENTIAL = [
    ("a?" * 100 + "a" * 100, "a" * 100, True),
    ("(a+)+b", "a" * 200, False),
    ("(a|a)*b", "a" * 200, False),
    ("(a|aa)+b", "a" * 200, False),
    ("(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)x", "a" * 200, False),
    ("(([a-z])+.)+[A-Z]([a-z])+", "a" * 200, False),
]


@pytest.mark.parametrize(("pattern", "name", "expected"), EXPONENTIAL)
def test_patterns_that_explode_elsewhere_are_answered(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@given(st.text(max_size=60), st.text(max_size=60))
def test_every_text_is_a_pattern_or_refused_by_name(pattern: str, name: str) -> None:
    with contextlib.suppress(ValueError):
        checked_pattern(pattern)
        assert matches(pattern, name) in (True, False)


def test_no_module_matches_with_a_pattern_that_is_not_its_own() -> None:
    """The standard library's engine backtracks: it runs only patterns that stand in the source."""
    foreign = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for room in ("search", "service", "worker", "costmodel", "quantization")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.args
        and not isinstance(node.args[0], ast.Constant | ast.JoinedStr)
    ]
    assert foreign == []
