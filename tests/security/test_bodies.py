"""Bodies: whatever is sent costs time in proportion to its size, and is answered shortly."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import MAX_PROBLEMS
from search.spec.base import MAX_ITEMS
from service.errors import InvalidRequest, Malformed, TooLarge
from service.json_document import MAX_NAME, parse_json
from service.parsing import parse_cost_request, parse_submission

ROOT = Path(__file__).parents[2]
JOB: dict[str, Any] = {"model": "digits_cnn", "limits": {"by_class": {"Dense": 8}}}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=5), inside, max_size=4),
    max_leaves=12,
)


def refusal(body: bytes, parser: Any = parse_submission) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        parser(body)
    return refused.value


@given(JSON)
def test_a_document_is_read_as_it_is_unless_sql_cannot_store_it(document: Any) -> None:
    body = json.dumps(document).encode()
    if "\\u0000" in body.decode() or "Infinity" in body.decode():
        with pytest.raises((InvalidRequest, Malformed)):
            parse_json(body)
    else:
        assert parse_json(body) == document


@given(
    JSON,
    st.lists(st.text(st.characters(exclude_characters="\0"), max_size=3) | st.integers(0, 3), max_size=4),
)
def test_a_fault_is_located_wherever_it_stands(other: Any, path: list[str | int]) -> None:
    document: Any = "a\0b"
    pointer = ""
    for part in reversed(path):
        document = {part: document} if isinstance(part, str) else [None] * part + [document]
        pointer = f"/{str(part).replace('~', '~0').replace('/', '~1')}{pointer}"
    assert refusal(json.dumps(document).encode(), parse_json).problems[0].pointer == pointer


def test_a_body_of_very_many_values_is_too_large() -> None:
    with pytest.raises(TooLarge, match="300000 values"):
        parse_json(b"[" + b",".join([b"[]"] * 300_001) + b"]")


def test_a_name_may_not_be_a_text() -> None:
    assert (
        "at most" in refusal(json.dumps({"a" * (MAX_NAME + 1): 1}).encode(), parse_json).problems[0].message
    )


def test_of_very_many_faults_the_first_are_listed() -> None:
    error = refusal(
        json.dumps({"model": "jet_mlp", "quantizers": {f"l{i}": 1 for i in range(4000)}}).encode(),
        parse_cost_request,
    )

    assert len(error.problems) == MAX_PROBLEMS
    assert error.problems[0].pointer == "/quantizers/l0"
    assert len(error.problems[-1].message) < 200


LONG: list[tuple[str, dict[str, Any]]] = [
    ("/quantizers/kernel", {"quantizers": {"kernel": ["quantized_bitz(4)"] * (MAX_ITEMS + 1)}}),
    ("/schedule/blocks", {"schedule": {"kind": "per_block", "blocks": [1] * (MAX_ITEMS + 1)}}),
    ("/limits/by_name", {"limits": {"by_name": {f"l{i}": 8 for i in range(MAX_ITEMS + 1)}}}),
    ("/filters/exceptions", {"filters": {"by": "layer", "exceptions": ["a"] * (MAX_ITEMS + 1)}}),
    ("/goal/config", {"goal": {"kind": "bits", "config": {f"l{i}": [] for i in range(MAX_ITEMS + 1)}}}),
    ("/goal/config", {"goal": {"kind": "bits", "config": {"Dense": ["bits"] * (MAX_ITEMS + 1)}}}),
]


@pytest.mark.parametrize(("pointer", "change"), LONG)
def test_a_list_that_is_too_long_is_one_fault_and_its_items_are_not_read(pointer: str, change: Any) -> None:
    problems = refusal(json.dumps(JOB | change).encode()).problems

    assert [problem.pointer for problem in problems] == [pointer]
    assert "at most" in problems[0].message


def test_no_body_is_parsed_in_the_event_loop() -> None:
    """Coroutines share one thread: what parses up to 4 MiB is a plain function, which runs in a thread of its own."""
    parsing = {"parse", "parse_json", "validate", "parse_submission", "parse_cost_request"}
    coroutines = {
        f"{path.name}:{function.name}"
        for path in (ROOT / "service" / "api").glob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.AsyncFunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in parsing
    }
    assert coroutines == {"sessions.py:_key"}, "its body has at most 1 kB"
