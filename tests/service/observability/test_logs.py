"""Log lines in both formats: what they name, and what they never have."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from service.auth import tokens
from service.observability import logs
from service.settings import Settings


def line(as_json: bool, message: str = "a message", error: Exception | None = None, **extra: Any) -> str:
    """One record as the formatter writes it."""
    info = None
    if error is not None:
        try:
            raise error
        except Exception:
            info = sys.exc_info()
    record = logging.getLogger("service.test").makeRecord(
        "service.test", logging.INFO, __file__, 1, message, (), info, extra=extra
    )
    return logs.formatter(as_json=as_json).format(record)


def test_a_json_line_names_trace_job_and_what_was_added() -> None:
    with structlog.contextvars.bound_contextvars(trace_id="a" * 32, job="b" * 16):
        entry = json.loads(line(True, status=200))
    assert entry["event"] == "a message"
    assert (entry["trace_id"], entry["job"], entry["status"]) == ("a" * 32, "b" * 16, 200)
    assert (entry["level"], entry["logger"]) == ("info", "service.test")
    assert entry["timestamp"].endswith("Z")


def test_a_json_line_is_one_line_also_with_an_exception() -> None:
    written = line(True, error=ValueError("two\nlines"))
    assert "\n" not in written
    assert "ValueError: two\nlines" in json.loads(written)["exception"]


def test_a_terminal_s_line_is_for_reading() -> None:
    written = line(False, error=ValueError("why"), status=200)
    assert "a message" in written
    assert "status=200" in written
    assert "ValueError: why" in written


@pytest.mark.parametrize("as_json", [True, False])
def test_keys_and_passwords_stand_in_no_line(as_json: bool) -> None:
    token = tokens.new()
    url = "postgresql+psycopg://user:hidden@db:5432/fewbits?sslmode=require"
    try:
        raise RuntimeError(f"{token} at {url}")
    except RuntimeError as error:
        written = line(as_json, f"{token} {url}", error, given={"key": str(token), "urls": [url, (url,)]})
    assert token.secret not in written
    assert "hidden" not in written
    assert token.key_id in written  # the public part tells whose it was


@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_has_no_secret_is_not_changed(value: Any) -> None:
    assert logs.cleaned(value) == value or "://" in repr(value)


@pytest.fixture
def _root() -> Iterator[None]:
    """The root logger as it was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.mark.usefixtures("_root")
@pytest.mark.parametrize(("chosen", "starts"), [("json", "{"), ("console", "2"), ("auto", "{")])
def test_the_format_is_chosen_by_the_settings(
    chosen: str, starts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Settings(log_format=chosen, log_level="info"))
    logging.getLogger("service.test").info("a message")
    logging.getLogger("service.test").debug("another")
    written = capsys.readouterr().err
    assert written.startswith(starts)
    assert "a message" in written
    assert "another" not in written


def test_a_line_has_no_copy_of_its_message_for_terminals() -> None:
    record = logging.LogRecord("uvicorn.error", logging.INFO, "", 0, "started", (), None)
    record.color_message = "\x1b[1mstarted"
    assert "color_message" not in json.loads(logs.formatter(as_json=True).format(record))
