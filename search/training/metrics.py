"""Metrics by name: sums over examples, added up batch by batch, and the value they give. As Keras computes them.

A tally is a vector of sums that adds up over batches, so that a program can carry it and pieces can be joined. Why not
Keras' own: `docs/decisions/0011-optimizers-and-metrics-as-functions.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from search.scoring.classification import balanced_accuracy, macro_f1, mean_iou
from search.task import Head, Task
from search.training.losses import VALUE_LOSSES, crossentropy

Tensor = Any
Sums = NDArray[np.float64]

#: Of Keras' AUC.
_THRESHOLDS: Final = 200
_EPSILON: Final = 1e-7

#: Where the counts of `_two_classes` stand.
_RIGHT, _FALSE_POSITIVE, _FALSE_NEGATIVE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is added up and computed.

    `tally(head, y, scores)` gives `size(head)` sums over a batch, whole numbers if `counts`; `value(sums, examples)`
    is the metric; `compiled(head)` Keras' own, None if Keras has none for such scores.
    """

    tally: Callable[[Head, Tensor, Tensor], Tensor]
    value: Callable[[Sums, int], float]
    compiled: Callable[[Head], Any]
    size: Callable[[Head], int] = lambda _: 1
    counts: bool = False


def tally(task: Task, y: Tensor, scores: Tensor) -> Tensor:
    """The sums of a batch of the judged head."""
    metric, head = METRICS[task.metric], task.head
    if head.labels == "classes" and head.target_shape:  # each place counts as an example
        y, scores = ops.reshape(y, (-1,)), ops.reshape(scores, (-1, head.output.scores))
    sums = ops.reshape(metric.tally(head, y, scores), (-1,))
    return ops.cast(sums, "int32" if metric.counts else "float32")


def no_tally(task: Task) -> Tensor:
    """The sums of no examples."""
    metric = METRICS[task.metric]
    return ops.zeros((metric.size(task.head),), "int32" if metric.counts else "float32")


def metric_value(task: Task, sums: Any, examples: int) -> float:
    """The metric of this many examples."""
    return METRICS[task.metric].value(np.asarray(sums, np.float64), examples * task.head.places)


def keras_metric(task: Task) -> Any:
    """Keras' own metric, named as the task names it; None if Keras has none for such scores."""
    return METRICS[task.metric].compiled(task.head)


def _is_logit(head: Head) -> bool:
    return head.output.kind == "linear"


def _share(sums: Sums, examples: int) -> float:
    """In float32, as Keras' mean has it."""
    return float(np.float32(sums[0]) / np.float32(examples))


def _mean(sums: Sums, examples: int) -> float:
    return float(sums[0] / examples)


# --- class numbers ---------------------------------------------------------------------------------------------------


def _positive(head: Head, scores: Tensor) -> Tensor:
    return ops.reshape(scores, (-1,)) > (0.0 if _is_logit(head) else 0.5)


def _correct(head: Head, y: Tensor, scores: Tensor) -> Tensor:
    return ops.sum(ops.cast(ops.equal(_predicted(head, scores), y), "int32"))


def _predicted(head: Head, scores: Tensor) -> Tensor:
    """The predicted class: that of the highest score, the first of equal ones."""
    if head.output.scores == 1:
        return ops.cast(_positive(head, scores), "int32")
    if keras.backend.backend() == "tensorflow" and head.output.kind == "softmax":
        import tensorflow as tf

        # Keras' own, which takes half as long again, checks for negative zeros; softmax never gives any.
        return tf.argmax(scores, -1, "int32")
    return ops.cast(ops.argmax(scores, axis=-1), "int32")


def _accuracy(head: Head) -> Any:
    if head.output.scores == 1:
        return keras.metrics.BinaryAccuracy("accuracy", threshold=0.0 if _is_logit(head) else 0.5)
    return keras.metrics.SparseCategoricalAccuracy("accuracy")


def _top(k: int) -> Metric:
    def among_the_best(_: Head, y: Tensor, scores: Tensor) -> Tensor:
        hits = keras.metrics.sparse_top_k_categorical_accuracy(y, scores, k=k)
        return ops.sum(ops.cast(hits, "int32"))

    def compiled(_: Head) -> Any:
        return keras.metrics.SparseTopKCategoricalAccuracy(k=k, name=f"top_{k}")

    return Metric(among_the_best, _share, compiled, counts=True)


def _crossentropies(head: Head, y: Tensor, scores: Tensor) -> Tensor:
    return ops.sum(crossentropy(head, y, scores))


def _crossentropy(head: Head) -> Any:
    if head.output.scores == 1:
        return keras.metrics.BinaryCrossentropy("crossentropy", from_logits=_is_logit(head))
    return keras.metrics.SparseCategoricalCrossentropy("crossentropy", from_logits=_is_logit(head))


def _two_classes(head: Head, y: Tensor, scores: Tensor) -> Tensor:
    """True positives, false positives, false negatives."""
    positive, true = _positive(head, scores), ops.cast(y, "bool")
    parts = (
        ops.logical_and(positive, true),
        ops.logical_and(positive, ops.logical_not(true)),
        ops.logical_and(ops.logical_not(positive), true),
    )
    return ops.stack([ops.sum(ops.cast(part, "int32")) for part in parts])


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def _precision(sums: Sums, _: int) -> float:
    return _ratio(sums[_RIGHT], sums[_RIGHT] + sums[_FALSE_POSITIVE])


def _recall(sums: Sums, _: int) -> float:
    return _ratio(sums[_RIGHT], sums[_RIGHT] + sums[_FALSE_NEGATIVE])


def _f1(sums: Sums, _: int) -> float:
    return _ratio(2 * sums[_RIGHT], 2 * sums[_RIGHT] + sums[_FALSE_POSITIVE] + sums[_FALSE_NEGATIVE])


def _by_class(head: Head, y: Tensor, scores: Tensor) -> Tensor:
    """For each class its examples, those of them that are predicted right, and its predictions."""
    classes = head.output.classes
    true = ops.one_hot(ops.reshape(ops.cast(y, "int32"), (-1,)), classes, dtype="int32")
    predicted = ops.one_hot(ops.reshape(_predicted(head, scores), (-1,)), classes, dtype="int32")
    return ops.concatenate([ops.sum(part, axis=0) for part in (true, true * predicted, predicted)])


def _no_keras(_: Head) -> Any:
    """Keras has none for class numbers."""
    return None


def _macro_f1(sums: Sums, _: int) -> float:
    return macro_f1(*np.split(sums, 3))


def _balanced_accuracy(sums: Sums, _: int) -> float:
    truth, right, _predictions = np.split(sums, 3)
    return balanced_accuracy(truth, right)


def _iou(sums: Sums, _: int) -> float:
    return mean_iou(*np.split(sums, 3))


def _keras_iou(head: Head) -> Any:
    """None for a single score: at the threshold itself Keras' own decides otherwise than its accuracy."""
    if head.output.scores == 1:
        return None
    return keras.metrics.MeanIoU(head.output.classes, sparse_y_pred=False, name="iou")


def _on_threshold(kind: Any, name: str) -> Callable[[Head], Any]:
    return lambda head: kind(thresholds=0.0 if _is_logit(head) else 0.5, name=name)


def _keras_f1(head: Head) -> Any:
    """None for logits: Keras' own accepts no threshold of 0."""
    return None if _is_logit(head) else keras.metrics.F1Score(average="micro", threshold=0.5, name="f1")


def _thresholds() -> NDArray[np.float32]:
    inner = [(index + 1) / (_THRESHOLDS - 1) for index in range(_THRESHOLDS - 2)]
    return np.array([-_EPSILON, *inner, 1 + _EPSILON], np.float32)


def _above_thresholds(head: Head, y: Tensor, scores: Tensor) -> Tensor:
    """Positives and negatives above each threshold, then all positives and all negatives."""
    likely = ops.reshape(scores, (-1,))
    likely = ops.sigmoid(likely) if _is_logit(head) else likely
    above = ops.expand_dims(likely, 0) > ops.expand_dims(ops.convert_to_tensor(_thresholds()), 1)
    above, true = ops.cast(above, "int32"), ops.cast(y, "int32")
    positives = ops.sum(above * true, axis=1)
    negatives = ops.sum(above * (1 - true), axis=1)
    return ops.concatenate([positives, negatives, ops.stack([ops.sum(true), ops.sum(1 - true)])])


def _auc(sums: Sums, _: int) -> float:
    """Area under the curve of recall against false positives, by trapezoids."""
    positives, negatives = sums[:_THRESHOLDS], sums[_THRESHOLDS:-2]
    recall = positives / sums[-2] if sums[-2] else np.zeros(_THRESHOLDS)
    false = negatives / sums[-1] if sums[-1] else np.zeros(_THRESHOLDS)
    return float(((false[:-1] - false[1:]) * (recall[:-1] + recall[1:]) / 2).sum())


def _keras_auc(head: Head) -> Any:
    return keras.metrics.AUC(num_thresholds=_THRESHOLDS, from_logits=_is_logit(head), name="auc")


# --- numbers as targets ----------------------------------------------------------------------------------------------


def _per_example(values: Tensor) -> Tensor:
    """The sum over the examples of the mean of each."""
    return ops.sum(ops.mean(ops.reshape(values, (ops.shape(values)[0], -1)), axis=1))


def _mean_of(loss: str, kind: Any) -> Metric:
    def total(_: Head, y: Tensor, scores: Tensor) -> Tensor:
        return _per_example(VALUE_LOSSES[loss](y, scores))

    return Metric(total, _mean, lambda _: kind(name=loss))


def _binary_crossentropies(head: Head, y: Tensor, scores: Tensor) -> Tensor:
    return _per_example(keras.losses.binary_crossentropy(y, scores, from_logits=_is_logit(head)))


def _keras_binary_crossentropy(head: Head) -> Any:
    return keras.metrics.BinaryCrossentropy("binary_crossentropy", from_logits=_is_logit(head))


def _squares(_: Head, y: Tensor, scores: Tensor) -> Tensor:
    return _per_example(ops.square(scores - y))


def _root(sums: Sums, examples: int) -> float:
    return float(np.sqrt(sums[0] / examples))


def _similarities(_: Head, y: Tensor, scores: Tensor) -> Tensor:
    return _per_example(-keras.losses.cosine_similarity(y, scores))


def _spreads(head: Head, y: Tensor, scores: Tensor) -> Tensor:
    """For each number of an example: the sum of the targets, of their squares, and of the squared errors."""
    true, predicted = (ops.reshape(numbers, (-1, head.output.scores)) for numbers in (y, scores))
    parts = (true, ops.square(true), ops.square(true - predicted))
    return ops.concatenate([ops.sum(part, axis=0) for part in parts])


def _r2(sums: Sums, examples: int) -> float:
    """Share of the variance that is explained, for each number of an example; the mean of these."""
    total, squares, left = np.split(sums, 3)
    variance = squares - total * total / examples
    explained = 1 - np.divide(left, variance, out=np.ones_like(left), where=variance != 0)
    return float(explained.mean())


def _keras_r2(head: Head) -> Any:
    """None for outputs of more than one axis, which Keras' own does not accept."""
    return keras.metrics.R2Score(name="r2") if len(head.shape) == 1 else None


METRICS: Final[Mapping[str, Metric]] = {
    "accuracy": Metric(_correct, _share, _accuracy, counts=True),
    "top_2": _top(2),
    "top_3": _top(3),
    "top_5": _top(5),
    "macro_f1": Metric(
        _by_class, _macro_f1, _no_keras, size=lambda head: 3 * head.output.classes, counts=True
    ),
    "balanced_accuracy": Metric(
        _by_class, _balanced_accuracy, _no_keras, size=lambda head: 3 * head.output.classes, counts=True
    ),
    "iou": Metric(_by_class, _iou, _keras_iou, size=lambda head: 3 * head.output.classes, counts=True),
    "crossentropy": Metric(_crossentropies, _mean, _crossentropy),
    "auc": Metric(_above_thresholds, _auc, _keras_auc, size=lambda _: 2 * _THRESHOLDS + 2, counts=True),
    "precision": Metric(
        _two_classes,
        _precision,
        _on_threshold(keras.metrics.Precision, "precision"),
        size=lambda _: 3,
        counts=True,
    ),
    "recall": Metric(
        _two_classes, _recall, _on_threshold(keras.metrics.Recall, "recall"), size=lambda _: 3, counts=True
    ),
    "f1": Metric(_two_classes, _f1, _keras_f1, size=lambda _: 3, counts=True),
    "mse": _mean_of("mse", keras.metrics.MeanSquaredError),
    "rmse": Metric(_squares, _root, lambda _: keras.metrics.RootMeanSquaredError("rmse")),
    "mae": _mean_of("mae", keras.metrics.MeanAbsoluteError),
    "mape": _mean_of("mape", keras.metrics.MeanAbsolutePercentageError),
    "msle": _mean_of("msle", keras.metrics.MeanSquaredLogarithmicError),
    "log_cosh": _mean_of("log_cosh", keras.metrics.LogCoshError),
    "poisson": _mean_of("poisson", keras.metrics.Poisson),
    "kl_divergence": _mean_of("kl_divergence", keras.metrics.KLDivergence),
    "binary_crossentropy": Metric(_binary_crossentropies, _mean, _keras_binary_crossentropy),
    "cosine_similarity": Metric(
        _similarities, _mean, lambda _: keras.metrics.CosineSimilarity("cosine_similarity")
    ),
    "r2": Metric(_spreads, _r2, _keras_r2, size=lambda head: 3 * head.output.scores),
}
