"""What a classifier gets right, class by class, beside the metric of its job. Plain numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Bins of confidence, equally wide (Guo et al., On Calibration of Modern Neural Networks, 2017).
BINS: Final = 15
#: Classes up to which a confusion matrix is reported.
_MAX_CLASSES: Final = 100


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Sums over examples.

    `confusion`: true class by predicted class. `calibration`: for each bin of confidence the examples, those that are
    right, and the sum of confidences.
    """

    confusion: NDArray[np.int64]
    calibration: NDArray[np.float64]

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts(self.confusion + other.confusion, self.calibration + other.calibration)


def class_counts(labels: NDArray[Any], probabilities: NDArray[Any]) -> ClassCounts:
    """The counts of examples. `probabilities`: of every class, by example."""
    classes = probabilities.shape[-1]
    predicted, confidence = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
    confusion = np.bincount(labels.astype(np.int64) * classes + predicted, minlength=classes * classes)
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    sums = (np.ones(len(labels)), predicted == labels, confidence)
    calibration = np.stack(
        [np.bincount(bins, weights=weights, minlength=BINS).astype(np.float64) for weights in sums]
    )
    return ClassCounts(confusion.reshape(classes, classes).astype(np.int64), calibration)


def recalls(truth: NDArray[Any], right: NDArray[Any]) -> NDArray[np.float64]:
    """By class the share of its examples that are predicted right; NaN for classes without examples."""
    shares: NDArray[np.float64] = np.full(len(truth), np.nan)
    np.divide(right, truth, out=shares, where=truth > 0)
    return shares


def balanced_accuracy(truth: NDArray[Any], right: NDArray[Any]) -> float:
    """Mean recall of the classes that have examples."""
    return float(np.nanmean(recalls(truth, right)))


def macro_f1(truth: NDArray[Any], right: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Mean F1 of the classes that have examples or are predicted."""
    total = truth + predicted
    return float(np.mean(2 * right[total > 0] / total[total > 0]))


def ious(truth: NDArray[Any], right: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    """By class intersection over union of examples and predictions; NaN for classes that have neither."""
    shares: NDArray[np.float64] = np.full(len(truth), np.nan)
    union = truth + predicted - right
    np.divide(right, union, out=shares, where=union > 0)
    return shares


def mean_iou(truth: NDArray[Any], right: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Mean intersection over union of the classes that have examples or are predicted."""
    return float(np.nanmean(ious(truth, right, predicted)))


def class_metrics(counts: ClassCounts) -> dict[str, Any]:
    """Metrics as JSON values; under `by_class` those of every class (None where it has no examples, or no predictions).

    `expected_calibration_error`: mean distance of confidence and accuracy over the bins, by examples.
    """
    confusion = counts.confusion
    truth, right, predicted = confusion.sum(axis=1), confusion.diagonal(), confusion.sum(axis=0)
    examples, hits, confidence = counts.calibration
    metrics: dict[str, Any] = {
        "accuracy": float(right.sum() / truth.sum()),
        "balanced_accuracy": balanced_accuracy(truth, right),
        "macro_f1": macro_f1(truth, right, predicted),
        "iou": mean_iou(truth, right, predicted),
        "expected_calibration_error": float(np.abs(hits - confidence).sum() / examples.sum()),
        "by_class": {
            "examples": truth.tolist(),
            "recall": _shares(recalls(truth, right)),
            "precision": _shares(recalls(predicted, right)),
            "f1": _shares(recalls(truth + predicted, 2 * right)),
            "iou": _shares(ious(truth, right, predicted)),
        },
    }
    if len(truth) <= _MAX_CLASSES:
        metrics["confusion"] = confusion.tolist()
    return metrics


def _shares(shares: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(share) else float(share) for share in shares]
