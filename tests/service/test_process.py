"""What the processes of the service have in common."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.process import keep_private


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_what_a_process_writes_is_its_user_s_only(tmp_path: Path) -> None:
    keep_private()
    (tmp_path / "home").mkdir()
    (tmp_path / "file").touch()
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0
    assert (tmp_path / "file").stat().st_mode & 0o077 == 0
