"""`make test` begins with the files that take longest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import SLOWEST, pytest_collection_modifyitems

TESTS = Path(__file__).parent


def test_the_slowest_files_exist() -> None:
    assert [name for name in SLOWEST if not (TESTS / name).exists()] == []
    assert len(set(SLOWEST)) == len(SLOWEST)


def test_the_slowest_files_come_first_and_the_others_keep_their_order() -> None:
    class Item:
        def __init__(self, nodeid: str) -> None:
            self.nodeid, self.stash = nodeid, pytest.Stash()

    names = [
        "tests/a.py::t",
        f"tests/{SLOWEST[1]}::t",
        "tests/b.py::t",
        f"tests/{SLOWEST[0]}::t",
        "tests/a2.py::t",
    ]
    items = [Item(name) for name in names]
    pytest_collection_modifyitems(items)  # type: ignore[arg-type]
    assert [item.nodeid for item in items] == [names[3], names[1], names[0], names[2], names[4]]


def test_the_order_is_kept_by_those_who_run_the_tests() -> None:
    command = next(
        line
        for line in (TESTS.parent / "Makefile").read_text().splitlines()
        if "-m pytest -n 2 --dist loadfile" in line
    )
    assert "--no-loadscope-reorder" in command
