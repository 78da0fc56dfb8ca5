"""The arrays of a job: read, split by the seed, and scaled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from search.data import diabetes, digits, spiking_digits
from search.data.describe import data_file, pointer
from search.data.files import DataFault, read_array
from search.data.preprocessing import (
    CONTENTS,
    Floats,
    InputScaling,
    Preprocessing,
    Request,
    StoredExamples,
    decided,
    learned,
    scaled,
)
from search.data.reading import InputReading
from search.data.split import SplitFault, order, share, sizes
from search.data.stored_parts import read_labels, stored_parts
from search.data.targets import CLASS_NUMBERS, TargetScaling, fits, scaled_targets, standardized
from search.errors import InvalidSpec, Problem
from search.spec.job import Data, DiabetesData, DigitsData, MnistData, NpzData, SpikingDigitsData
from search.spec.resolved import DataFile, ResolvedData
from search.task import Head

Targets = NDArray[Any] | tuple[NDArray[Any], ...]

_TEST_SPLIT: Final = 0  #: purposes of the permutations drawn from a job's seed
_VALIDATION_SPLIT: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Examples and targets of the three parts, as the model takes them. Targets of several outputs are tuples.

    `target_scaling`: of each output; None where its targets are as they were stored.
    """

    x_train: Floats
    y_train: Targets
    x_validation: Floats
    y_validation: Targets
    x_test: Floats
    y_test: Targets
    scaling: InputScaling
    target_scaling: tuple[TargetScaling | None, ...] = (None,)


@dataclass(frozen=True, slots=True, eq=False)
class StoredData:
    """A data set as stored. `largest` is the largest number that its type of image can hold, if that is known.

    Targets are listed by output; there are none where the inputs are the targets.
    """

    x_train: NDArray[Any]
    y_train: Sequence[NDArray[Any]]
    x_test: NDArray[Any]
    y_test: Sequence[NDArray[Any]]
    largest: float | None
    x_validation: NDArray[Any] | None = None  #: of a validation part of its own
    y_validation: Sequence[NDArray[Any]] = ()


def load(
    data: ResolvedData,
    data_dir: Path,
    seed: int,
    input_shape: tuple[int, ...],
    heads: Sequence[Head] = CLASS_NUMBERS,
    preprocessing: Preprocessing | None = None,
) -> Dataset:
    """The data of a job. The same seed gives the same parts; scaling is computed on the training part alone.

    `preprocessing`: as `describe` decided it for a network; None: for one whose first layer multiplies by a kernel.
    Raises `InvalidSpec` for what `describe` would refuse, and for examples that are not finite.
    """
    try:
        stored = read_stored(data, data_dir, seed, heads)
        if not fits(stored.x_train.shape[1:], input_shape):
            shape = stored.x_train.shape[1:]
            raise DataFault(f"examples have the shape {shape}; the model takes {input_shape}")
        chosen = preprocessing or _without_network(data, stored, input_shape)
        return _prepared(data, stored, seed, input_shape, chosen, heads)
    except DataFault as error:
        raise InvalidSpec([Problem(pointer(data), str(error))]) from error
    except SplitFault as error:
        raise InvalidSpec([Problem(f"/data/{error.field}".rstrip("/"), str(error))]) from error


def read_stored(data: ResolvedData, data_dir: Path, seed: int, heads: Sequence[Head]) -> StoredData:
    """A data set as stored, with its test part. Raises `DataFault`, also for numbers that are not finite."""
    stored: StoredData = _LOADERS[data.kind](data, data_dir, seed, heads)
    return stored


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Training and validation part as stored, shuffled by the seed."""

    x_train: NDArray[Any]
    y_train: Sequence[NDArray[Any]]
    x_validation: NDArray[Any]
    y_validation: Sequence[NDArray[Any]]


def split(data: Data, stored: StoredData, seed: int) -> Parts:
    """The training and the validation part. Raises `SplitFault` if one of them would be empty."""
    x, y, count = stored.x_train, stored.y_train, len(stored.x_train)
    places = order(count, seed, _VALIDATION_SPLIT)
    if stored.x_validation is not None:
        parts = sizes(count, data.validation_fraction, data.train_samples, len(stored.x_validation))
        train = places[: parts.train]
        return Parts(x[train], [one[train] for one in y], stored.x_validation, stored.y_validation)
    parts = sizes(count, data.validation_fraction, data.train_samples)
    train, held = places[parts.validation :][: parts.train], places[: parts.validation]
    return Parts(x[train], [one[train] for one in y], x[held], [one[held] for one in y])


def _without_network(data: Data, stored: StoredData, input_shape: tuple[int, ...]) -> Preprocessing:
    examples = StoredExamples(stored.x_train.shape[1:], stored.x_train.dtype, CONTENTS.get(data.kind))
    return decided(Request(data.preprocessing), examples, input_shape, InputReading(None))


def _prepared(
    data: Data,
    stored: StoredData,
    seed: int,
    input_shape: tuple[int, ...],
    preprocessing: Preprocessing,
    heads: Sequence[Head],
) -> Dataset:
    parts = split(data, stored, seed)
    scaling = learned(preprocessing, parts.x_train, stored.largest)

    def ready(images: NDArray[Any]) -> Floats:
        return scaled(images, scaling).reshape(len(images), *input_shape)

    x_train, x_validation, x_test = (
        ready(images) for images in (parts.x_train, parts.x_validation, stored.x_test)
    )
    if data.targets == "inputs":
        y_train, y_validation, y_test = ([x] * len(heads) for x in (x_train, x_validation, x_test))
    else:
        y_train, y_validation, y_test = map(list, (parts.y_train, parts.y_validation, stored.y_test))
    scalings = tuple(
        standardized(y) if data.target_scaling == "standard" and head.labels == "values" else None
        for head, y in zip(heads, y_train, strict=True)
    )

    def targets(outputs: Sequence[NDArray[Any]]) -> Targets:
        arrays = tuple(map(scaled_targets, outputs, heads, scalings))
        return arrays[0] if len(arrays) == 1 else arrays

    return Dataset(
        x_train=x_train,
        y_train=targets(y_train),
        x_validation=x_validation,
        y_validation=targets(y_validation),
        x_test=x_test,
        y_test=targets(y_test),
        scaling=scaling,
        target_scaling=scalings,
    )


# --- sources -------------------------------------------------------------------------------------------------


def _digits(data: DigitsData, _: Path, seed: int, heads: Sequence[Head]) -> StoredData:
    return _parted(*digits.read_digits(), data.test_fraction, seed, digits.LARGEST)


def _diabetes(data: DiabetesData, _: Path, seed: int, heads: Sequence[Head]) -> StoredData:
    return _parted(*diabetes.read_diabetes(data.features), data.test_fraction, seed, None)


def _spiking_digits(data: SpikingDigitsData, _: Path, seed: int, heads: Sequence[Head]) -> StoredData:
    rates, labels = spiking_digits.unseen()
    return _parted(spiking_digits.events_of(rates, data.steps), labels, data.test_fraction, seed, None)


def _parted(
    x: NDArray[Any], y: NDArray[Any], test_fraction: float, seed: int, largest: float | None
) -> StoredData:
    """A data set that comes without a test part."""
    places = order(len(x), seed, _TEST_SPLIT)
    count = share(len(x), test_fraction)
    test, train = places[:count], places[count:]
    return StoredData(x[train], [y[train]], x[test], [y[test]], largest)


def _npz(data: MnistData | NpzData | DataFile, data_dir: Path, _: int, heads: Sequence[Head]) -> StoredData:
    path = data_file(data, data_dir)
    arrays = {
        part: (
            _finite(read_array(path, names.x), names.x),
            [_read_targets(path, name, head) for name, head in zip(names.y, heads, strict=bool(names.y))],
        )
        for part, names in stored_parts(data, path, heads).items()
    }
    x_train, y_train = arrays["train"]
    for x, y in arrays.values():
        if len({len(x), *map(len, y)}) > 1 or x.shape[1:] != x_train.shape[1:]:
            raise DataFault(
                "its arrays no longer match each other: the file was changed after the job was accepted"
            )
    largest = 255.0 if x_train.dtype == np.uint8 else None
    return StoredData(x_train, y_train, *arrays["test"], largest, *arrays.get("validation", (None, ())))


def _read_targets(path: Path, name: str, head: Head) -> NDArray[Any]:
    return read_labels(path, name) if head.labels == "classes" else _finite(read_array(path, name), name)


def _finite(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.dtype.kind == "f":
        largest = max(-float(array.min()), float(array.max()))
        if not largest <= np.finfo(np.float32).max:
            raise DataFault(f"{name} holds numbers that are not finite as 32-bit floats")
    return array


_LOADERS: Final[Mapping[str, Callable[[Any, Path, int, Sequence[Head]], StoredData]]] = {
    "digits": _digits,
    "diabetes": _diabetes,
    "spiking_digits": _spiking_digits,
    "mnist": _npz,
    "npz": _npz,
    "uploaded": _npz,
}
