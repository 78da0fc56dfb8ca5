"""Targets of examples: class numbers, or numbers that an output should give; checked against the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from search.task import Head, Output

#: The heads where no model is named: one for class numbers.
CLASS_NUMBERS: Final = (Head("", Output("softmax", 2), (2,)),)
#: The inputs where no model is named.
ONE_INPUT: Final = ("",)


@dataclass(frozen=True, slots=True)
class StoredTargets:
    """Targets as stored. `shape`: of one example's target; `classes`: None where they are not class numbers."""

    shape: tuple[int, ...]
    classes: int | None


@dataclass(frozen=True, slots=True)
class TargetScaling:
    """What was done to every stored target: `(y - subtract) / divide_by`, elementwise."""

    subtract: tuple[float, ...]
    divide_by: tuple[float, ...]


def fits(stored: tuple[int, ...], required: tuple[int, ...]) -> bool:
    """Whether examples fit a model as they are, with a channel axis added, or flattened."""
    return required in (stored, (*stored, 1), (int(np.prod(stored)),))


def array_names(heads: Sequence[Head], suffix: str) -> list[str]:
    """What a file calls the targets of each head: y_train, or y_train_NAME where there are several."""
    return [f"y{suffix}"] if len(heads) == 1 else [f"y{suffix}_{head.name}" for head in heads]


def input_names(inputs: Sequence[str], suffix: str) -> list[str]:
    """What a file calls the examples of each input: x_train, or x_train_NAME where there are several."""
    return [f"x{suffix}"] if len(inputs) == 1 else [f"x{suffix}_{name}" for name in inputs]


def unfit(head: Head, stored: StoredTargets) -> str | None:
    """Why these targets cannot train the head; None if they can."""
    of = f" of output {head.name!r}" if head.name else ""
    if head.labels == "classes":
        if stored.classes is None:
            return f"the targets{of} are not class numbers, which the loss {head.loss} needs"
        if stored.classes > head.output.classes:
            return f"labels run to {stored.classes - 1}, but the model has {head.output.classes} classes"
        return None
    if not fits(stored.shape, head.shape):
        return f"targets have the shape {stored.shape}; the output {head.name!r} gives {head.shape}"
    return None


def standardized(targets: NDArray[Any]) -> TargetScaling:
    """The scaling that brings these targets to a mean of 0 and a deviation of 1, elementwise; constants to 0."""
    flat = targets.reshape(len(targets), -1).astype(np.float64)
    constant = flat.min(axis=0) == flat.max(axis=0)  # their deviation may be a rounding error instead of 0
    mean = np.where(constant, flat[0], flat.mean(axis=0))
    deviation = np.where(constant, 1.0, flat.std(axis=0))
    return TargetScaling(tuple(map(float, mean)), tuple(float(value) or 1.0 for value in deviation))


def scaled_targets(targets: NDArray[Any], head: Head, scaling: TargetScaling | None) -> NDArray[Any]:
    """Stored targets as the head takes them: class numbers as they are, others scaled and in its shape."""
    if head.labels == "classes":
        return targets
    flat = targets.reshape(len(targets), -1).astype(np.float32)
    if scaling is not None:
        flat -= np.asarray(scaling.subtract, np.float32)
        flat /= np.asarray(scaling.divide_by, np.float32)
    return flat.reshape(len(targets), *head.shape)
