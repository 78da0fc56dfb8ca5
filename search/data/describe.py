"""Shapes and counts of a job's data, from headers and labels alone. Plain numpy, so that the API process can do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from cachetools import LRUCache, cached

from costmodel.network import Network
from search.data import diabetes, digits, spiking_digits
from search.data.files import DataFault, Header, inside, read_range
from search.data.preprocessing import CONTENTS, Preprocessing, Request, StoredExamples, decided
from search.data.reading import input_reading
from search.data.split import SplitFault, share, sizes
from search.data.stored_parts import checked_headers, read_labels, stored_parts
from search.data.targets import StoredTargets, array_names, fits, unfit
from search.data.values import CENTERED, InputValues, input_values
from search.errors import InvalidSpec, Problem
from search.networks import architecture as models
from search.spec.job import Data, DiabetesData, DigitsData, MnistData, NpzData, SpikingDigitsData
from search.spec.resolved import DataFile, ResolvedData
from search.task import Head, Task, classification

MNIST_FILE: Final = "mnist.npz"
#: Files whose ranges of examples are kept.
_CACHED_RANGES: Final = 64


@dataclass(frozen=True, slots=True)
class DataInfo:
    """The data as the model takes them: shape of one example, examples per part, classes."""

    input_shape: tuple[int, ...]
    train: int
    validation: int
    test: int
    classes: int | None  #: of the judged output; None where its targets are numbers
    preprocessing: Preprocessing
    values: InputValues = CENTERED  #: what the network receives


@dataclass(frozen=True, slots=True)
class _Source:
    """A data set before it is split: its examples, counts, and targets of each head."""

    examples: StoredExamples
    train: int
    test: int
    targets: tuple[StoredTargets, ...]
    validation: int | None = None  #: examples of a validation part of its own


def describe(
    data: ResolvedData,
    data_dir: Path,
    network: Network,
    job_task: Task | None = None,
    *,
    pretrained: bool = False,
) -> DataInfo:
    """The data of a job on this network. Without a task: for a classifier.

    Reads headers and labels; of examples that are neither bytes nor standardized the range, in parts.

    `pretrained`: the network comes with weights that the search uses.

    Raises `InvalidSpec`, with pointers into /data, for a file that is missing, damaged or lacks what is needed, for
    examples that do not fit the network, and for parts that would be empty.
    """
    task = classification(models.output(network)) if job_task is None else job_task
    try:
        source = _SOURCES[data.kind](data, data_dir, task.heads)
    except DataFault as error:
        raise InvalidSpec([Problem(pointer(data), str(error))]) from error
    input_shape = models.input_shape(network)
    problems: list[Problem] = []
    if not fits(shape := source.examples.shape, input_shape):
        problems.append(
            Problem(pointer(data), f"examples have the shape {shape}; the model takes {input_shape}")
        )
    for head, stored in zip(task.heads, source.targets, strict=True):
        if reason := unfit(head, stored):
            problems.append(Problem(pointer(data), reason))
    if data.target_scaling != "none" and all(head.labels == "classes" for head in task.heads):
        problems.append(Problem("/data/target_scaling", "class numbers are not scaled; use none"))
    try:
        parts = sizes(source.train, data.validation_fraction, data.train_samples, source.validation)
    except SplitFault as error:
        problems.append(Problem(f"/data/{error.field}" if error.field else pointer(data), str(error)))
    if problems:
        raise InvalidSpec(problems)
    classes = source.targets[task.judged].classes if task.head.labels == "classes" else None
    rebuilds = data.targets == "inputs" and any(head.output.kind != "linear" for head in task.heads)
    request = Request(data.preprocessing, rebuilds, pretrained)
    preprocessing = decided(request, source.examples, input_shape, input_reading(network))
    try:
        values = input_values(preprocessing.method, source.examples, lambda: _stored_range(data, data_dir))
    except DataFault as error:
        raise InvalidSpec([Problem(pointer(data), str(error))]) from error
    return DataInfo(input_shape, parts.train, parts.validation, source.test, classes, preprocessing, values)


def _stored_range(data: ResolvedData, data_dir: Path) -> tuple[float, float]:
    """The smallest and the largest number of the examples as stored."""
    if isinstance(data, MnistData | NpzData | DataFile):
        path = data_file(data, data_dir)
        stat = path.stat()
        return _range_of(path, stat.st_mtime_ns, stat.st_size)
    assert isinstance(data, DiabetesData)  # the other data sets that ship with fewbits hold bytes
    return diabetes.RANGES[data.features]


@cached(LRUCache[Any, tuple[float, float]](_CACHED_RANGES), lock=Lock())
def _range_of(path: Path, _modified_ns: int, _size: int) -> tuple[float, float]:
    """Of a file in this version; the same job is planned many times."""
    return read_range(path, "x_train")


def pointer(data: Data) -> str:
    """JSON pointer to the field that names the data."""
    return {"npz": "/data/file", "uploaded": "/data/id"}.get(data.kind, "/data/kind")


def data_file(data: MnistData | NpzData | DataFile, data_dir: Path) -> Path:
    """The file of the data. Raises `DataFault` if there is no such file, or its path leads out of the folder."""
    if isinstance(data, DataFile):
        return data.file
    if isinstance(data, MnistData):
        try:
            return inside(data_dir, MNIST_FILE)
        except DataFault as error:
            raise DataFault(f"{error}; put the file that keras.datasets.mnist downloads there") from error
    return inside(data_dir, data.file)


# --- sources -------------------------------------------------------------------------------------------------


def _digits(data: DigitsData, _: Path, heads: Sequence[Head]) -> _Source:
    test = share(digits.COUNT, data.test_fraction)
    targets = _single_output(data, heads, digits.SHAPE, StoredTargets((), digits.CLASSES))
    examples = StoredExamples(digits.SHAPE, np.dtype(np.uint8), CONTENTS[data.kind])
    return _Source(examples, digits.COUNT - test, test, targets)


def _diabetes(data: DiabetesData, _: Path, heads: Sequence[Head]) -> _Source:
    shape, test = (diabetes.FEATURES,), share(diabetes.COUNT, data.test_fraction)
    targets = _single_output(data, heads, shape, StoredTargets((), None))
    examples = StoredExamples(shape, np.dtype(np.float64), CONTENTS[data.kind])
    return _Source(examples, diabetes.COUNT - test, test, targets)


def _spiking_digits(data: SpikingDigitsData, _: Path, heads: Sequence[Head]) -> _Source:
    shape, test = (data.steps, spiking_digits.INPUTS), share(spiking_digits.COUNT, data.test_fraction)
    targets = _single_output(data, heads, shape, StoredTargets((), spiking_digits.CLASSES))
    examples = StoredExamples(shape, np.dtype(np.uint8))
    return _Source(examples, spiking_digits.COUNT - test, test, targets)


def _single_output(
    data: Data, heads: Sequence[Head], shape: tuple[int, ...], stored: StoredTargets
) -> tuple[StoredTargets, ...]:
    """The targets of a built-in data set, which has those of one output."""
    if data.targets == "inputs":
        return (StoredTargets(shape, None),) * len(heads)
    if len(heads) > 1:
        names = ", ".join(array_names(heads, "train"))
        raise DataFault(f"holds targets of one output, the model has {len(heads)}; a .npz may hold {names}")
    return (stored,)


def _npz(data: MnistData | NpzData | DataFile, data_dir: Path, heads: Sequence[Head]) -> _Source:
    path = data_file(data, data_dir)
    parts = stored_parts(data, path, heads)
    headers = checked_headers(path, parts, heads)
    x_train = headers[parts["train"].x]
    if data.targets == "inputs":
        targets = [StoredTargets(x_train.shape[1:], None)] * len(heads)
    else:
        by_head = zip(*(part.y for part in parts.values()), strict=True)
        targets = [_stored(path, headers, head, names) for head, names in zip(heads, by_head, strict=True)]
    examples = StoredExamples(x_train.shape[1:], x_train.dtype, CONTENTS.get(data.kind))
    validation = headers[parts["validation"].x].examples if "validation" in parts else None
    return _Source(examples, x_train.examples, headers[parts["test"].x].examples, tuple(targets), validation)


def _stored(path: Path, headers: Mapping[str, Header], head: Head, names: Sequence[str]) -> StoredTargets:
    shapes = {headers[name].shape[1:]: name for name in names}
    if len(shapes) > 1:
        one, other = (f"{shape} ({name})" for shape, name in list(shapes.items())[:2])
        raise DataFault(f"targets have the shape {one} and {other}")
    if head.labels == "classes":
        return StoredTargets((), 1 + max(int(read_labels(path, name).max()) for name in names))
    return StoredTargets(next(iter(shapes)), None)


_SOURCES: Final[Mapping[str, Callable[[Any, Path, Sequence[Head]], _Source]]] = {
    "digits": _digits,
    "diabetes": _diabetes,
    "spiking_digits": _spiking_digits,
    "mnist": _npz,
    "npz": _npz,
    "uploaded": _npz,
}
