"""What is odd about the numbers of a job's data, so that a dry run says it before a search is spent on them. Plain.

A worker does not call this: what cannot be used at all, `load` refuses too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from cachetools import LRUCache, cached
from numpy.typing import NDArray

from costmodel.network import Network
from search.data.describe import DataInfo, arrays_of, data_file, pointer, read_labels
from search.data.files import DataFault, read_headers, stored_names
from search.data.load import StoredData, read_stored, split
from search.data.reading import input_reading
from search.data.targets import array_names
from search.errors import InvalidSpec, Problem
from search.spec.job import MnistData, NpzData
from search.spec.resolved import DataFile, ResolvedData
from search.task import Head, Task

#: Bytes of examples that are read for a dry run.
MAX_BYTES: Final = 128 << 20
#: Names listed in a warning.
_LISTED: Final = 8
#: Share of training examples that must differ for repeated ones in the test part to be no accident.
_MOSTLY_DISTINCT: Final = 0.5

_Key = tuple[Any, ...]


def examined(
    data: ResolvedData, data_dir: Path, seed: int, network: Network, task: Task, info: DataInfo
) -> tuple[str, ...]:
    """Warnings about the numbers of a job's data.

    Raises `InvalidSpec` for numbers that are not finite and for tokens that an Embedding does not have.
    """
    try:
        return _examined(data, data_dir, seed, network, task, info)
    except DataFault as error:
        raise InvalidSpec([Problem(pointer(data), str(error))]) from error


def _key(data: ResolvedData, data_dir: Path, seed: int, network: Network, task: Task, info: DataInfo) -> _Key:
    # What is in a file may change under its name.
    stamp: _Key = ()
    if isinstance(data, MnistData | NpzData | DataFile):
        status = data_file(data, data_dir).stat()
        stamp = (str(data_dir), status.st_mtime_ns, status.st_size, status.st_ino)
    tokens = [str(network.layer(name).config.get("input_dim")) for name in input_reading(network).tokens]
    return data.model_dump_json(), stamp, seed, repr(task), repr(info), *tokens


@cached(LRUCache[_Key, tuple[str, ...]](64), key=_key)
def _examined(
    data: ResolvedData, data_dir: Path, seed: int, network: Network, task: Task, info: DataInfo
) -> tuple[str, ...]:
    warnings: list[str] = []
    if isinstance(data, MnistData | NpzData | DataFile):
        path = data_file(data, data_dir)
        warnings += _unread(data, path, task.heads)
        if (size := _example_bytes(path)) > MAX_BYTES:
            return (
                *warnings,
                *_of_labels(data, _labels_alone(data, path, task.heads), seed, task.heads),
                f"the examples are {size >> 20} MB, too many to look for constant features, examples of the test part"
                " in the training part, and numbers that are not finite: a worker refuses the latter",
            )
    stored = read_stored(data, data_dir, seed, task.heads)
    warnings += _of_labels(data, (stored.y_train, stored.y_test), seed, task.heads)
    _check_tokens(network, stored, info)
    if info.preprocessing.method == "standard":
        warnings += _constant(stored.x_train[split(data, len(stored.x_train), seed)[0]], info)
    if isinstance(data, NpzData | DataFile):
        warnings += _repeated(stored.x_train, stored.x_test)
    return tuple(warnings)


# --- arrays ----------------------------------------------------------------------------------------------------


def _unread(data: ResolvedData, path: Path, heads: Sequence[Head]) -> list[str]:
    """Arrays in the file that a job does not read. Labels of an autoencoder's examples are left out on purpose."""
    parts = [array_names(heads, part) for part in ("train", "test")]
    read = arrays_of(parts)
    unread = [name for name in stored_names(path) if name not in read]
    if data.targets == "inputs":
        unread = [name for name in unread if not name.startswith(("y_train", "y_test"))]
    if not unread:
        return []
    return [f"nothing reads the arrays {_listed(unread)} of the file; a job reads {', '.join(read)}"]


def _example_bytes(path: Path) -> int:
    headers = read_headers(path, ("x_train", "x_test")).values()
    return sum(int(np.prod(header.shape)) * header.dtype.itemsize for header in headers)


# --- labels ----------------------------------------------------------------------------------------------------

_Labels = tuple[Sequence[NDArray[Any]], Sequence[NDArray[Any]]]


def _labels_alone(data: ResolvedData, path: Path, heads: Sequence[Head]) -> _Labels:
    """Class numbers of the training and the test part, by output; nothing for outputs that give numbers."""
    if data.targets == "inputs":
        return [], []
    train, test = (
        [
            read_labels(path, name) if head.labels == "classes" else np.empty(0)
            for name, head in zip(array_names(heads, part), heads, strict=True)
        ]
        for part in ("train", "test")
    )
    return train, test


def _of_labels(data: ResolvedData, labels: _Labels, seed: int, heads: Sequence[Head]) -> list[str]:
    """Classes that a part of the data lacks, by output."""
    warnings: list[str] = []
    for head, y_train, y_test in zip(heads, *labels, strict=False):  # no labels where inputs are the targets
        if head.labels != "classes":
            continue
        train, validation = split(data, len(y_train), seed)
        of = f" of output {head.name!r}" if len(heads) > 1 else ""
        parts = {
            name: set(np.unique(part).tolist())
            for name, part in (
                ("training", y_train[train]),
                ("validation", y_train[validation]),
                ("test", y_test),
            )
        }
        warnings += [f"{text}{of}" for text in _lacking(parts, head.output.classes)]
    return warnings


def _lacking(parts: dict[str, set[int]], classes: int) -> list[str]:
    """What to say about the classes of the parts, for a network with this many."""
    seen = set().union(*parts.values())
    warnings = []
    if len(parts["training"]) == 1:
        warnings.append(
            f"all labels of the training part are {min(parts['training'])}: nothing can be learned"
        )
    if nowhere := set(range(classes)) - seen:
        warnings.append(
            f"the network has {classes} classes, but no label is {_listed(sorted(nowhere), 'or')}"
        )
    for name, labels in parts.items():
        if missing := seen - labels:
            what = f"{'class' if len(missing) == 1 else 'classes'} {_listed(sorted(missing))}"
            warnings.append(f"the {name} part has no example of {what}")
    return warnings


# --- examples --------------------------------------------------------------------------------------------------


def _check_tokens(network: Network, stored: StoredData, info: DataInfo) -> None:
    """DataFault for numbers that an Embedding has no row for."""
    reading = input_reading(network)
    if not reading.tokens or info.preprocessing.method != "none":
        return
    for name in reading.tokens:
        rows = network.layer(name).config.get("input_dim")
        for part, x in (("x_train", stored.x_train), ("x_test", stored.x_test)):
            least, largest = x.min(), x.max()
            if isinstance(rows, int) and not 0 <= least <= largest < rows:
                reason = f"holds {least} to {largest}, but layer {name!r} looks up 0 to {rows - 1}"
                raise DataFault(f"{part} {reason}")
            if x.dtype.kind == "f" and not np.array_equal(x, np.floor(x)):
                raise DataFault(f"{part} holds fractions, but layer {name!r} looks up whole numbers")


def _constant(training: NDArray[Any], info: DataInfo) -> list[str]:
    """Features that are the same in every training example."""
    rows = training.reshape(-1, info.preprocessing.features)
    constant = np.flatnonzero(rows.min(axis=0) == rows.max(axis=0)).tolist()
    if not constant:
        return []
    what = f"feature {constant[0]} is" if len(constant) == 1 else f"the features {_listed(constant)} are"
    return [f"{what} constant in the training part, and 0 for the network (counted from 0)"]


def _repeated(x_train: NDArray[Any], x_test: NDArray[Any]) -> list[str]:
    """Test examples that also are training or validation examples, unless examples repeat anyway."""
    common = np.result_type(x_train, x_test)
    train = {row.tobytes() for row in np.ascontiguousarray(x_train, common)}
    if len(train) < _MOSTLY_DISTINCT * len(x_train):
        return []
    count = sum(row.tobytes() in train for row in np.ascontiguousarray(x_test, common))
    if not count:
        return []
    return [
        f"{count} of {len(x_test)} test examples {'is' if count == 1 else 'are'} also in x_train: the test metric will"
        " be too good"
    ]


def _listed(items: Iterable[object], word: str = "and") -> str:
    names = [str(item) for item in items]
    if len(names) > _LISTED:
        return f"{', '.join(names[:_LISTED])} {word} {len(names) - _LISTED} more"
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), names[-1])))
