"""A data set as stored, and its training and validation part, drawn by the job's seed. Plain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from search.data.inputs import Floats
from search.data.split import order, sizes
from search.spec.job import Data
from search.task import Head

TEST_SPLIT: Final = 0  #: purposes of the permutations drawn from a job's seed
VALIDATION_SPLIT: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class StoredData:
    """A data set as stored. Examples are listed by input.

    `largest`: the largest number that the type of image of an input can hold, where that is known. Targets are listed
    by output; there are none where the inputs are the targets.
    """

    x_train: Sequence[NDArray[Any]]
    y_train: Sequence[NDArray[Any]]
    x_test: Sequence[NDArray[Any]]
    y_test: Sequence[NDArray[Any]]
    largest: Sequence[float | None]
    x_validation: Sequence[NDArray[Any]] | None = None  #: of a validation part of its own
    y_validation: Sequence[NDArray[Any]] = ()
    train_weights: Floats | None = None  #: of the training examples


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Training and validation part as stored, shuffled by the seed."""

    x_train: Sequence[NDArray[Any]]
    y_train: Sequence[NDArray[Any]]
    x_validation: Sequence[NDArray[Any]]
    y_validation: Sequence[NDArray[Any]]
    train_weights: Floats | None = None


def split(data: Data, stored: StoredData, seed: int, heads: Sequence[Head]) -> Parts:
    """The training and the validation part. Raises `SplitFault` if one of them would be empty."""
    x, y, count = stored.x_train, stored.y_train, len(stored.x_train[0])
    places = order(count, seed, VALIDATION_SPLIT, strata(data, y, heads))
    separate = None if stored.x_validation is None else len(stored.x_validation[0])
    parts = sizes(count, data.validation_fraction, data.train_samples, separate)
    first = 0 if stored.x_validation is not None else parts.validation
    train, validation = places[first:][: parts.train], places[:first]
    return Parts(
        [one[train] for one in x],
        [one[train] for one in y],
        [one[validation] for one in x] if stored.x_validation is None else stored.x_validation,
        [one[validation] for one in y] if stored.x_validation is None else stored.y_validation,
        None if stored.train_weights is None else stored.train_weights[train],
    )


def strata(data: Data, y: Sequence[NDArray[Any]], heads: Sequence[Head]) -> NDArray[Any] | None:
    """The class numbers that a stratified split goes by; None where the job's is random, or no output has any."""
    if data.split == "random" or data.targets == "inputs":
        return None
    classes = (labels for labels, head in zip(y, heads, strict=False) if head.labels == "classes")
    return next((labels for labels in classes if labels.ndim == 1 and labels.dtype.kind == "i"), None)
