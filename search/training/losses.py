"""Losses by name, as functions of tensors: what Keras' losses of these names give; and those of a training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import keras
from keras import ops

from search.spec.distillation import Distillation
from search.task import Head, Task
from search.training.program.options import StepOptions

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


#: Probabilities below are taken as this, as Keras does.
_EPSILON: Final = 1e-7


class TrainingTargets(NamedTuple):
    """Targets of examples to train on, with what else their loss needs; both are tuples of one tensor for each output.

    `weights`: of examples; empty: all count alike. `teacher`: scores of the model to learn from; empty: there is none.
    `share`: of an example in its mix with the one at its place in the reversed batch; empty: examples are not mixed.
    """

    y: Any
    weights: tuple[Tensor, ...] = ()
    teacher: tuple[Tensor, ...] = ()
    share: tuple[Tensor, ...] = ()


def plain_targets(y: Any) -> Any:
    """The targets alone."""
    return y.y if isinstance(y, TrainingTargets) else y


def training_loss(task: Task, y: Any, scores: Sequence[Tensor], options: StepOptions) -> Tensor:
    """Mean loss of a batch to train on: weighted, smoothed, focal, in part the distance to a teacher.

    With none of these it is `batch_loss`. A weighted mean is divided by the number of examples, as Keras does.
    """
    more = y if isinstance(y, TrainingTargets) else TrainingTargets(y)
    total = None
    reverse = more._replace(share=())
    if more.share:
        reverse = keras.tree.map_structure(lambda part: ops.flip(part, axis=0), reverse)
    for index, head in enumerate(task.heads):
        losses = _example_losses(task, index, more, scores[index], options)
        if more.share:
            share = _with_rank(more.share[0], len(losses.shape))
            other = _example_losses(task, index, reverse, scores[index], options)
            losses = losses * share + other * (1 - share)
        loss = ops.mean(losses)
        if head.weight != 1.0:
            loss = loss * head.weight
        total = loss if total is None else total + loss
    return total


def _example_losses(
    task: Task, index: int, targets: TrainingTargets, scores: Tensor, options: StepOptions
) -> Tensor:
    """The loss of each example at one output, weighted, and in part the distance to the teacher."""
    head = task.heads[index]
    losses = _losses(head, targets_of(task, targets.y)[index], scores, options)
    if targets.teacher and options.distill is not None:
        distance = _distance(head, targets.teacher[index], scores, options.distill)
        losses = losses * (1 - options.distill.share) + distance * options.distill.share
    if targets.weights:
        losses = losses * _with_rank(targets.weights[index], len(losses.shape))
    return losses


def _with_rank(weights: Tensor, rank: int) -> Tensor:
    """With axes of length 1 at the end."""
    while len(weights.shape) < rank:
        weights = ops.expand_dims(weights, -1)
    return weights


def _losses(head: Head, y: Tensor, scores: Tensor, options: StepOptions) -> Tensor:
    """The loss of each example; one for each of its places where the output has several."""
    if head.labels != "classes":
        return of_values(head, y, scores)
    if not options.label_smoothing and not options.focal_gamma:
        return crossentropy(head, y, scores)
    log = log_probabilities(head, scores)
    classes = head.output.classes
    truth = ops.one_hot(ops.cast(y, "int32"), classes, dtype=log.dtype)
    truth = truth * (1 - options.label_smoothing) + options.label_smoothing / classes
    if options.focal_gamma:
        truth = truth * ops.power(1 - ops.exp(log), options.focal_gamma)
    return -ops.sum(truth * log, axis=-1, keepdims=head.output.scores == 1)


def _distance(head: Head, teacher: Tensor, scores: Tensor, distill: Distillation) -> Tensor:
    """What the teacher's outputs are missed by: of class probabilities T^2 KL(teacher || student), both softened.

    Hinton, Vinyals and Dean, arXiv 1503.02531. Of numbers the head's loss, with the teacher's as targets.
    """
    if head.labels != "classes":
        return of_values(head, teacher, scores)
    temperature = distill.temperature
    soft = ops.log_softmax(log_probabilities(head, teacher) / temperature, axis=-1)
    log = ops.log_softmax(log_probabilities(head, scores) / temperature, axis=-1)
    distance = ops.sum(ops.exp(soft) * (soft - log), axis=-1, keepdims=head.output.scores == 1)
    return distance * temperature**2


def log_probabilities(head: Head, scores: Tensor) -> Tensor:
    """Of every class along the last axis; of a single score, those of both classes."""
    logits = head.output.kind == "linear"
    if head.output.scores == 1:
        if logits:
            return ops.concatenate([ops.log_sigmoid(-scores), ops.log_sigmoid(scores)], axis=-1)
        positive = ops.clip(scores, _EPSILON, 1 - _EPSILON)
        return ops.log(ops.concatenate([1 - positive, positive], axis=-1))
    if logits:
        return ops.log_softmax(scores, axis=-1)
    return ops.log(ops.clip(scores, _EPSILON, 1.0))


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
    """Crossentropy of each class number, one or many an example; on logits where the network ends in them."""
    logits = head.output.kind == "linear"
    if head.output.scores == 1:
        labels = ops.cast(ops.reshape(y, ops.shape(scores)), scores.dtype)
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
