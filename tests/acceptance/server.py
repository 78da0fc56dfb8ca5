"""A real `fewbits serve` with its real workers, in processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import psutil

T = TypeVar("T")

#: The command beside the interpreter that runs the tests.
FEWBITS = Path(sys.executable).with_name("fewbits")

#: Waiting is for conditions; this only bounds it on a machine that is very busy.
PATIENCE_S = 240.0


def until(condition: Callable[[], T | None], what: str, patience_s: float = PATIENCE_S) -> T:
    """The first true value of `condition`."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    raise AssertionError(f"waited {patience_s:.0f} s in vain for {what}")


class Server:
    """One service: home folder, port, and the processes under it."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FEWBITS_")},
            "FEWBITS_HOME": str(home),
            "FEWBITS_SWEEP": "1",
            "FEWBITS_RESEND": "3",
            "FEWBITS_HEARTBEAT": "1",
            **environment,
        }
        self.http = httpx.Client(base_url=self.url, timeout=120)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start API and worker and wait until both are ready."""
        self.home.mkdir(parents=True, exist_ok=True)
        with open(self.home / "serve.log", "ab") as log:
            self._process = subprocess.Popen(
                [str(FEWBITS), "serve", "--port", str(self.port), "--workers", "1"],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(self._ready, f"the service to be ready; its log:\n{self.log()}")

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the service ended:\n{self.log()}"
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def log(self) -> str:
        """What the processes printed."""
        return (self.home / "serve.log").read_text(errors="replace")[-4000:]

    def workers(self) -> list[psutil.Process]:
        """Every process under the API's."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    def kill_workers(self) -> None:
        """kill -9 of the worker and all its children."""
        for process in self.workers():
            process.kill()

    def kill(self) -> None:
        """kill -9 of everything at once."""
        assert self._process is not None
        victims = [psutil.Process(self._process.pid), *self.workers()]
        for process in victims:
            process.kill()
        psutil.wait_procs(victims, timeout=120)
        self._process.wait()

    def stop(self) -> None:
        """Ask for a clean end; nothing may be left."""
        if self._process is None or self._process.poll() is not None:
            return
        children = self.workers()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        _, alive = psutil.wait_procs(children, timeout=120)
        for process in alive:
            process.kill()
        assert not alive, f"still running after the end: {alive}"


@contextmanager
def running(home: Path, environment: dict[str, str]) -> Iterator[Server]:
    """A service that is ready; it is stopped at the end."""
    server = Server(home, environment)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.http.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
