"""Shapes and counts of a job's data, from headers and labels alone. Plain numpy, so that the API process can do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from cachetools import LRUCache, cached

from costmodel.input_steps import NO_STEPS, InputSteps
from costmodel.layer import Shape
from costmodel.network import Network
from search.data import diabetes, digits, spiking_digits
from search.data.files import DataFault, Header, read_range
from search.data.preprocessing import (
    CONTENTS,
    Preprocessing,
    Request,
    StoredExamples,
    decided,
    preprocessing_of,
)
from search.data.reading import input_reading
from search.data.rebuilt import rebuilt_inputs
from search.data.sources import StoredFiles, part_files, pointer, test_fraction
from search.data.split import SplitFault, held_out, share, sizes
from search.data.stored_parts import (
    PartArrays,
    PartName,
    StoredArray,
    checked_headers,
    is_one_hot,
    read_labels,
    read_weights,
    stored_parts,
)
from search.data.targets import ONE_INPUT, StoredTargets, array_names, fits, input_names, unfit
from search.data.values import InputInfo, InputValues, input_values
from search.errors import InvalidSpec, Problem
from search.networks import architecture as models
from search.spec.job import Data, DiabetesData, DigitsData, SpikingDigitsData
from search.spec.resolved import ResolvedData
from search.task import Head, Task, classification

#: Files whose ranges of examples are kept.
_CACHED_RANGES: Final = 64


@dataclass(frozen=True, slots=True)
class DataInfo:
    """The data as the model takes them: its inputs in the network's order, examples per part, classes.

    `notes`: what is read of which files, and how, in words.
    """

    inputs: tuple[InputInfo, ...]
    train: int
    validation: int
    test: int
    classes: int | None  #: of the judged output; None where its targets are numbers
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def input_shape(self) -> Shape:
        """Shape of an example at the first input."""
        return self.inputs[0].shape

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to the examples of the first input."""
        return self.inputs[0].preprocessing

    @property
    def values(self) -> InputValues:
        """What the network receives at its first input."""
        return self.inputs[0].values


@dataclass(frozen=True, slots=True)
class _Source:
    """A data set before it is split: its examples at each input, counts, and targets of each head."""

    examples: tuple[StoredExamples, ...]
    train: int
    test: int
    targets: tuple[StoredTargets, ...]
    validation: int | None = None  #: examples of a validation part of its own
    notes: tuple[str, ...] = ()


def describe(
    data: ResolvedData,
    data_dir: Path,
    network: Network,
    job_task: Task | None = None,
    *,
    pretrained: bool = False,
    steps: Mapping[str, InputSteps] = MappingProxyType({}),
    unsigned: bool = False,
) -> DataInfo:
    """The data of a job on this network. Without a task: for a classifier.

    Reads headers and labels; of examples that are neither bytes nor standardized the range, in parts.

    `pretrained`: the network comes with weights that the search uses. `steps`: what its first layers did to an input.
    `unsigned`: the job's target reads no negative numbers.

    Raises `InvalidSpec`, with pointers into /data, for a file that is missing, damaged or lacks what is needed, for
    examples that do not fit the network, and for parts that would be empty.
    """
    task = classification(models.output(network)) if job_task is None else job_task
    try:
        source = _SOURCES[data.kind](data, data_dir, task.heads, network.inputs)
    except (DataFault, SplitFault) as error:
        raise InvalidSpec([Problem(pointer(data, error), str(error))]) from error
    problems = _input_problems(data, network, source)
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
    bounded = _bounded_inputs(data, network, task, source)
    inputs = []
    for index, name in enumerate(network.inputs):
        steps_of = steps.get(name, NO_STEPS)
        request = Request(preprocessing_of(data, name), index in bounded, pretrained, steps_of, unsigned)
        inputs.append(_input_info(data, data_dir, network, request, index, source.examples[index]))
    counts = (parts.train, parts.validation, source.test)
    return DataInfo(tuple(inputs), *counts, classes, source.notes)


def _bounded_inputs(data: ResolvedData, network: Network, task: Task, source: _Source) -> set[int]:
    """Indexes of the inputs that are targets of an output with an activation, whose values are bounded."""
    if data.targets != "inputs":
        return set()
    shapes = [examples.shape for examples in source.examples]
    rebuilt = rebuilt_inputs(task.heads, network.inputs, shapes)
    return {index for index, head in zip(rebuilt, task.heads, strict=True) if head.output.kind != "linear"}


def _input_problems(data: ResolvedData, network: Network, source: _Source) -> list[Problem]:
    """Examples that do not fit an input, and preprocessing of inputs that are not there."""
    problems = []
    for name, examples in zip(network.inputs, source.examples, strict=True):
        taken = models.input_shape(network, name)
        of = f" of input {name!r}" if len(network.inputs) > 1 else ""
        if not fits(examples.shape, taken):
            reason = f"examples{of} have the shape {examples.shape}; the model takes {taken}"
            problems.append(Problem(pointer(data), reason))
    if isinstance(data.preprocessing, Mapping):
        listed = ", ".join(network.inputs)
        problems += [
            Problem(f"/data/preprocessing/{name}", f"the model has no input {name!r}; its inputs: {listed}")
            for name in data.preprocessing
            if name not in network.inputs
        ]
    return problems


def _input_info(
    data: ResolvedData,
    data_dir: Path,
    network: Network,
    request: Request,
    index: int,
    examples: StoredExamples,
) -> InputInfo:
    """What is done to the examples of one input. Raises `InvalidSpec` for numbers that are not finite."""
    name = network.inputs[index]
    shape = models.input_shape(network, name)
    preprocessing = decided(request, examples, shape, input_reading(network, name))
    try:
        values = input_values(
            preprocessing, examples, lambda: _stored_range(data, data_dir, network.inputs, index)
        )
    except DataFault as error:
        raise InvalidSpec([Problem(pointer(data, error), str(error))]) from error
    return InputInfo(name, shape, preprocessing, values)


def _stored_range(
    data: ResolvedData, data_dir: Path, inputs: Sequence[str], index: int
) -> tuple[float, float]:
    """The smallest and the largest number of the examples at an input, as stored."""
    if isinstance(data, StoredFiles):
        files = part_files(data, data_dir)
        state = files.train.stat()
        array = stored_parts(data, files, (), inputs)["train"].x[index]
        return _range_of(array, state.st_mtime_ns, state.st_size)
    assert isinstance(data, DiabetesData)  # the other data sets that ship with fewbits hold bytes
    return diabetes.RANGES[data.features]


@cached(LRUCache[Any, tuple[float, float]](_CACHED_RANGES), lock=Lock())
def _range_of(array: StoredArray, _modified_ns: int, _size: int) -> tuple[float, float]:
    """Of a file in this version; the same job is planned many times."""
    return read_range(array.path, array.name)


# --- sources -------------------------------------------------------------------------------------------------


def _digits(data: DigitsData, _: Path, heads: Sequence[Head], inputs: Sequence[str]) -> _Source:
    _check_single_input(inputs)
    test = share(digits.COUNT, data.test_fraction)
    targets = _single_output(data, heads, digits.SHAPE, StoredTargets((), digits.CLASSES))
    examples = StoredExamples(digits.SHAPE, np.dtype(np.uint8), CONTENTS[data.kind])
    return _Source((examples,), digits.COUNT - test, test, targets)


def _diabetes(data: DiabetesData, _: Path, heads: Sequence[Head], inputs: Sequence[str]) -> _Source:
    _check_single_input(inputs)
    shape, test = (diabetes.FEATURES,), share(diabetes.COUNT, data.test_fraction)
    targets = _single_output(data, heads, shape, StoredTargets((), None))
    examples = StoredExamples(shape, np.dtype(np.float64), CONTENTS[data.kind])
    return _Source((examples,), diabetes.COUNT - test, test, targets)


def _spiking_digits(
    data: SpikingDigitsData, _: Path, heads: Sequence[Head], inputs: Sequence[str]
) -> _Source:
    _check_single_input(inputs)
    shape, test = (data.steps, spiking_digits.INPUTS), share(spiking_digits.COUNT, data.test_fraction)
    targets = _single_output(data, heads, shape, StoredTargets((), spiking_digits.CLASSES))
    examples = StoredExamples(shape, np.dtype(np.uint8))
    return _Source((examples,), spiking_digits.COUNT - test, test, targets)


def _check_single_input(inputs: Sequence[str]) -> None:
    """DataFault for a network of several inputs, on a built-in data set."""
    if len(inputs) > 1:
        names = ", ".join(input_names(inputs, "_train"))
        raise DataFault(f"holds examples of one input, the model has {len(inputs)}; a .npz may hold {names}")


def _single_output(
    data: Data, heads: Sequence[Head], shape: tuple[int, ...], stored: StoredTargets
) -> tuple[StoredTargets, ...]:
    """The targets of a built-in data set, which has those of one output."""
    if data.targets == "inputs":
        return (StoredTargets(shape, None),) * len(heads)
    if len(heads) > 1:
        names = ", ".join(array_names(heads, "_train"))
        raise DataFault(f"holds targets of one output, the model has {len(heads)}; a .npz may hold {names}")
    return (stored,)


def _npz(
    data: StoredFiles, data_dir: Path, heads: Sequence[Head], inputs: Sequence[str] = ONE_INPUT
) -> _Source:
    parts = stored_parts(data, part_files(data, data_dir), heads, inputs)
    headers = checked_headers(parts, heads)
    if data.targets == "inputs":
        shapes = [headers[array].shape[1:] for array in parts["train"].x]
        targets = [StoredTargets(shapes[index], None) for index in rebuilt_inputs(heads, inputs, shapes)]
    else:
        by_head = zip(*(part.y for part in parts.values()), strict=True)
        targets = [_stored(headers, head, arrays) for head, arrays in zip(heads, by_head, strict=True)]
    examples = tuple(
        StoredExamples(headers[array].shape[1:], headers[array].dtype, CONTENTS.get(data.kind))
        for array in parts["train"].x
    )
    counts = {name: headers[part.x[0]].examples for name, part in parts.items()}
    train, test = counts["train"], counts.get("test")
    if test is None:
        test = held_out(train, test_fraction(data))
        train -= test
    notes = (*_part_notes(data, parts), *_array_notes(parts, headers, heads))
    return _Source(examples, train, test, tuple(targets), counts.get("validation"), notes)


def _stored(
    headers: Mapping[StoredArray, Header], head: Head, arrays: Sequence[StoredArray]
) -> StoredTargets:
    if head.labels == "classes":
        return StoredTargets((), 1 + max(int(read_labels(array, head).max()) for array in arrays))
    shapes = {headers[array].shape[1:]: array for array in arrays}
    if len(shapes) > 1:
        one, other = (f"{shape} ({array})" for shape, array in list(shapes.items())[:2])
        raise DataFault(f"targets have the shape {one} and {other}")
    return StoredTargets(next(iter(shapes)), None)


# --- notes ---------------------------------------------------------------------------------------------------


def _part_notes(data: StoredFiles, parts: Mapping[PartName, PartArrays]) -> list[str]:
    """Where each part comes from."""
    by_class = " by class" if data.split == "stratified" and data.targets != "inputs" else ""
    fractions: dict[PartName, float] = {
        "validation": data.validation_fraction,
        "test": 0.0 if "test" in parts else test_fraction(data),
    }
    notes = [f"training part: {_names(parts['train'])}"]
    examples = ", ".join(map(str, parts["train"].x))
    for name, fraction in fractions.items():
        drawn = f"{fraction:g} of {examples} ({name}_fraction), drawn{by_class} by the seed"
        notes.append(f"{name} part: {_names(parts[name]) if name in parts else drawn}")
    return notes


def _names(part: PartArrays) -> str:
    return ", ".join(map(str, part.arrays))


def _array_notes(
    parts: Mapping[PartName, PartArrays], headers: Mapping[StoredArray, Header], heads: Sequence[Head]
) -> list[str]:
    """How arrays are read where that is not plain."""
    notes = [
        f"{array} holds one-hot rows, read as class numbers"
        for part in parts.values()
        for array, head in zip(part.y, heads, strict=False)
        if head.labels == "classes" and is_one_hot(headers[array].shape, head)
    ]
    weights = parts["train"].weights
    if weights is not None:
        numbers = read_weights(weights)
        notes.append(
            f"{weights} weighs the loss of training examples: {numbers.min():g} to {numbers.max():g}"
        )
    return notes


_SOURCES: Final[Mapping[str, Callable[[Any, Path, Sequence[Head], Sequence[str]], _Source]]] = {
    "digits": _digits,
    "diabetes": _diabetes,
    "spiking_digits": _spiking_digits,
    "mnist": _npz,
    "npz": _npz,
    "uploaded": _npz,
}
