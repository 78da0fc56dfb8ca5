"""Losses by name, as functions of tensors: what Keras' losses of these names give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import keras
from keras import ops

from search.task import Head, Task

Tensor = Any

#: Of targets that are numbers: mean over the last axis, one number for each of the others.
VALUE_LOSSES: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "mse": keras.losses.mean_squared_error,
    "mae": keras.losses.mean_absolute_error,
    "mape": keras.losses.mean_absolute_percentage_error,
    "msle": keras.losses.mean_squared_logarithmic_error,
    "huber": keras.losses.huber,
    "log_cosh": keras.losses.log_cosh,
    "poisson": keras.losses.poisson,
    "kl_divergence": keras.losses.kl_divergence,
    "cosine_similarity": keras.losses.cosine_similarity,
}

_CLASSES: Final[Mapping[str, Callable[[], Any]]] = {
    "mse": keras.losses.MeanSquaredError,
    "mae": keras.losses.MeanAbsoluteError,
    "mape": keras.losses.MeanAbsolutePercentageError,
    "msle": keras.losses.MeanSquaredLogarithmicError,
    "huber": keras.losses.Huber,
    "log_cosh": keras.losses.LogCosh,
    "poisson": keras.losses.Poisson,
    "kl_divergence": keras.losses.KLDivergence,
    "cosine_similarity": keras.losses.CosineSimilarity,
}


def batch_loss(task: Task, y: Any, scores: Sequence[Tensor]) -> Tensor:
    """Mean loss of a batch: the heads' losses by their weights. `y`: targets, or those of each head in a tuple."""
    total = None
    for head, targets, outputs in zip(task.heads, targets_of(task, y), scores, strict=True):
        loss = _mean_loss(head, targets, outputs)
        if head.weight != 1.0:
            loss = loss * head.weight
        total = loss if total is None else total + loss
    return total


def targets_of(task: Task, y: Any) -> Sequence[Tensor]:
    """The targets of each head."""
    return (y,) if len(task.heads) == 1 else y


def _mean_loss(head: Head, y: Tensor, scores: Tensor) -> Tensor:
    return ops.mean(crossentropy(head, y, scores) if head.labels == "classes" else of_values(head, y, scores))


def crossentropy(head: Head, y: Tensor, scores: Tensor) -> Tensor:
    """Crossentropy of each example with a class number; on logits where the network ends in them."""
    logits = head.output.kind == "linear"
    if head.output.scores == 1:
        labels = ops.cast(ops.reshape(y, (-1, 1)), scores.dtype)
        return ops.binary_crossentropy(labels, scores, from_logits=logits)
    return ops.sparse_categorical_crossentropy(y, scores, from_logits=logits)


def of_values(head: Head, y: Tensor, scores: Tensor) -> Tensor:
    """The loss of the head, one number for each axis but the last."""
    if head.loss == "binary_crossentropy":
        return keras.losses.binary_crossentropy(y, scores, from_logits=head.output.kind == "linear")
    return VALUE_LOSSES[head.loss](y, scores)


def keras_loss(head: Head) -> Any:
    """Keras' own loss, for a model that is saved."""
    logits = head.output.kind == "linear"
    if head.labels == "classes":
        if head.output.scores == 1:
            return keras.losses.BinaryCrossentropy(from_logits=logits)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    if head.loss == "binary_crossentropy":
        return keras.losses.BinaryCrossentropy(from_logits=logits)
    return _CLASSES[head.loss]()
