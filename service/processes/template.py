"""The template: `python -m service.processes.template MODULE FD` loads a module, then forks a process per request.

A fork takes a tenth of a second where loading the module takes seconds. The template itself runs nothing: what ran
before a fork may hang after it. Requests are lines of JSON on the socket FD, answered one by one: `{"fork": LIMITS}`,
with the socket of the new process attached, and `{"reap": PID}`. The module has two functions: `prepare()`, called
once, and `serve(connection)`, which a process runs until its connection is closed.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import random
import signal
import socket
import sys
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any, Final, NoReturn

from service.processes.limits import OUT_OF_MEMORY, limit_memory

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_LINE_BYTES: Final = 4096
#: How long a process may take to end once its connection is closed: looks, and seconds between them.
_LOOKS, _LOOK_S = 200, 0.01

#: Signals that end or interrupt a group of processes; who started the template ends it, and what it forked, in order.
_IGNORED: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT)


def main() -> None:
    """Load the module and fork until the socket is closed."""
    module, control = importlib.import_module(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    module.prepare()
    gc.collect()
    gc.freeze()
    while True:
        line, descriptors, *_ = socket.recv_fds(control, _LINE_BYTES, 1)
        if not line:
            return
        control.sendall(json.dumps(_answer(module, control, json.loads(line), descriptors)).encode() + b"\n")


def _answer(module: Any, control: socket.socket, request: dict[str, Any], descriptors: list[int]) -> Any:
    if "reap" in request:
        return {"status": _exit_code(request["reap"])}
    template = os.getpid()
    pid = os.fork()
    if pid == 0:
        control.close()
        _become(module, descriptors[0], template, request["fork"])
    os.close(descriptors[0])
    return {"pid": pid}


def _exit_code(pid: int) -> int:
    """How a process ended that has closed its connection; one that goes on is killed."""
    for _ in range(_LOOKS):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_LOOK_S)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _become(module: Any, descriptor: int, template: int, memory_bytes: int | None) -> NoReturn:
    """Serve as the new process, and end with it."""
    code = 1
    try:
        _die_with_parent()
        if os.getppid() == template:
            _draw_anew()
            limit_memory(memory_bytes)
            module.serve(Connection(descriptor))
            code = 0
    except MemoryError:  # the limit was reached between two looks of who watches
        code = OUT_OF_MEMORY
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _draw_anew() -> None:
    """Forks would all draw the same numbers where nothing else seeds them."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(random.getrandbits(32))


def _die_with_parent() -> None:
    """Have the system kill this process when the template ends (Linux); elsewhere it ends with its connection.

    The template itself ends with its socket: its parent's thread, which this would be about, may end before.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


if __name__ == "__main__":
    main()
