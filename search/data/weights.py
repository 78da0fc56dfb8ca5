"""Weights of training examples: those of the data, and those of their classes. Plain numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from search.data.inputs import Floats, example_count
from search.data.load import Dataset
from search.task import Task

ClassWeight = Literal["balanced"] | Mapping[int, float] | None


def class_weights(stated: ClassWeight, counts: NDArray[np.integer[Any]]) -> Floats:
    """The weight of every class. `counts`: labels of each in the training part.

    Balanced: n / (k n_c) for n_c of n labels, with k classes that have any: as scikit-learn's `compute_class_weight`,
    so that the mean over the labels is 1; 0 for classes without labels.
    """
    if stated == "balanced":
        shares = np.count_nonzero(counts) * counts / counts.sum()
        weights = np.divide(1.0, shares, out=np.zeros(len(counts)), where=counts > 0)
        return np.asarray(weights, np.float32)
    weights = np.ones(len(counts), np.float32)
    for number, weight in (stated or {}).items():
        weights[number] = weight
    return weights


def label_counts(labels: NDArray[Any], task: Task) -> NDArray[np.integer[Any]]:
    """How many labels each class of the measured output has."""
    return np.bincount(labels.reshape(-1), minlength=task.head.output.classes)


def example_weights(data: Dataset, task: Task, stated: ClassWeight) -> tuple[Floats, ...]:
    """The weight of each training example in the loss of each output; empty where all count alike."""
    if data.train_weights is None and stated is None:
        return ()
    base = (
        np.ones(example_count(data.x_train), np.float32) if data.train_weights is None else data.train_weights
    )
    weights = [base] * len(task.heads)
    if stated is not None:
        labels = np.asarray(data.y_train[task.judged] if isinstance(data.y_train, tuple) else data.y_train)
        by_class = class_weights(stated, label_counts(labels, task))
        weights[task.judged] = base.reshape(-1, *[1] * (labels.ndim - 1)) * by_class[labels]
    return tuple(weights)
