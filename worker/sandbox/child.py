"""The process inside the sandbox: a script that reads the weights of one HDF5 file into a `.npz`.

It is started with an empty environment. The request is JSON on standard input, the answer JSON on standard output. It
drops what privileges it can (memory, time, files, the network, other folders) and then opens the file. It loads numpy
and h5py only, nothing of fewbits.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

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


def _confinement() -> Any:
    """The module, by its path: nothing of fewbits can be imported here."""
    path = Path(__file__).parents[2] / "search" / "uploads" / "sandbox" / "confinement.py"
    spec = importlib.util.spec_from_file_location("confinement", path)
    assert spec is not None and spec.loader is not None  # noqa: PT018 -- one fact: it is a file of Python
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_module = _confinement()
confine, confine_files, confine_calls = _module.confine, _module.confine_files, _module.confine_calls


# --- reading ---------------------------------------------------------------------------------------------------------


def read(weights: Path, expected: Mapping[str, list[int]], objects: int | None = None) -> dict[str, Any]:
    """The arrays of these paths and shapes. RefusedWeights unless the file has exactly these, as plain arrays; where
    none are expected, unless it has at most `objects` groups and plain arrays.
    """
    import h5py

    try:
        with h5py.File(weights, "r") as file:
            most = _MAX_OBJECTS + _MAX_OBJECTS_EACH * len(expected) if objects is None else objects
            datasets = dict(_datasets(file, most))
            if not expected:
                return {}
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
        arrays = read(folder / request["weights"], request["expected"], request.get("objects"))
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
