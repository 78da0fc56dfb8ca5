"""Children kept running, stopped with their parent, and ended when it is killed."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from service.cli.supervisor import Supervisor

PATIENCE_S = 240

#: Writes its process id to the file it is given, a line a start, and waits to be told to end.
CHILD = "import os, signal, sys; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); "
WAITS = CHILD + "signal.pause()"
STUBBORN = (
    "import signal; signal.signal(signal.SIGQUIT, signal.SIG_IGN); " + CHILD + "\nwhile True: signal.pause()"
)
DIES = CHILD


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the time only bounds a machine that is very busy."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def starts(path: Path) -> list[int]:
    """The process ids of the children so far."""
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command(program: str, path: Path) -> list[str]:
    return [sys.executable, "-c", program, str(path)]


@pytest.mark.parametrize("program", [WAITS, STUBBORN], ids=["willing", "stubborn"])
def test_a_child_is_gone_after_the_end(tmp_path: Path, program: str) -> None:
    path = tmp_path / "pids"
    with Supervisor(command(program, path), grace_s=0.2):
        until(lambda: len(starts(path)) == 1)
        assert is_running(starts(path)[0])
    assert not is_running(starts(path)[0])


def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with Supervisor(command(DIES, path), pause_s=0.01):
        until(lambda: len(starts(path)) >= 3)
    assert len(set(starts(path))) >= 3


def test_a_child_that_is_killed_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with Supervisor(command(WAITS, path), pause_s=0.01):
        until(lambda: len(starts(path)) == 1)
        os.kill(starts(path)[0], signal.SIGKILL)
        until(lambda: len(starts(path)) == 2)


def test_what_a_child_prints_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Supervisor([sys.executable, "-c", "print('hello')"], log_path=log, pause_s=0.01):
        until(lambda: log.exists() and "hello" in log.read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.parametrize("disposition", ["SIG_DFL", "SIG_IGN"])  # ignored: as started by a shell with `&`
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path, disposition: str) -> None:
    path = tmp_path / "pids"
    program = (
        f"import sys, signal; signal.signal(signal.SIGQUIT, signal.{disposition})\n"
        "from service.cli.supervisor import Supervisor\n"
        "with Supervisor(sys.argv[1:]): signal.pause()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, *command(WAITS, path)])
    try:
        until(lambda: len(starts(path)) == 1)
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not is_running(starts(path)[0]))


def test_lines_that_are_not_json_become_log_records(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    program = 'import os; os.write(2, b\'{"event": "one"}\\n\\nplain words\\n\')'
    with (
        caplog.at_level(logging.INFO),
        Supervisor([sys.executable, "-c", program], logs_output=True, pause_s=0.01),
    ):
        until(lambda: "worker: plain words" in caplog.text)
        until(lambda: '{"event": "one"}' in capfd.readouterr().err)
