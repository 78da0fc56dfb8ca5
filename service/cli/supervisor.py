"""Keeps a worker running beside the server: restarts it when it dies, and stops it with the server.

`python -m service.cli.supervisor PARENT COMMAND...` becomes COMMAND after asking the kernel to end it with its parent,
so that a server that is killed leaves no worker behind (on Linux; elsewhere only an orderly stop ends it).
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from search.installation import module_command

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_STOP: Final = signal.SIGQUIT  # Celery's soft shutdown: SIGTERM would wait for the running trial
_POLL_S: Final = 0.2
_MAX_PAUSE_S: Final = 30.0
_HEALTHY_S: Final = 60.0


class Supervisor:
    """Keeps one child process running between enter and exit; a child that dies is restarted after a growing pause.

    `logs_output`: what the child writes is passed on line by line, and lines that are not JSON are logged: libraries in
    C++ write to standard error as they please.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        logs_output: bool = False,
        grace_s: float = 9.0,
        pause_s: float = 1.0,
    ) -> None:
        self._command = module_command("service.cli.supervisor", str(os.getpid()), *command)
        self._environment = dict(os.environ if environment is None else environment)
        self._log_path = log_path
        self._logs_output = logs_output
        self._grace_s = grace_s
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def begin_stop(self) -> None:
        """Tell the child to end, without waiting for it."""
        self._stopping.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        """Runs as long as the server: the kernel ends a child with the *thread* that started it."""
        pause = self._pause_s
        while not self._stopping.is_set():
            started = time.monotonic()
            child = self._start()
            while child.poll() is None and not self._stopping.wait(_POLL_S):
                pass
            if self._stopping.is_set():
                stop(child, self._grace_s)
                return
            _kill_session(child)
            if time.monotonic() - started > _HEALTHY_S:
                pause = self._pause_s
            log.warning("the worker ended with exit code %s; restarting it in %g s", child.returncode, pause)
            self._stopping.wait(pause)
            pause = min(pause * 2, _MAX_PAUSE_S)

    def _start(self) -> subprocess.Popen[bytes]:
        with contextlib.ExitStack() as stack:
            output: IO[bytes] | int | None = subprocess.PIPE if self._logs_output else None
            if self._log_path is not None:
                output = stack.enter_context(self._log_path.open("ab"))
            # in a new session, Ctrl-C in the terminal reaches only the server, which then stops the worker
            child = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if self._logs_output else output,
                start_new_session=True,
            )
        if child.stdout is not None:
            threading.Thread(target=_pass_on, args=(child.stdout,), name="worker output", daemon=True).start()
        return child


def _pass_on(output: IO[bytes]) -> None:
    """Write the lines of a child that logs JSON to standard error; others become log records."""
    with output:
        for line in output:
            if line.startswith(b"{"):
                sys.stderr.buffer.write(line)
                sys.stderr.buffer.flush()
            elif text := line.decode(errors="replace").strip():
                log.info("worker: %s", text)


def stop(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """End a child that leads a session, and every process it started: by a signal first, killed after `grace_s`."""
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(_STOP)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(grace_s)
    _kill_session(child)
    child.wait()


def _kill_session(child: subprocess.Popen[bytes]) -> None:
    """Kill the rest of a child's session: the processes of a pool would continue their trials without its main one."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def become(parent: int, command: Sequence[str]) -> None:
    """Turn this process into `command`, which ends when `parent` does."""
    signal.signal(_STOP, signal.SIG_DFL)  # a shell lets what it starts in the background ignore it
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(_STOP), 0, 0, 0)
    if os.getppid() != parent:  # it ended before prctl was called
        sys.exit(0)
    os.execvp(command[0], list(command))


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
