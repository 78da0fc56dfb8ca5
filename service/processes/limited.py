"""Processes that are watched while they work, and ended past their limits. The other side is `template.py`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import threading
import time
from multiprocessing.connection import Connection
from typing import Any, Final

import psutil

from search.installation import module_command
from service.processes.limits import OUT_OF_MEMORY, Limits

log = logging.getLogger(__name__)

#: Seconds between two looks at a process that works.
_LOOK_S: Final = 0.1
#: Bytes of a message: of its head, which is JSON, and of what follows it.
_MAX_HEAD, _MAX_PAYLOAD = 1 << 20, 1 << 28


class ProcessEnded(Exception):
    """The process has ended before it answered; another one must be forked."""


class ExceededMemory(ProcessEnded):
    """The process was ended because it needed more memory than its limit."""


class ExceededTime(ProcessEnded):
    """The process was ended because it took more time than its limit."""


class ExceededCpu(ExceededTime):
    """The process was ended because it took more processor time than its limit."""


class ProcessDied(ProcessEnded):
    """The process ended by itself, or something else ended it; the text says how."""


class Template:
    """Starts a template when it is first needed, and again if it has died. For threads of one process."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Start to load the module, without waiting for it."""
        with self._lock:
            self._running()

    def fork(self, limits: Limits) -> LimitedProcess:
        """A new process. ProcessDied if it cannot be forked, twice."""
        ours, theirs = socket.socketpair()
        try:
            try:
                pid = self._ask({"fork": limits.memory_bytes}, theirs)["pid"]
            except ProcessDied:
                log.warning("the template of %s has ended; another one is started", self._module)
                pid = self._ask({"fork": limits.memory_bytes}, theirs)["pid"]
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return LimitedProcess(self, pid, Connection(ours.detach()), limits)

    def reap(self, pid: int) -> int | None:
        """The exit code of a process that ends: negative for a signal; None if that cannot be learned."""
        try:
            status: int = self._ask({"reap": pid}, None, restarts=False)["status"]
            return status
        except ProcessDied:
            return None

    def close(self) -> None:
        """End the template, and with it all that it has forked."""
        with self._lock:
            self._end()

    def _ask(self, request: dict[str, Any], attached: socket.socket | None, *, restarts: bool = True) -> Any:
        with self._lock:
            if not restarts and self._socket is None:
                raise ProcessDied("the template has ended")
            control = self._running()
            try:
                descriptors = [] if attached is None else [attached.fileno()]
                socket.send_fds(control, [json.dumps(request).encode()], descriptors)
                line = b""
                while not line.endswith(b"\n"):
                    part = control.recv(4096)
                    if not part:
                        raise ConnectionResetError
                    line += part
                return json.loads(line)
            except OSError:
                self._end()
                raise ProcessDied(f"the template of {self._module} has ended") from None

    def _running(self) -> socket.socket:
        if self._socket is None:
            ours, theirs = socket.socketpair()
            command = module_command("service.processes.template", self._module, str(theirs.fileno()))
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
            theirs.close()
            self._socket = ours
        return self._socket

    def _end(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._socket = self._process = None


class LimitedProcess:
    """A forked process. One message at a time is sent to it, and answered by one or more."""

    def __init__(self, template: Template, pid: int, connection: Connection, limits: Limits) -> None:
        self.pid = pid
        self.limits = limits
        self._template = template
        self._connection = connection
        self._process = psutil.Process(pid)
        self._ended = False

    @property
    def memory_bytes(self) -> int:
        """Resident memory of the process; 0 once it has ended."""
        try:
            return int(self._process.memory_info().rss)
        except psutil.Error:
            return 0

    def send(self, head: dict[str, Any], payload: bytes = b"") -> None:
        """Send a message. ProcessDied if the process has ended."""
        try:
            send_message(self._connection, head, payload)
        except OSError:
            raise self._died() from None

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """The next message. ExceededMemory or ExceededTime past a limit, where the process is ended; ProcessDied if it
        ends otherwise.
        """
        began, began_cpu_s = time.monotonic(), self._cpu_s()
        try:
            while not self._connection.poll(_LOOK_S):
                self._check(began, began_cpu_s)
            return receive_message(self._connection)
        except (EOFError, OSError):
            raise self._died() from None

    def end(self) -> int | None:
        """End the process, whatever it does; its exit code."""
        if self._ended:
            return None
        self._ended = True
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        self._connection.close()
        return self._template.reap(self.pid)

    def _check(self, began: float, began_cpu_s: float) -> None:
        limits, used_bytes = self.limits, self.memory_bytes
        if limits.memory_bytes is not None and used_bytes > limits.memory_bytes:
            self.end()
            raise ExceededMemory(
                f"used {used_bytes >> 20} MB of memory, and may use {limits.memory_bytes >> 20} MB"
            )
        if limits.wall_s is not None and time.monotonic() - began > limits.wall_s:
            self.end()
            raise ExceededTime(f"took longer than {limits.wall_s:g} s")
        if limits.cpu_s is not None and self._cpu_s() - began_cpu_s > limits.cpu_s:
            self.end()
            raise ExceededCpu(f"took more than {limits.cpu_s:g} s of processor time")

    def _cpu_s(self) -> float:
        try:
            times = self._process.cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def _died(self) -> ProcessEnded:
        """How the process ended: it has closed its connection, so it ends now."""
        self._connection.close()
        code = None if self._ended else self._template.reap(self.pid)
        self._ended = True
        if code is None:
            return ProcessDied("its process ended")
        if code == OUT_OF_MEMORY and self.limits.memory_bytes is not None:
            return ExceededMemory(
                f"needed more memory than there is, and may use {self.limits.memory_bytes >> 20} MB"
            )
        if code >= 0:
            return ProcessDied(f"its process ended with exit code {code}")
        name = signal.Signals(-code).name
        hint = ", as when memory runs out" if -code in (signal.SIGKILL, signal.SIGABRT) else ""
        return ProcessDied(f"its process ended by {name}{hint}")


def send_message(connection: Connection, head: dict[str, Any], payload: bytes = b"") -> None:
    """Send a head, which is JSON, and bytes."""
    connection.send_bytes(json.dumps(head).encode())
    connection.send_bytes(payload)


def receive_message(connection: Connection) -> tuple[dict[str, Any], bytes]:
    """The head and the bytes of a message. EOFError at the end of the connection."""
    head: dict[str, Any] = json.loads(connection.recv_bytes(_MAX_HEAD))
    return head, connection.recv_bytes(_MAX_PAYLOAD)
