"""How a process drops what privileges it can: memory, time, files, the network, other folders, calls of the system.

Standard library alone: scripts that run in an empty environment load this file by its path.
"""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_NEW_USER, _NEW_NETWORK, _NEW_IPC = 0x10000000, 0x40000000, 0x08000000  # linux/sched.h
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38  # linux/prctl.h
_SIGKILL: Final = 9
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
_FILE_RIGHTS: Final = {
    1: 13,
    2: 14,
    3: 15,
    4: 15,
}  #: rights on files that a version of Landlock knows; then 16


def confine(limits: Mapping[str, int]) -> list[str]:
    """Drop the network and limit resources; what the system does not allow, for the log."""
    os.umask(0o077)
    libc = ctypes.CDLL(None, use_errno=True)
    notes = []
    for option, value in ((_PR_SET_PDEATHSIG, _SIGKILL), (_PR_SET_DUMPABLE, 0), (_PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0):
            notes.append(f"prctl {option} is not allowed")
    if libc.unshare(_NEW_USER | _NEW_NETWORK | _NEW_IPC) and libc.unshare(_NEW_NETWORK):
        notes.append(f"the network could not be dropped: {os.strerror(ctypes.get_errno())}")
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (least, least))
    return notes


class _Rules(ctypes.Structure):
    """What Landlock drops: rights on files, TCP (from version 4), signals and abstract sockets (from 6)."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    """The rights that remain below a folder."""

    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def confine_files(folder: Path) -> list[str]:
    """Drop every folder but this one, and TCP (Landlock, Linux 5.13 and 6.7); what was not possible, for the log."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    files = (1 << _FILE_RIGHTS.get(version, 16 if version > 0 else 0)) - 1
    rules = _Rules(files, 0b11, 0b11)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(_LANDLOCK_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if version < 1 or ruleset < 0:
        return [f"other folders could not be dropped: {os.strerror(ctypes.get_errno())}"]
    parent = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    rule = _Beneath(files, parent)
    failed = libc.syscall(_LANDLOCK_ADD, ruleset, 1, ctypes.byref(rule), ctypes.c_uint32(0)) or libc.syscall(
        _LANDLOCK_RESTRICT, ruleset, ctypes.c_uint32(0)
    )
    os.close(parent)
    os.close(ruleset)
    return [f"other folders could not be dropped: {os.strerror(ctypes.get_errno())}"] if failed else []


#: Calls of the system that reading a file does not need, by architecture: sockets of any kind, modes and owners of
#: files, other programs, other processes, what the kernel offers beyond. `linux/audit.h`, `asm/unistd.h`.
_NO_CALLS: Final[Mapping[str, tuple[int, str]]] = {
    "x86_64": (
        0xC000003E,
        "41 53 59 62 90 91 92 93 94 101 132 133 155 161 165 166 188 189 190 235 248 249 250 259 260 261 268 272 280"
        " 298 303 304 308 310 311 321 322 323 424 425 426 427 434 438 452",
    ),
    "aarch64": (
        0xC00000B7,
        "5 6 7 33 39 40 41 51 52 53 54 55 88 97 117 129 198 199 217 218 219 221 241 264 265 268 270 271 280 281 282"
        " 424 425 426 427 434 438 452",
    ),
}
_PR_SET_SECCOMP, _SECCOMP_FILTER = 22, 2  # linux/prctl.h, linux/seccomp.h
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # with EPERM
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # linux/bpf_common.h
_CALL, _ARCHITECTURE = 0, 4  #: offsets in what the filter sees
_OTHER_ABI: Final = 0x40000000  #: numbers of x32, from here on


class _Instruction(ctypes.Structure):
    """Of a filter: an operation, where to go on if it holds and if it does not, and its operand."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("yes", ctypes.c_uint8),
        ("no", ctypes.c_uint8),
        ("operand", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    """A filter."""

    _fields_ = (("length", ctypes.c_uint16), ("first", ctypes.POINTER(_Instruction)))


def confine_calls() -> list[str]:
    """Drop the calls of the system that reading does not need (seccomp); what was not possible, for the log."""
    if os.uname().machine not in _NO_CALLS:
        return [f"calls of the system could not be dropped on {os.uname().machine}"]
    architecture, numbers = _NO_CALLS[os.uname().machine]
    calls = [int(number) for number in numbers.split()]
    last = len(calls) + 5  # of the instructions: refuse
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 0, last - 2, architecture),
        (_LOAD, 0, 0, _CALL),
        (_IF_AT_LEAST, last - 4, 0, _OTHER_ABI),
        *((_IF_EQUAL, last - 5 - place, 0, call) for place, call in enumerate(calls)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    instructions = (_Instruction * len(code))(*(_Instruction(*line) for line in code))
    program = _Program(len(code), ctypes.cast(instructions, ctypes.POINTER(_Instruction)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(program), 0, 0):
        return [f"calls of the system could not be dropped: {os.strerror(ctypes.get_errno())}"]
    return []
