"""Tests of pages wait for what they look at: a page is drawn in steps, and a busy machine draws it late."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

#: Reads that answer at once, whatever the page shows by then.
READS = {
    "all_inner_texts",
    "all_text_contents",
    "content",
    "count",
    "get_attribute",
    "inner_html",
    "inner_text",
    "input_value",
    "is_checked",
    "is_disabled",
    "is_enabled",
    "is_hidden",
    "is_visible",
    "query_selector",
    "query_selector_all",
    "text_content",
}
FILES = sorted(Path(__file__).parent.glob("test_*.py"))


def reads_at_once(source: str) -> list[int]:
    """Lines that read a page without waiting: `expect`, or what looking.py offers, waits."""
    tree = ast.parse(source)
    called = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _reads(node)
    ]
    addresses = [
        node.lineno
        for statement in ast.walk(tree)
        if isinstance(statement, ast.Assert)
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute) and node.attr == "url" and ast.unparse(node.value) == "page"
    ]
    return sorted({*called, *addresses})


def _reads(call: ast.Call) -> bool:
    """A string's `count` takes an argument, a locator's none."""
    assert isinstance(call.func, ast.Attribute)
    return call.func.attr in READS and not (call.func.attr == "count" and call.args)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_tests_wait_for_what_they_look_at(path: Path) -> None:
    assert reads_at_once(path.read_text()) == [], "use expect(...), or texts() and text_of() of looking.py"


def test_reads_are_recognized() -> None:
    assert reads_at_once("assert page.locator('b').count() == 0") == [1]
    assert reads_at_once("x = 1\ny = page.inner_text('h1')") == [2]
    assert reads_at_once("assert page.url.endswith('#/')") == [1]
    assert reads_at_once("assert text.count('b') == 0\nexpect(page).to_have_url('x')") == []
