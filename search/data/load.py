"""The arrays of a job: read, split by the seed, and scaled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from search.data import diabetes, digits, spiking_digits
from search.data.files import DataFault, read_headers
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
from search.data.sources import StoredFiles, part_files, pointer, test_fraction
from search.data.split import SplitFault, held_out, order, sizes
from search.data.stored_parts import (
    StoredArray,
    read_labels,
    read_stored_array,
    read_weights,
    stored_parts,
)
from search.data.targets import CLASS_NUMBERS, TargetScaling, fits, scaled_targets, standardized
from search.errors import InvalidSpec, Problem
from search.spec.job import Data, DiabetesData, DigitsData, SpikingDigitsData
from search.spec.resolved import ResolvedData
from search.task import Head

Targets = NDArray[Any] | tuple[NDArray[Any], ...]

_TEST_SPLIT: Final = 0  #: purposes of the permutations drawn from a job's seed
_VALIDATION_SPLIT: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Examples and targets of the three parts, as the model takes them. Targets of several outputs are tuples.

    `target_scaling`: of each output; None where its targets are as they were stored. `train_weights`: one for each
    training example, if the data have any.
    """

    x_train: Floats
    y_train: Targets
    x_validation: Floats
    y_validation: Targets
    x_test: Floats
    y_test: Targets
    scaling: InputScaling
    target_scaling: tuple[TargetScaling | None, ...] = (None,)
    train_weights: Floats | None = None


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
    train_weights: Floats | None = None  #: of the training examples


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
    except (DataFault, SplitFault) as error:
        raise InvalidSpec([Problem(pointer(data, error), str(error))]) from error


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
    train_weights: Floats | None = None


def split(data: Data, stored: StoredData, seed: int, heads: Sequence[Head]) -> Parts:
    """The training and the validation part. Raises `SplitFault` if one of them would be empty."""
    x, y, count = stored.x_train, stored.y_train, len(stored.x_train)
    places = order(count, seed, _VALIDATION_SPLIT, _strata(data, y, heads))
    separate = None if stored.x_validation is None else len(stored.x_validation)
    parts = sizes(count, data.validation_fraction, data.train_samples, separate)
    first = 0 if stored.x_validation is not None else parts.validation
    train, validation = places[first:][: parts.train], places[:first]
    return Parts(
        x[train],
        [one[train] for one in y],
        x[validation] if stored.x_validation is None else stored.x_validation,
        [one[validation] for one in y] if stored.x_validation is None else stored.y_validation,
        None if stored.train_weights is None else stored.train_weights[train],
    )


def _strata(data: Data, y: Sequence[NDArray[Any]], heads: Sequence[Head]) -> NDArray[Any] | None:
    """The class numbers that a stratified split goes by; None where the job's is random, or no output has any."""
    if data.split == "random" or data.targets == "inputs":
        return None
    classes = (labels for labels, head in zip(y, heads, strict=False) if head.labels == "classes")
    return next((labels for labels in classes if labels.ndim == 1 and labels.dtype.kind == "i"), None)


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
    parts = split(data, stored, seed, heads)
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
        train_weights=parts.train_weights,
    )


# --- sources -------------------------------------------------------------------------------------------------


def _digits(data: DigitsData, _: Path, seed: int, heads: Sequence[Head]) -> StoredData:
    x, y = digits.read_digits()
    return _parted(data, _Whole(x, [y], digits.LARGEST), data.test_fraction, seed, heads)


def _diabetes(data: DiabetesData, _: Path, seed: int, heads: Sequence[Head]) -> StoredData:
    x, y = diabetes.read_diabetes(data.features)
    return _parted(data, _Whole(x, [y]), data.test_fraction, seed, heads)


def _spiking_digits(data: SpikingDigitsData, _: Path, seed: int, heads: Sequence[Head]) -> StoredData:
    rates, labels = spiking_digits.unseen()
    events = spiking_digits.events_of(rates, data.steps)
    return _parted(data, _Whole(events, [labels]), data.test_fraction, seed, heads)


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """Examples that come without a test part, as `StoredData` has them."""

    x: NDArray[Any]
    y: Sequence[NDArray[Any]]
    largest: float | None = None
    weights: Floats | None = None


def _parted(data: Data, whole: _Whole, test_fraction: float, seed: int, heads: Sequence[Head]) -> StoredData:
    """The data with a test part drawn from all examples. Raises `SplitFault` if a part would be empty."""
    x, y, weights = whole.x, whole.y, whole.weights
    count = held_out(len(x), test_fraction)
    places = order(len(x), seed, _TEST_SPLIT, _strata(data, y, heads))
    test, train = places[:count], places[count:]
    return StoredData(
        x[train],
        [one[train] for one in y],
        x[test],
        [one[test] for one in y],
        whole.largest,
        train_weights=None if weights is None else weights[train],
    )


def labels_alone(data: StoredFiles, data_dir: Path, seed: int, heads: Sequence[Head]) -> StoredData:
    """The class numbers of all parts with examples of no numbers, and nothing for outputs that give numbers."""

    def examples(array: StoredArray) -> NDArray[Any]:
        return np.empty((read_headers(array.path, (array.name,))[array.name].examples, 0))

    return _read(data, data_dir, seed, heads, examples)


def _npz(data: StoredFiles, data_dir: Path, seed: int, heads: Sequence[Head]) -> StoredData:
    return _read(data, data_dir, seed, heads, lambda array: _finite(read_stored_array(array), array))


def _read(
    data: StoredFiles,
    data_dir: Path,
    seed: int,
    heads: Sequence[Head],
    numbers: Callable[[StoredArray], NDArray[Any]],
) -> StoredData:
    """The parts of files; `numbers` reads arrays that are not class numbers."""
    parts = stored_parts(data, part_files(data, data_dir), heads)

    def targets(array: StoredArray, head: Head) -> NDArray[Any]:
        return read_labels(array, head) if head.labels == "classes" else numbers(array)

    arrays = {part: (numbers(names.x), list(map(targets, names.y, heads))) for part, names in parts.items()}
    x_train, y_train = arrays["train"]
    stored_weights = parts["train"].weights
    weights = None if stored_weights is None else read_weights(stored_weights)
    fits = weights is None or len(weights) == len(x_train)
    for x, y in arrays.values():
        fits = fits and len({len(x), *map(len, y)}) == 1 and x.shape[1:] == x_train.shape[1:]
    if not fits:
        raise DataFault(
            "its arrays no longer match each other: the file was changed after the job was accepted"
        )
    largest = 255.0 if x_train.dtype == np.uint8 else None
    if "test" in arrays:
        stored = StoredData(x_train, y_train, *arrays["test"], largest, train_weights=weights)
    else:
        whole = _Whole(x_train, y_train, largest, weights)
        stored = _parted(data, whole, test_fraction(data), seed, heads)
    if "validation" not in arrays:
        return stored
    x_validation, y_validation = arrays["validation"]
    return replace(stored, x_validation=x_validation, y_validation=y_validation)


def _finite(array: NDArray[Any], name: object) -> NDArray[Any]:
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
