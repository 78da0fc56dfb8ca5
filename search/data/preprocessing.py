"""Preprocessing of a job's examples: decided from network and headers, learned from training rows, applied. Plain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from costmodel.input_steps import NO_STEPS, InputSteps
from costmodel.layer import Shape
from search.data.inputs import Floats, aligned_floats
from search.data.reading import InputReading, same_size
from search.spec.job import Data, PreprocessingName

Method = Literal["none", "unit", "centered", "standard"]

Content = Literal["images", "table"]
#: Kind of data -> what its examples are; those of the other kinds are told by shape and type.
CONTENTS: Final[Mapping[str, Content]] = {"digits": "images", "mnist": "images", "diabetes": "table"}

#: Numbers that are converted to 64 bits at once.
_CHUNK: Final = 1 << 20
#: Numbers that stay in a processor's cache while they are scaled.
_CACHED: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class StoredExamples:
    """What is known of examples without reading them.

    `shape`: of one of them. `content`: of a data set that ships with fewbits; None: read from shape and type.
    """

    shape: Shape
    dtype: np.dtype[Any]
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What is done to every example, and why. `features`: of `standard`, how many numbers are scaled each alone."""

    method: Method
    reason: str
    features: int = 1
    warnings: tuple[str, ...] = ()
    steps: InputSteps = NO_STEPS  #: of the model, done behind the method


@dataclass(frozen=True, slots=True)
class InputScaling:
    """What was done to every stored number: `(x - subtract) / divide_by`, by the last axis of the stored examples.

    `divide_by`: several numbers where every feature has its own.
    """

    divide_by: float | tuple[float, ...]
    subtract: tuple[float, ...]


#: Of the input of a spiking network.
EVENTS: Final = Preprocessing("none", "events are used as they are")

# --- decided ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """What a job says that preprocessing depends on.

    `rebuilds`: an output with an activation is trained to give back the examples. `pretrained`: the network comes with
    weights that the search uses. `steps`: what the first layers of the network did. `unsigned`: the job's target reads
    no negative numbers.
    """

    preprocessing: PreprocessingName
    rebuilds: bool = False
    pretrained: bool = False
    steps: InputSteps = NO_STEPS
    unsigned: bool = False


def preprocessing_of(data: Data, name: str) -> PreprocessingName:
    """The preprocessing that a job states for an input."""
    stated = data.preprocessing
    return stated.get(name, "auto") if isinstance(stated, Mapping) else stated


def decided(
    request: Request, examples: StoredExamples, input_shape: Shape, reading: InputReading
) -> Preprocessing:
    """The preprocessing of a job. Reads no example: the dry run and the worker decide by this function alike."""
    layout = _layout(examples, input_shape, reading)
    features = _features(examples.shape, input_shape, reading, layout)
    if request.steps.layers:
        method, reason, warnings = _by_model(request)
    elif request.preprocessing == "auto":
        method, reason = _automatic(request, examples, reading, layout)
        warnings = _integers_for_weights(request, examples, reading, method)
        warnings += _one_divisor(request, method, layout)
    else:
        method, reason = request.preprocessing, "named in the job"
        warnings = _misuse(method, examples, reading, layout)
    return Preprocessing(method, reason, features, tuple(warnings), request.steps)


def _by_model(request: Request) -> tuple[Method, str, list[str]]:
    """Of a network whose first layers scale the input: those say what is done."""
    steps, named = request.steps, request.preprocessing
    layers = " and ".join(map(repr, steps.layers))
    if steps.standardizes:
        warnings = (
            []
            if named in ("auto", "standard")
            else [f"preprocessing {named!r} has no effect before {layers}"]
        )
        if request.pretrained:
            warnings.append(
                f"{layers}: mean and deviation are those of the training part of this job, not of the upload"
            )
        return "standard", f"{layers} of the model standardizes the input", warnings
    shown = f"x * {_shown(steps.scale)} + {_shown(steps.offset)}"
    reason = f"{layers} of the model scales the input: {shown}"
    if named == "auto" or named == "none":
        return "none", reason, []
    return (
        named,
        reason,
        [f"preprocessing {named!r} is done before {layers}, which scales the input itself: set auto"],
    )


def _shown(numbers: tuple[float, ...]) -> str:
    items = ", ".join(f"{number:.6g}" for number in numbers[:4])
    return items if len(numbers) == 1 else f"({items}{', ...' if len(numbers) > 4 else ''})"


def _automatic(
    request: Request, examples: StoredExamples, reading: InputReading, layout: str
) -> tuple[Method, str]:
    if reading.tokens:
        return "none", f"layer {reading.tokens[0]!r} looks up whole numbers"
    if reading.scales:
        return "none", f"layer {reading.scales[0]!r} scales the input"
    if request.pretrained:
        return "none", "the uploaded weights get the examples as they are stored"
    if reading.masks:
        if set(reading.mask_values) == {0.0}:
            return "unit", f"layer {reading.masks[0]!r} masks zeros, which division keeps"
        return "none", f"layer {reading.masks[0]!r} masks a stored value"
    if examples.dtype.kind == "b":
        return "none", "the examples hold only 0 and 1"
    if request.rebuilds:
        return "unit", "the output gives back the examples and may not be negative"
    if request.unsigned:
        return "unit", "the target reads numbers without a sign"
    if layout == "images":
        return "centered", "the examples are images"
    return "standard", f"the examples are {'rows of a table' if layout == 'table' else 'series'}"


def _layout(
    examples: StoredExamples, input_shape: Shape, reading: InputReading
) -> Literal["images", "series", "table"]:
    """What an example is, by its shape as stored and as the network reads it."""
    stored, seen = examples.shape, reading.shape or input_shape
    if examples.content == "images" or reading.images or max(len(stored), len(seen), len(input_shape)) >= 3:
        return "images"
    if examples.content == "table":
        return "table"
    if len(stored) == 2 and len(input_shape) == 1 and examples.dtype == np.uint8:
        return "images"  # of one channel, flattened for a network of Dense layers
    return "series" if max(len(stored), len(seen)) == 2 else "table"


def _features(stored: Shape, input_shape: Shape, reading: InputReading, layout: str) -> int:
    """Length of the axis whose numbers are scaled each alone: channels of images, features of a series, columns."""
    for seen in (reading.shape, input_shape, stored):
        fits = seen is not None and same_size(seen, stored) and stored[-1] % seen[-1] == 0
        if seen is not None and fits and len(seen) > (2 if layout == "images" else 1):
            return seen[-1]
    return 1 if layout == "images" else stored[-1]


def _misuse(method: Method, examples: StoredExamples, reading: InputReading, layout: str) -> list[str]:
    """What a preprocessing that was named would spoil."""
    remedy = "set data.preprocessing to auto"
    if method == "none":
        return []
    if reading.tokens:
        return [
            f"preprocessing {method!r} changes the whole numbers that layer {reading.tokens[0]!r} looks up: {remedy}"
        ]
    if reading.masks and (method != "unit" or set(reading.mask_values) != {0.0}):
        return [
            f"preprocessing {method!r} changes the values that layer {reading.masks[0]!r} masks: {remedy}"
        ]
    if method != "standard" and layout != "images":
        largest = "255" if examples.dtype == np.uint8 else "the largest number of all features"
        return [
            f"preprocessing {method!r} divides every feature by {largest}, so that small ones almost vanish: {remedy}"
            " or standard"
        ]
    return []


def _one_divisor(request: Request, method: Method, layout: str) -> list[str]:
    """Of columns that the target keeps from being standardized."""
    if not request.unsigned or method != "unit" or layout == "images":
        return []
    return [
        "preprocessing 'unit' divides every feature by the largest number of all features, as the target reads no"
        " negative numbers: scale features of different ranges before, each to 0 to 1"
    ]


def _integers_for_weights(
    request: Request, examples: StoredExamples, reading: InputReading, method: Method
) -> list[str]:
    """Weights trained on whole numbers as stored are rare, unless the network looks them up or scales them."""
    if not request.pretrained or method != "none" or examples.dtype.kind not in "iu":
        return []
    if reading.tokens or reading.scales:
        return []
    return [
        f"the uploaded weights get {examples.dtype.name} numbers as they are stored: set data.preprocessing to how"
        " they were trained"
    ]


# --- learned ---------------------------------------------------------------------------------------------------


def learned(preprocessing: Preprocessing, training: NDArray[Any], largest: float | None) -> InputScaling:
    """The constants of a preprocessing, from training examples as stored alone, and those of the model's layers."""
    return followed(_of_method(preprocessing, training, largest), preprocessing.steps, training.shape[-1])


def followed(scaling: InputScaling, steps: InputSteps, length: int) -> InputScaling:
    """A scaling and what the model's first layers do behind it, as one; `length`: of the last axis as stored."""
    if not steps.layers or (steps.scale, steps.offset) == ((1.0,), (0.0,)):
        return scaling
    divide_by = np.atleast_1d(np.asarray(scaling.divide_by, np.float64))
    subtract, scale, offset = (np.asarray(part) for part in (scaling.subtract, steps.scale, steps.offset))
    sizes = {len(part) for part in (divide_by, subtract, scale, offset)} - {1}
    if (
        sizes
    ):  # one number for each of the last axis, whose channels may be repeated where images are stored flat
        divide_by, subtract, scale, offset = (
            np.tile(part, length // len(part)) for part in (divide_by, subtract, scale, offset)
        )
    subtract = subtract - offset * divide_by / scale
    divided = tuple(map(float, divide_by / scale))
    return InputScaling(divided if len(divided) > 1 else divided[0], tuple(map(float, subtract)))


def _of_method(preprocessing: Preprocessing, training: NDArray[Any], largest: float | None) -> InputScaling:
    match preprocessing.method:
        case "none":
            return InputScaling(1.0, (0.0,))
        case "standard":
            return _standardization(training, preprocessing.features)
        case "unit":
            return InputScaling(_divisor(training, largest), (0.0,))
        case "centered":
            return InputScaling(_divisor(training, largest), _means(training))


def _divisor(training: NDArray[Any], largest: float | None) -> float:
    """The number that brings these numbers to a range of 1."""
    return (max(-float(training.min()), float(training.max())) if largest is None else largest) or 1.0


def mean_axes(rank: int) -> tuple[int, ...]:
    """The axes of stored examples that one mean is taken over."""
    return {2: (0,), 3: (0, 1, 2)}.get(rank, tuple(range(rank - 1)))


def _means(training: NDArray[Any]) -> tuple[float, ...]:
    """Means of columns one by one, of images with channels per channel, of others together."""
    mean = training.mean(axis=mean_axes(training.ndim), dtype=np.float64)
    return tuple(float(value) for value in np.atleast_1d(mean).reshape(-1))


def _standardization(training: NDArray[Any], features: int) -> InputScaling:
    """Mean and standard deviation of every feature; a constant one is divided by 1."""
    rows = training.reshape(-1, features)
    mean = rows.mean(axis=0, dtype=np.float64)
    squares = np.zeros(features)
    for part in _parts(rows):
        squares += ((part.astype(np.float64) - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(squares / len(rows))
    constant = rows.min(axis=0) == rows.max(axis=0)  # their deviation may be a rounding error instead of 0
    mean[constant] = rows[0, constant]
    deviation[constant | (deviation == 0)] = 1.0
    repeats = 1 if features == 1 else training.shape[-1] // features
    subtract, divide_by = (tuple(map(float, np.tile(values, repeats))) for values in (mean, deviation))
    return InputScaling(divide_by, subtract)


# --- applied ---------------------------------------------------------------------------------------------------


def scaled(examples: NDArray[Any], scaling: InputScaling) -> Floats:
    """Stored examples as the model takes them, but for their shape."""
    floats = aligned_floats(examples.shape)
    size = math.prod(examples.shape[1:])
    rows, results = (array.reshape(len(examples), size) for array in (examples, floats))
    if isinstance(scaling.divide_by, float):
        subtract = _along_rows(scaling.subtract, size, np.float32)
        shifted = bool(subtract.any())
        for source, target in zip(_parts(rows, _CACHED), _parts(results, _CACHED), strict=True):
            target[:] = source
            if shifted:
                target -= subtract
            target /= np.float32(scaling.divide_by)
        return floats
    subtract, divide_by = (
        _along_rows(numbers, size, np.float64) for numbers in (scaling.subtract, scaling.divide_by)
    )
    for source, target in zip(_parts(rows, _CACHED), _parts(results, _CACHED), strict=True):
        target[:] = (source.astype(np.float64) - subtract) / divide_by
    return floats


def _along_rows(numbers: tuple[float, ...], size: int, dtype: type[np.floating[Any]]) -> NDArray[Any]:
    """Numbers of the last axis repeated along a whole example: numpy is slow where it repeats three of them itself."""
    array = np.asarray(numbers, dtype)
    return array if len(array) == 1 else np.tile(array, size // len(array))


def _parts(array: NDArray[Any], numbers: int = _CHUNK) -> Iterator[NDArray[Any]]:
    """Views of successive rows, so many numbers at a time."""
    step = max(numbers // max(array[:1].size, 1), 1)
    return (array[start : start + step] for start in range(0, len(array), step))
