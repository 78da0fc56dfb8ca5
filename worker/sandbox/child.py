"""The process inside the sandbox: a script that reads the weights of one HDF5 file into a `.npz`.

It is started with an empty environment. The request is JSON on standard input, the answer JSON on standard output. It
drops what privileges it can (memory, time, files, the network, other folders) and then opens the file. It loads numpy
and h5py only, nothing of fewbits.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import math
import os
import re
import resource
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

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

#: Groups and arrays that a file may have: a fixed number, and a number for each array that is read.
_MAX_OBJECTS, _MAX_OBJECTS_EACH = 1000, 20
_MAX_DEPTH: Final = 12
_MAX_CHUNK_BYTES: Final = 1 << 26
#: Groups that are checked, but never read: a search does not start from the state of an optimizer.
_UNREAD: Final = ("optimizer/",)
_PATH: Final = re.compile(r"[A-Za-z0-9_./ -]{1,400}")


class RefusedWeights(Exception):
    """The file is refused; the message says why."""


# --- dropping privileges ---------------------------------------------------------------------------------------------


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


# --- reading ---------------------------------------------------------------------------------------------------------


def read(weights: Path, expected: Mapping[str, list[int]]) -> dict[str, Any]:
    """The arrays of these paths and shapes. RefusedWeights unless the file has exactly these, as plain arrays."""
    import h5py

    try:
        with h5py.File(weights, "r") as file:
            datasets = dict(_datasets(file, _MAX_OBJECTS + _MAX_OBJECTS_EACH * len(expected)))
            _compare({path: dataset.shape for path, dataset in datasets.items()}, expected)
            return {path: _numbers(path, datasets[path]) for path in expected}
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise RefusedWeights(f"cannot be read as HDF5: {str(error)[:200]}") from error


def _datasets(file: Any, most: int) -> Iterator[tuple[str, Any]]:
    """Every dataset below the root, each checked before it is opened. Only hard links are followed, each once."""
    import h5py

    waiting: list[tuple[str, Any]] = [("", file.id)]
    seen = {h5py.h5o.get_info(file.id).addr}
    while waiting:
        base, group = waiting.pop()
        for raw in group:
            path = base + _name(raw, base)
            if group.links.get_info(raw).type != h5py.h5l.TYPE_HARD:
                raise RefusedWeights(f"{path!r} is a link to another object or file")
            thing = h5py.h5o.open(group, raw)
            address = h5py.h5o.get_info(thing).addr
            if address in seen:
                raise RefusedWeights(f"{path!r} is in the file under two names")
            seen.add(address)
            if len(seen) > most or path.count("/") > _MAX_DEPTH:
                raise RefusedWeights(f"has more than {most} objects, or more than {_MAX_DEPTH} levels")
            if isinstance(thing, h5py.h5g.GroupID):
                waiting.append((f"{path}/", thing))
            elif isinstance(thing, h5py.h5d.DatasetID):
                _check_storage(path, thing)
                yield path, h5py.Dataset(thing)
            else:
                raise RefusedWeights(f"{path!r} is neither a group nor an array")


def _name(raw: bytes, base: str) -> str:
    name = raw.decode("utf-8", "replace")
    if not _PATH.fullmatch(base + name) or "/" in name or name in (".", ".."):
        raise RefusedWeights(f"has a name that is not allowed: {name[:60]!a}")
    return name


def _check_storage(path: str, dataset: Any) -> None:
    """Refuse an array whose bytes are elsewhere, missing, or compressed by a filter that is not built in."""
    import h5py

    properties = dataset.get_create_plist()
    layout = properties.get_layout()
    if layout not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED):
        raise RefusedWeights(f"{path!r} is composed of other arrays (a virtual dataset)")
    if properties.get_external_count():
        raise RefusedWeights(f"{path!r} has its numbers in another file (external storage)")
    filters = {properties.get_filter(index)[0] for index in range(properties.get_nfilters())}
    if filters - {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}:
        raise RefusedWeights(
            f"{path!r} is compressed by a filter that is not allowed; allowed are gzip and shuffle"
        )
    kind = dataset.get_type()
    if kind.get_class() not in (h5py.h5t.FLOAT, h5py.h5t.INTEGER) or kind.get_size() > 8:
        raise RefusedWeights(f"{path!r} is not an array of plain numbers")
    if dataset.get_space().get_simple_extent_type() not in (h5py.h5s.SIMPLE, h5py.h5s.SCALAR):
        raise RefusedWeights(f"{path!r} is empty")
    _check_size(
        path, dataset, kind.get_size(), properties.get_chunk() if layout == h5py.h5d.CHUNKED else None
    )


def _check_size(path: str, dataset: Any, width: int, chunk: tuple[int, ...] | None) -> None:
    declared = math.prod(dataset.shape) * width
    stored = dataset.get_storage_size()
    if chunk is None:
        if stored != declared:
            raise RefusedWeights(f"{path!r} declares {declared} bytes and has {stored}")
    elif math.prod(chunk) * width > max(declared, _MAX_CHUNK_BYTES) or declared > 1100 * stored:
        raise RefusedWeights(f"{path!r} declares {declared} bytes, many more than it has ({stored})")


def _compare(shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, list[int]]) -> None:
    for path, shape in expected.items():
        if path not in shapes:
            raise RefusedWeights(
                f"lacks {path!r}, which the model needs; was the file saved with another layer order?"
            )
        if tuple(shape) != shapes[path]:
            raise RefusedWeights(f"{path!r} has the shape {shapes[path]}; the model needs {tuple(shape)}")
    extra = [path for path in shapes if path not in expected and not path.startswith(_UNREAD)]
    if extra:
        raise RefusedWeights(f"has {extra[0]!r}, which the model lacks")


def _numbers(path: str, dataset: Any) -> Any:
    import numpy as np

    array = np.asarray(dataset[()])
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RefusedWeights(f"{path!r} has numbers that are not finite")
    return array


# --- request and answer ----------------------------------------------------------------------------------------------


def _load_all() -> None:
    """Load everything that reading needs, while the other folders can still be read."""
    import h5py
    import numpy as np

    np.savez(io.BytesIO(), np.zeros(1))
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        file.create_dataset("packed", data=np.zeros(4), compression="gzip", shuffle=True)
        dict(_datasets(file, 10))


def main() -> None:
    """Carry out the request on standard input; answer on standard output."""
    request = json.load(sys.stdin)
    folder = Path(request["folder"])
    answer: dict[str, Any] = {"notes": confine(request["limits"])}
    import numpy as np

    _load_all()
    answer["notes"] += confine_files(folder) + confine_calls()
    try:
        arrays = read(folder / request["weights"], request["expected"])
        np.savez(
            folder / request["target"], **{str(index): array for index, array in enumerate(arrays.values())}
        )
        answer["read"] = len(arrays)
    except RefusedWeights as error:
        answer["refused"] = str(error)
    except MemoryError:
        answer["refused"] = "needs more memory than is allowed for reading weights"
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(answer))


if __name__ == "__main__":
    main()
