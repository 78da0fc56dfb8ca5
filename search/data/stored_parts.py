"""Which arrays of which file are which part of a job's data, checked by their headers. Plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from search.data.files import DataFault, Header, check_size, read_array, read_headers, stored_names
from search.data.sources import PartFiles, StoredFiles
from search.data.targets import CLASS_NUMBERS, ONE_INPUT, array_names, input_names
from search.spec.job import MnistData
from search.task import Head

PartName = Literal["train", "validation", "test"]

#: What a file calls a part, after `x`; the first that it has counts.
_SUFFIXES: Final[Mapping[PartName, tuple[str, ...]]] = {
    "train": ("_train", ""),
    "validation": ("_val", "_validation"),
    "test": ("_test",),
}
#: What a file calls the weights of its training examples; the first that it has counts.
_WEIGHTS: Final = ("sample_weight_train", "sample_weight")


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array of a file. `file`: its name in messages; empty for the file that the job names first."""

    path: Path
    name: str
    file: str = ""

    def __str__(self) -> str:
        return f"{self.name} of {self.file}" if self.file else self.name


@dataclass(frozen=True, slots=True)
class PartArrays:
    """A part's arrays. `x`: by input. `y`: by output; empty where the inputs are the targets.

    `weights`: of training examples.
    """

    x: tuple[StoredArray, ...]
    y: tuple[StoredArray, ...]
    weights: StoredArray | None = None

    @property
    def arrays(self) -> tuple[StoredArray, ...]:
        """All of them."""
        return (*self.x, *self.y, *(() if self.weights is None else (self.weights,)))


Parts = Mapping[PartName, PartArrays]


def stored_parts(
    data: StoredFiles, files: PartFiles, heads: Sequence[Head], inputs: Sequence[str] = ONE_INPUT
) -> dict[PartName, PartArrays]:
    """The parts that a job reads from its files; a part that they lack is held out of the training part.

    `inputs`: names of the network's. Raises `DataFault` where the files must hold a part, its examples at each input or
    its targets, and do not.
    """
    heads = () if data.targets == "inputs" else heads
    names = _Names(tuple(inputs), tuple(heads))
    parts: dict[PartName, PartArrays] = {"train": _part("train", files.train, names)}
    if not isinstance(data, MnistData) and data.validation != "split":
        validation = _separate("validation", files.train, files.validation, names)
        if validation is not None:
            parts["validation"] = validation
        elif data.validation == "stored":
            [first, *_] = input_names(inputs, "_val")
            raise DataFault(f"lacks {first}: add it, or set data.validation to split")
    test = _separate("test", files.train, files.test, names)
    if test is not None:
        parts["test"] = test
    elif isinstance(data, MnistData):
        raise DataFault("lacks x_test")
    return parts


@dataclass(frozen=True, slots=True)
class _Names:
    """What a network's arrays are called by: its inputs and its heads."""

    inputs: tuple[str, ...]
    heads: tuple[Head, ...]

    def examples(self, suffix: str) -> list[str]:
        """Of each input."""
        return input_names(self.inputs, suffix)

    def targets(self, suffix: str) -> list[str]:
        """Of each head; none where the inputs are the targets."""
        return array_names(self.heads, suffix) if self.heads else []


def _separate(part: PartName, train: Path, file: Path | None, wanted: _Names) -> PartArrays | None:
    """A part with a file of its own, or with arrays in that of the training part; None if it has neither."""
    if file is not None:
        return _part(part, file, wanted, separate=True)
    return _part(part, train, wanted) if _suffix(part, stored_names(train), wanted) is not None else None


def _part(part: PartName, path: Path, wanted: _Names, *, separate: bool = False) -> PartArrays:
    names = stored_names(path)
    suffix = _suffix(part, names, wanted, alone=separate)
    file = path.name if separate else ""
    if suffix is None:
        raise DataFault(_without_examples(part, file, names, wanted))
    examples, targets = wanted.examples(suffix), wanted.targets(suffix)
    if missing := [name for name in (*examples, *targets) if name not in names]:
        if part == "validation" and not separate:
            present = next(name for name in examples if name in names)
            reason = f"holds {present}, but lacks {', '.join(missing)}"
            raise DataFault(
                f"{reason}: add it, or set data.validation to split to hold out a share of the training part"
            )
        raise DataFault(_lacking(file, names, missing) + _by_input(wanted, missing))
    weights = next((name for name in _WEIGHTS if name in names), None) if part == "train" else None
    return PartArrays(
        tuple(StoredArray(path, name, file) for name in examples),
        tuple(StoredArray(path, name, file) for name in targets),
        None if weights is None else StoredArray(path, weights, file),
    )


def _lacking(file: str, names: Sequence[str], missing: Sequence[str], word: str = "and") -> str:
    holds = ", ".join(names[:20]) or "nothing"
    return f"{file} lacks {f' {word} '.join(missing)}; it holds {holds}".strip()


def _without_examples(part: PartName, file: str, names: Sequence[str], wanted: _Names) -> str:
    """Why a file has no such part."""
    if len(wanted.inputs) > 1:
        missing = wanted.examples(_SUFFIXES[part][0])
        return _lacking(file, names, missing) + _by_input(wanted, missing)
    suffixes = (*_SUFFIXES[part], *(("",) if file else ()))
    allowed = [name for suffix in suffixes for name in wanted.examples(suffix)]
    return _lacking(file, names, list(dict.fromkeys(allowed)), word="or")


def _by_input(wanted: _Names, missing: Sequence[str]) -> str:
    """How arrays are named where a network has several inputs and one of theirs is missing."""
    if len(wanted.inputs) == 1 or not any(name.startswith("x") for name in missing):
        return ""
    inputs = ", ".join(wanted.inputs)
    return f"; the model has {len(wanted.inputs)} inputs ({inputs}), each with an array of its own name"


def _suffix(part: PartName, names: Sequence[str], wanted: _Names, *, alone: bool = False) -> str | None:
    suffixes = (*_SUFFIXES[part], *(("",) if alone else ()))
    return next((suffix for suffix in suffixes if {*wanted.examples(suffix)} & {*names}), None)


def checked_headers(parts: Parts, heads: Sequence[Head]) -> Mapping[StoredArray, Header]:
    """The headers of all arrays of the parts. `DataFault` where they do not fit each other."""
    headers: dict[StoredArray, Header] = {}
    for array in arrays_of(parts):
        header = read_headers(array.path, (array.name,))[array.name]
        headers[array] = Header(str(array), header.shape, header.dtype)
    for part in parts.values():
        for array in (
            part.y if part.y else part.x
        ):  # what memory holds: targets, and examples that are targets
            check_size(headers[array])
    for part in parts.values():
        for array, train in zip(part.x, parts["train"].x, strict=True):
            _check_examples(headers[array], headers[train])
            _check_counts(headers[part.x[0]], headers[array])
    for part in parts.values():
        for array, head in zip(part.y, heads, strict=bool(part.y)):
            _check_targets(headers[part.x[0]], headers[array], head)
        if part.weights is not None:
            _check_weights(headers[part.x[0]], headers[part.weights])
    return headers


def arrays_of(parts: Parts) -> list[StoredArray]:
    """All arrays of the parts."""
    return [array for part in parts.values() for array in part.arrays]


def read_stored_array(array: StoredArray) -> NDArray[Any]:
    """The whole array. Raises `DataFault`."""
    return read_array(array.path, array.name)


def read_labels(array: StoredArray, head: Head = CLASS_NUMBERS[0]) -> NDArray[np.int32]:
    """The class numbers of a part, one per example or place; rows of a class for each score are read as one-hot.

    Raises `DataFault` for a number that is negative or too large, and for rows that are not one-hot.
    """
    labels = read_stored_array(array)
    if is_one_hot(labels.shape, head):
        return _of_one_hot(labels, array)
    labels = labels.reshape(-1, *head.target_shape)
    if labels.size and int(labels.min()) < 0:
        raise DataFault(f"{array} holds the label {labels.min()}; class numbers count from 0")
    if labels.size and int(labels.max()) >= 2**31 - 1:
        raise DataFault(f"{array} holds the label {labels.max()}, which is not a class number")
    return labels.astype(np.int32)


def is_one_hot(shape: tuple[int, ...], head: Head) -> bool:
    """Whether an array of this shape must hold one-hot rows for the head: a number for each class."""
    return len(shape) == len(head.target_shape) + 2 and shape[-1] == head.output.classes


def _of_one_hot(rows: NDArray[Any], array: StoredArray) -> NDArray[np.int32]:
    single = (np.count_nonzero(rows, axis=-1) == 1) & (rows.max(axis=-1, initial=0) == 1)
    if not single.all():
        first = int(np.argmin(single.reshape(len(rows), -1).all(axis=1)))
        raise DataFault(
            f"{array} has a row for each example, but row {first} (counted from 0) is not one-hot: it needs one 1"
            " and zeros; for shares or several classes at once set a loss such as kl_divergence or"
            " binary_crossentropy in /training/loss"
        )
    return np.asarray(rows.argmax(axis=-1), np.int32)


def read_weights(array: StoredArray) -> NDArray[np.float32]:
    """The weights of the training examples. Raises `DataFault` unless they are finite, at least 0, and not all 0."""
    weights = read_stored_array(array).reshape(-1).astype(np.float64)
    if not np.isfinite(weights).all() or weights.min(initial=0) < 0 or not weights.any():
        raise DataFault(f"{array} holds weights of examples: they must be finite, at least 0, and not all 0")
    return weights.astype(np.float32)


def _check_examples(x: Header, train: Header) -> None:
    if not x.examples:
        raise DataFault(f"{x.name} holds no examples")
    if len(x.shape) < 2:
        raise DataFault(f"{x.name} has the shape {x.shape}; each example needs at least one axis")
    if train.shape[1:] != x.shape[1:]:
        raise DataFault(
            f"examples of {train.name} have the shape {train.shape[1:]}, of {x.name} {x.shape[1:]}"
        )


def _check_counts(first: Header, x: Header) -> None:
    if first.examples != x.examples:
        raise DataFault(
            f"{first.name} holds {first.examples} examples and {x.name} {x.examples}: each input needs one row for"
            " each example"
        )


def _check_targets(x: Header, y: Header, head: Head) -> None:
    classes = head.labels == "classes"
    one_hot = classes and is_one_hot(y.shape, head)
    if classes and y.dtype.kind not in "biu" and not one_hot:
        hint = "; for targets that are numbers set a metric such as mse in /objective"
        raise DataFault(
            f"{y.name} holds {y.dtype.name}; labels must be class numbers, that is integers (whole"
            f" numbers become such by y.astype('int64')){hint}"
        )
    places = head.target_shape
    if classes and not one_hot and y.shape[1:] not in (places, (*places, 1)):
        if places:
            raise DataFault(
                f"{y.name} has the shape {y.shape}; it must hold one class number for each of the {places} places of an"
                f" example, or one-hot rows of {head.output.classes} numbers"
            )
        raise DataFault(
            f"{y.name} has the shape {y.shape}; it must hold one class number per example, or one-hot rows of"
            f" {head.output.classes} numbers, one for each class of the network"
        )
    if x.examples != y.examples:
        raise DataFault(f"{x.name} holds {x.examples} examples and {y.name} {y.examples} labels")


def _check_weights(x: Header, weights: Header) -> None:
    if weights.shape not in ((x.examples,), (x.examples, 1)):
        raise DataFault(
            f"{weights.name} has the shape {weights.shape}; it must hold one weight for each of the {x.examples}"
            f" examples of {x.name}"
        )
