"""Folders of tasks: gone after the task, and after its process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from worker.scratch import remove_abandoned, scratch

KILLED = """
import os, signal
from worker.scratch import scratch

with scratch() as folder:
    (folder / "model.keras").write_text("half a model")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_folder_is_gone_after_its_task() -> None:
    with scratch() as folder:
        (folder / "file").write_text("x")
    assert not folder.exists()


def test_a_killed_process_leaves_a_folder_that_is_found(place: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True)
    folder = Path(killed.stdout.strip())
    assert killed.returncode == -9
    assert folder.parent == place
    assert folder.is_dir()
    remove_abandoned()
    assert not folder.exists()


def test_the_folder_of_a_process_that_lives_stays() -> None:
    with scratch() as folder:
        remove_abandoned()
        assert folder.is_dir()


def test_the_folder_of_another_host_stays(place: Path) -> None:
    folder = place / f"fewbits-task-abcd_123-{os.getpid()}-0-another-host"
    folder.mkdir()
    remove_abandoned()
    assert folder.is_dir()


@pytest.mark.parametrize("name", ["fewbits-task-", "fewbits-task-x", "fewbits-task-abcdefgh-no-pid-host"])
def test_what_no_task_made_is_left_alone(place: Path, name: str) -> None:
    (place / name).mkdir()
    remove_abandoned()
    assert (place / name).is_dir()
