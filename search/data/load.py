"""The arrays of a job: read, split by the seed, and scaled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from search.data import diabetes, digits, spiking_digits
from search.data.files import DataFault, read_headers
from search.data.inputs import Floats, Inputs, as_inputs, by_input
from search.data.parts import TEST_SPLIT, StoredData, split, strata
from search.data.preprocessing import (
    CONTENTS,
    InputScaling,
    Preprocessing,
    Request,
    StoredExamples,
    decided,
    learned,
    preprocessing_of,
    scaled,
)
from search.data.reading import InputReading
from search.data.rebuilt import rebuilt_inputs
from search.data.sources import StoredFiles, part_files, pointer, test_fraction
from search.data.split import SplitFault, held_out, order
from search.data.stored_parts import (
    StoredArray,
    read_labels,
    read_stored_array,
    read_weights,
    stored_parts,
)
from search.data.stored_rows import (
    ScaledRows,
    StoredRows,
    check_finite,
    learned_from_rows,
    stored_rows,
)
from search.data.targets import (
    CLASS_NUMBERS,
    ONE_INPUT,
    TargetScaling,
    fits,
    scaled_targets,
    standardized,
)
from search.data.values import InputInfo
from search.errors import InvalidSpec, Problem
from search.spec.job import Data, DiabetesData, DigitsData, SpikingDigitsData
from search.spec.resolved import ResolvedData
from search.task import Head

Targets = NDArray[Any] | tuple[NDArray[Any], ...]
#: Of an array, or of those of each input.
Scalings = InputScaling | tuple[InputScaling, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Examples and targets of the three parts, as the model takes them. Those of several inputs or outputs are tuples.

    `target_scaling`: of each output; None where its targets are as they were stored. `train_weights`: one for each
    training example, if the data have any.
    """

    x_train: Inputs
    y_train: Targets
    x_validation: Inputs
    y_validation: Targets
    x_test: Inputs
    y_test: Targets
    scaling: Scalings
    target_scaling: tuple[TargetScaling | None, ...] = (None,)
    train_weights: Floats | None = None


def load_inputs(
    data: ResolvedData, data_dir: Path, seed: int, inputs: Sequence[InputInfo], heads: Sequence[Head]
) -> Dataset:
    """The data of a job. The same seed gives the same parts; scaling is computed on the training part alone.

    `inputs`: as `describe` decided them for a network. Raises `InvalidSpec` for what `describe` would refuse, and for
    examples that are not finite.
    """
    with _faults(data):
        stored = read_stored(data, data_dir, seed, heads, [entry.name for entry in inputs])
        return _prepared(data, stored, seed, inputs, heads)


def load(
    data: ResolvedData,
    data_dir: Path,
    seed: int,
    input_shape: tuple[int, ...],
    heads: Sequence[Head] = CLASS_NUMBERS,
    preprocessing: Preprocessing | None = None,
) -> Dataset:
    """The data of a job whose network has one input; as `load_inputs`.

    `preprocessing`: as `describe` decided it for a network; None: for one whose first layer multiplies by a kernel.
    """
    with _faults(data):
        stored = read_stored(data, data_dir, seed, heads)
        chosen = preprocessing or _without_network(data, stored, input_shape)
        return _prepared(data, stored, seed, [InputInfo("", input_shape, chosen)], heads)


@contextmanager
def _faults(data: ResolvedData) -> Iterator[None]:
    """Faults of the data as those of the job that names them."""
    try:
        yield
    except (DataFault, SplitFault) as error:
        raise InvalidSpec([Problem(pointer(data, error), str(error))]) from error


def read_stored(
    data: ResolvedData,
    data_dir: Path,
    seed: int,
    heads: Sequence[Head],
    inputs: Sequence[str] = ONE_INPUT,
) -> StoredData:
    """A data set as stored, with its test part. Raises `DataFault`, also for numbers that are not finite."""
    stored: StoredData = _LOADERS[data.kind](data, data_dir, seed, heads, inputs)
    return stored


def _without_network(data: Data, stored: StoredData, input_shape: tuple[int, ...]) -> Preprocessing:
    [x] = stored.x_train
    examples = StoredExamples(x.shape[1:], x.dtype, CONTENTS.get(data.kind))
    return decided(Request(preprocessing_of(data, "")), examples, input_shape, InputReading(None))


def _prepared(
    data: Data,
    stored: StoredData,
    seed: int,
    inputs: Sequence[InputInfo],
    heads: Sequence[Head],
) -> Dataset:
    for entry, x in zip(inputs, stored.x_train, strict=True):
        if not fits(x.shape[1:], entry.shape):
            raise DataFault(f"examples have the shape {x.shape[1:]}; the model takes {entry.shape}")
    parts = split(data, stored, seed, heads)
    scaling = [
        learned_from_rows(entry.preprocessing, x, largest)
        if isinstance(x, StoredRows)
        else learned(entry.preprocessing, x, largest)
        for entry, x, largest in zip(inputs, parts.x_train, stored.largest, strict=True)
    ]

    def ready(examples: Sequence[NDArray[Any]]) -> Inputs:
        arrays = [
            ScaledRows(x, by, entry.shape)
            if isinstance(x, StoredRows)
            else scaled(x, by).reshape(len(x), *entry.shape)
            for x, by, entry in zip(examples, scaling, inputs, strict=True)
        ]
        result: Inputs = as_inputs(arrays)
        return result

    x_train, x_validation, x_test = map(ready, (parts.x_train, parts.x_validation, stored.x_test))
    if data.targets == "inputs":
        rebuilt = rebuilt_inputs(
            heads, [entry.name for entry in inputs], [x.shape[1:] for x in stored.x_train]
        )
        y_train, y_validation, y_test = (
            [by_input(x)[index] for index in rebuilt] for x in (x_train, x_validation, x_test)
        )
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
        scaling=as_inputs(scaling),
        target_scaling=scalings,
        train_weights=parts.train_weights,
    )


# --- sources -------------------------------------------------------------------------------------------------


def _digits(data: DigitsData, _: Path, seed: int, heads: Sequence[Head], inputs: Sequence[str]) -> StoredData:
    x, y = digits.read_digits()
    return _parted(data, _Whole([x], [y], [digits.LARGEST]), data.test_fraction, seed, heads)


def _diabetes(
    data: DiabetesData, _: Path, seed: int, heads: Sequence[Head], inputs: Sequence[str]
) -> StoredData:
    x, y = diabetes.read_diabetes(data.features)
    return _parted(data, _Whole([x], [y]), data.test_fraction, seed, heads)


def _spiking_digits(
    data: SpikingDigitsData, _: Path, seed: int, heads: Sequence[Head], inputs: Sequence[str]
) -> StoredData:
    rates, labels = spiking_digits.unseen()
    events = spiking_digits.events_of(rates, data.steps)
    return _parted(data, _Whole([events], [labels]), data.test_fraction, seed, heads)


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """Examples that come without a test part, as `StoredData` has them."""

    x: Sequence[NDArray[Any]]
    y: Sequence[NDArray[Any]]
    largest: Sequence[float | None] = (None,)
    weights: Floats | None = None


def _parted(data: Data, whole: _Whole, test_fraction: float, seed: int, heads: Sequence[Head]) -> StoredData:
    """The data with a test part drawn from all examples. Raises `SplitFault` if a part would be empty."""
    x, y, weights = whole.x, whole.y, whole.weights
    count = held_out(len(x[0]), test_fraction)
    places = order(len(x[0]), seed, TEST_SPLIT, strata(data, y, heads))
    test, train = places[:count], places[count:]
    return StoredData(
        [one[train] for one in x],
        [one[train] for one in y],
        [one[test] for one in x],
        [one[test] for one in y],
        whole.largest,
        train_weights=None if weights is None else weights[train],
    )


def labels_alone(
    data: StoredFiles, data_dir: Path, seed: int, heads: Sequence[Head], inputs: Sequence[str] = ONE_INPUT
) -> StoredData:
    """The class numbers of all parts with examples of no numbers, and nothing for outputs that give numbers."""

    def examples(array: StoredArray) -> NDArray[Any]:
        return np.empty((read_headers(array.path, (array.name,))[array.name].examples, 0))

    return _read(data, data_dir, seed, _Wanted(heads, inputs, examples, examples))


def _npz(
    data: StoredFiles, data_dir: Path, seed: int, heads: Sequence[Head], inputs: Sequence[str]
) -> StoredData:
    def examples(array: StoredArray) -> Any:
        rows = None if data.targets == "inputs" else stored_rows(array.path, array.name)
        if rows is None:
            return _numbers(array)
        check_finite(rows, array)
        return rows

    return _read(data, data_dir, seed, _Wanted(heads, inputs, examples, _numbers))


def _numbers(array: StoredArray) -> NDArray[Any]:
    return _finite(read_stored_array(array), array)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is read of files, and how: `examples` at the inputs, `values` that are targets."""

    heads: Sequence[Head]
    inputs: Sequence[str]
    examples: Callable[[StoredArray], Any]
    values: Callable[[StoredArray], NDArray[Any]]


def _read(
    data: StoredFiles,
    data_dir: Path,
    seed: int,
    wanted: _Wanted,
) -> StoredData:
    """The parts of files."""
    heads = wanted.heads
    parts = stored_parts(data, part_files(data, data_dir), heads, wanted.inputs)

    def targets(array: StoredArray, head: Head) -> NDArray[Any]:
        return read_labels(array, head) if head.labels == "classes" else wanted.values(array)

    arrays = {
        part: (list(map(wanted.examples, names.x)), list(map(targets, names.y, heads)))
        for part, names in parts.items()
    }
    x_train, y_train = arrays["train"]
    stored_weights = parts["train"].weights
    weights = None if stored_weights is None else read_weights(stored_weights)
    fits = weights is None or len(weights) == len(x_train[0])
    for x, y in arrays.values():
        fits = fits and len({*map(len, x), *map(len, y)}) == 1
        fits = fits and all(one.shape[1:] == train.shape[1:] for one, train in zip(x, x_train, strict=True))
    if not fits:
        raise DataFault(
            "its arrays no longer match each other: the file was changed after the job was accepted"
        )
    largest = [255.0 if one.dtype == np.uint8 else None for one in x_train]
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


_LOADERS: Final[Mapping[str, Callable[[Any, Path, int, Sequence[Head], Sequence[str]], StoredData]]] = {
    "digits": _digits,
    "diabetes": _diabetes,
    "spiking_digits": _spiking_digits,
    "mnist": _npz,
    "npz": _npz,
    "uploaded": _npz,
}
