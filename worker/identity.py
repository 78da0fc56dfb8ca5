"""Which process a worker is: a name that tells later, whatever happened to the clock, whether it still runs.

A process is known by its machine's boot, its PID namespace, its id and its start in ticks since boot. None of them
moves when the wall clock is set; start times as a wall clock tells them do.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path
from typing import Final

import psutil

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/pid")

#: Field of /proc/PID/stat, counted after the command in parentheses, which may hold anything.
_START: Final = 19


def worker_name(pid: int) -> str:
    """`host/pid/start`: enough to tell later whether this very process still runs."""
    return f"{socket.gethostname()}/{pid}/{_start(pid)}"


def is_surely_dead(worker: str) -> bool:
    """True if the named process ran here and is gone; False for those of other hosts, containers or boots, and for
    names that are none: nothing is known about them.
    """
    parts = worker.rsplit("/", 2)
    if len(parts) != 3 or parts[0] != socket.gethostname() or not parts[1].isdigit():
        return False
    pid, start = int(parts[1]), parts[2]
    is_of_earlier_version = start.isdigit()
    if not is_of_earlier_version and start.rpartition(".")[0] != _machine():
        return False
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        return not is_of_earlier_version and _start(pid) != start
    except psutil.NoSuchProcess:
        return True


def _start(pid: int) -> str:
    """`boot-namespace.ticks` on Linux; elsewhere the time that the kernel noted when the process began."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return f"{_machine()}.{psutil.Process(pid).create_time():.0f}"
    return f"{_machine()}.{stat.rpartition(')')[2].split()[_START]}"


@cache
def _machine() -> str:
    """Which boot of which PID namespace: ids of processes mean the same in it."""
    try:
        boot = _BOOT_ID.read_text().strip().replace("-", "")[:12]
        namespace = os.readlink(_NAMESPACE).partition("[")[2].rstrip("]")
    except OSError:
        return "0"
    return f"{boot}_{namespace}"
