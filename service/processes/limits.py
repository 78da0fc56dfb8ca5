"""What a process may use, and how it is measured."""

from __future__ import annotations

import os
import re
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

#: Address space for the stack and the heap of a thread; libraries of mathematics have some threads for each core.
_THREAD_BYTES: Final = 16 << 20
_THREADS_A_CORE: Final = 4

#: Where Linux says how much memory a container has, by the version of its control groups.
_CONTAINER_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")

#: Exit code of a process that ended because it could get no more memory.
OUT_OF_MEMORY: Final = 97


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one process; None: no limit. The times are those of one step: until it sends something."""

    memory_bytes: int | None = None  #: resident, all that the process has loaded included
    wall_s: float | None = None
    cpu_s: float | None = None  #: of all its threads


def limit_memory(memory_bytes: int | None) -> None:
    """Refuse this process the memory by which it would grow beyond the limit: allocations fail.

    Who watches the process ends it at the limit, but cannot be faster than one large allocation. Does nothing where the
    system does not say how much memory a process has (not Linux).
    """
    data_bytes = _data_bytes()
    if memory_bytes is None or data_bytes is None:
        return
    most = data_bytes + memory_bytes + _THREAD_BYTES * _THREADS_A_CORE * (os.cpu_count() or 1)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _data_bytes() -> int | None:
    """Private writable memory of this process, reserved or used."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    match = re.search(r"^VmData:\s+(\d+) kB$", status, re.MULTILINE)
    return None if match is None else int(match[1]) << 10


def machine_bytes() -> int:
    """The memory of this machine, or of the container that the process runs in."""
    total = int(psutil.virtual_memory().total)
    for path in _CONTAINER_LIMITS:
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total
