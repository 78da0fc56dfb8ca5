"""What is odd about the numbers of a job's data, so that a dry run says it before a search is spent on them. Plain.

A worker does not call this: what cannot be used at all, `load` refuses too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from cachetools import LRUCache, cached
from numpy.typing import NDArray

from costmodel.network import Network
from search.data.describe import DataInfo
from search.data.files import DataFault, stored_names
from search.data.load import labels_alone, read_stored
from search.data.parts import Parts, StoredData, split
from search.data.reading import input_reading
from search.data.sources import PartFiles, StoredFiles, part_files, pointer
from search.data.stored_parts import (
    PartArrays,
    PartName,
    arrays_of,
    checked_headers,
    stored_parts,
)
from search.data.values import InputInfo
from search.data.weights import label_counts
from search.errors import InvalidSpec, Problem
from search.spec.job import MnistData
from search.spec.resolved import ResolvedData
from search.task import Head, Task

#: Bytes of examples, in the type that holds those of all parts, that are read for a dry run; and how many examples.
MAX_BYTES: Final = 128 << 20
MAX_EXAMPLES: Final = 1_000_000
#: Names listed in a warning.
_LISTED: Final = 8
#: Share of training examples that must differ for repeated ones in the test part to be no accident.
_MOSTLY_DISTINCT: Final = 0.5

_Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Examination:
    """Warnings about the numbers of a job's data.

    `label_counts`: labels of each class of the measured output in the training part; empty where it has none.
    """

    warnings: tuple[str, ...]
    label_counts: tuple[int, ...] = ()


def examined(
    data: ResolvedData, data_dir: Path, seed: int, network: Network, task: Task, info: DataInfo
) -> Examination:
    """What the numbers of a job's data are like.

    Raises `InvalidSpec` for numbers that are not finite and for tokens that an Embedding does not have.
    """
    try:
        return _examined(data, data_dir, seed, network, task, info)
    except DataFault as error:
        raise InvalidSpec([Problem(pointer(data, error), str(error))]) from error


def _key(data: ResolvedData, data_dir: Path, seed: int, network: Network, task: Task, info: DataInfo) -> _Key:
    # What is in a file may change under its name.
    stamp: _Key = ()
    if isinstance(data, StoredFiles):
        states = [path.stat() for path in part_files(data, data_dir).paths]
        stamp = (str(data_dir), *((state.st_mtime_ns, state.st_size, state.st_ino) for state in states))
    tokens = [
        str(network.layer(name).config.get("input_dim"))
        for entry in network.inputs
        for name in input_reading(network, entry).tokens
    ]
    return data.model_dump_json(), stamp, seed, repr(task), repr(info), *tokens


@cached(LRUCache[_Key, Examination](64), key=_key, lock=Lock())
def _examined(
    data: ResolvedData, data_dir: Path, seed: int, network: Network, task: Task, info: DataInfo
) -> Examination:
    warnings: list[str] = []
    if isinstance(data, StoredFiles):
        files = part_files(data, data_dir)
        arrays = stored_parts(data, files, task.heads, network.inputs)
        warnings += _unread(data, files, arrays)
        if _is_large(arrays, task.heads):
            alone = labels_alone(data, data_dir, seed, task.heads, network.inputs)
            parts = split(data, alone, seed, task.heads)
            warnings += _of_labels(parts, alone, task.heads)
            warnings.append(
                "the examples are too many to look for constant features, examples of the test part in the training"
                " part, and numbers that are not finite: a worker refuses the latter"
            )
            return Examination(tuple(warnings), _label_counts(parts, task))
    stored = read_stored(data, data_dir, seed, task.heads, network.inputs)
    parts = split(data, stored, seed, task.heads)
    warnings += _of_labels(parts, stored, task.heads)
    _check_tokens(network, stored, info)
    for entry, x in zip(info.inputs, parts.x_train, strict=True):
        if entry.preprocessing.method == "standard":
            warnings += _constant(x, entry, is_one_of_many=len(info.inputs) > 1)
    if isinstance(data, StoredFiles) and not isinstance(data, MnistData):
        warnings += _repeated(stored.x_train, stored.x_test)
    return Examination(tuple(warnings), _label_counts(parts, task))


def _label_counts(parts: Parts, task: Task) -> tuple[int, ...]:
    if task.head.labels != "classes" or not parts.y_train:
        return ()
    return tuple(label_counts(parts.y_train[task.judged], task).tolist())


# --- arrays ----------------------------------------------------------------------------------------------------


def _unread(data: StoredFiles, files: PartFiles, parts: Mapping[PartName, PartArrays]) -> list[str]:
    """What the job reads of the files, where that may surprise: other arrays, or a field that has no effect."""
    read = arrays_of(parts)
    warnings = []
    for path in files.paths:
        names = [array.name for array in read if array.path == path]
        unread = [name for name in stored_names(path) if name not in names]
        if data.targets == "inputs":  # labels beside the examples of an autoencoder are left out on purpose
            stems = tuple(f"y{part.x[0].name.removeprefix('x')}" for part in parts.values())
            unread = [name for name in unread if not name.startswith(stems)]
        if unread:
            file = "the file" if path == files.train else path.name
            reads = ", ".join(map(str, read))
            warnings.append(f"nothing reads the arrays {_listed(unread)} of {file}; a job reads {reads}")
    return warnings + _without_effect(data, files, parts)


def _without_effect(data: StoredFiles, files: PartFiles, parts: Mapping[PartName, PartArrays]) -> list[str]:
    """Shares that are not held out because the files have the part."""
    warnings, fields = [], type(data).model_fields
    if "validation" in parts and data.validation_fraction != fields["validation_fraction"].default:
        x, train = parts["validation"].x[0], parts["train"].x[0]
        remedy = "set data.validation to split" if x.path == files.train else "leave data.validation_file out"
        warnings.append(
            f"data.validation_fraction has no effect: {x} is the validation part; {remedy} to hold out a share of"
            f" {train} instead"
        )
    if isinstance(data, MnistData) or "test" not in parts:
        return warnings
    if data.test_fraction != fields["test_fraction"].default:
        warnings.append(f"data.test_fraction has no effect: {parts['test'].x[0]} is the test part")
    return warnings


def _is_large(parts: Mapping[PartName, PartArrays], heads: Sequence[Head]) -> bool:
    headers = checked_headers(parts, heads)
    inputs = list(zip(*([headers[array] for array in part.x] for part in parts.values()), strict=True))
    widths = [np.result_type(*(header.dtype for header in examples)).itemsize for examples in inputs]
    size = sum(
        int(np.prod(header.shape)) * width
        for examples, width in zip(inputs, widths, strict=True)
        for header in examples
    )
    return size > MAX_BYTES or sum(header.examples for header in inputs[0]) > MAX_EXAMPLES


# --- labels ----------------------------------------------------------------------------------------------------


def _of_labels(parts: Parts, stored: StoredData, heads: Sequence[Head]) -> list[str]:
    """Classes that a part of the data lacks, and targets that are all equal, by output."""
    warnings: list[str] = []
    outputs = zip(parts.y_train, parts.y_validation, stored.y_test, strict=True)
    for head, labels in zip(heads, outputs, strict=False):  # no labels where inputs are the targets
        if head.labels != "classes":
            flat = labels[0].reshape(len(labels[0]), -1)
            if flat.size and (flat.min(axis=0) == flat.max(axis=0)).all():
                warnings.append(f"all targets of the training part{_of(head, heads)} are equal")
            continue
        names = ("training", "validation", "test")
        classes = {name: set(np.unique(part).tolist()) for name, part in zip(names, labels, strict=True)}
        warnings += [f"{text}{_of(head, heads)}" for text in _lacking(classes, head.output.classes)]
    return warnings


def _of(head: Head, heads: Sequence[Head]) -> str:
    return f" of output {head.name!r}" if len(heads) > 1 else ""


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
    for index, entry in enumerate(info.inputs):
        tokens = input_reading(network, entry.name or None).tokens
        if not tokens or entry.preprocessing.method != "none":
            continue
        suffix = f"_{entry.name}" if len(info.inputs) > 1 else ""
        parts = {
            f"x_train{suffix}": stored.x_train,
            "the validation part": stored.x_validation,
            f"x_test{suffix}": stored.x_test,
        }
        for name in tokens:
            rows = network.layer(name).config.get("input_dim")
            for part, x in parts.items():
                if x is not None:
                    _check_token_numbers(part, x[index], name, rows)


def _check_token_numbers(part: str, x: NDArray[Any], name: str, rows: Any) -> None:
    """DataFault for numbers that the Embedding of this name has no row for."""
    least, largest = x.min(), x.max()
    if isinstance(rows, int) and not 0 <= least <= largest < rows:
        reason = f"holds {least} to {largest}, but layer {name!r} looks up 0 to {rows - 1}"
        raise DataFault(f"{part} {reason}")
    if x.dtype.kind == "f" and not np.array_equal(x, np.floor(x)):
        raise DataFault(f"{part} holds fractions, but layer {name!r} looks up whole numbers")


def _constant(training: NDArray[Any], entry: InputInfo, *, is_one_of_many: bool) -> list[str]:
    """Features that are the same in every training example."""
    rows = training.reshape(-1, entry.preprocessing.features)
    constant = np.flatnonzero(rows.min(axis=0) == rows.max(axis=0)).tolist()
    if not constant:
        return []
    of = f" of input {entry.name!r}" if is_one_of_many else ""
    what = (
        f"feature {constant[0]}{of} is" if len(constant) == 1 else f"the features {_listed(constant)}{of} are"
    )
    return [f"{what} constant in the training part, and 0 for the network (counted from 0)"]


def _repeated(x_train: Sequence[NDArray[Any]], x_test: Sequence[NDArray[Any]]) -> list[str]:
    """Test examples that also are training or validation examples, unless examples repeat anyway."""
    types = [np.result_type(one, other) for one, other in zip(x_train, x_test, strict=True)]
    train, test = np.sort(_hashes_of_inputs(x_train, types)), _hashes_of_inputs(x_test, types)
    if 1 + np.count_nonzero(np.diff(train)) < _MOSTLY_DISTINCT * len(train):
        return []
    nearest = train[np.minimum(np.searchsorted(train, test), len(train) - 1)]
    count = int(np.count_nonzero(nearest == test))
    if not count:
        return []
    return [
        f"{count} of {len(test)} test examples {'is' if count == 1 else 'are'} also in x_train: the test metric will"
        " be too good"
    ]


def _hashes_of_inputs(inputs: Sequence[NDArray[Any]], types: Sequence[np.dtype[Any]]) -> NDArray[np.uint64]:
    """A number for each example, of its numbers at all inputs."""
    hashes = np.zeros(len(inputs[0]), np.uint64)
    for index, (x, common) in enumerate(zip(inputs, types, strict=True)):
        hashes += _hashes(x.astype(common)) * np.uint64(2 * index + 1)
    return hashes


def _hashes(examples: NDArray[Any]) -> NDArray[np.uint64]:
    """A number for each example, equal for equal ones and, up to a chance of about 1e-7 in a million, only for them."""
    raw = np.ascontiguousarray(examples).reshape(len(examples), -1).view(np.uint8)
    padded = np.zeros((len(raw), -(-raw.shape[1] // 8) * 8), np.uint8)
    padded[:, : raw.shape[1]] = raw
    words = padded.view(np.uint64)
    words ^= words >> np.uint64(33)  # whole numbers as floats differ in their high bits alone
    words *= np.uint64(0xFF51AFD7ED558CCD)
    words ^= words >> np.uint64(29)
    factors = np.random.default_rng(0).integers(0, 2**64, words.shape[1], np.uint64, endpoint=False)
    words *= factors | np.uint64(1)
    words ^= words >> np.uint64(32)
    return np.asarray(words.sum(axis=1, dtype=np.uint64))


def _listed(items: Iterable[object], word: str = "and") -> str:
    names = [str(item) for item in items]
    if len(names) > _LISTED:
        return f"{', '.join(names[:_LISTED])} {word} {len(names) - _LISTED} more"
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), names[-1])))
