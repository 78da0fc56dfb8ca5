"""Metrics by class: those of scikit-learn, and calibration counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_recall_fscore_support,
    recall_score,
)

from search.scoring.classification import class_counts, class_metrics
from search.task import Output, classification
from search.training.metrics import metric_value, tally


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_metrics_by_class_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = (np.array(one) for one in zip(*pairs, strict=True))
    metrics = class_metrics(class_counts(labels, np.eye(4)[predicted]))
    expected = recall_score(labels, predicted, labels=np.unique(labels), average="macro")
    assert metrics["balanced_accuracy"] == pytest.approx(expected)
    assert metrics["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0))
    assert metrics["confusion"] == confusion_matrix(labels, predicted, labels=range(4)).tolist()
    assert metrics["iou"] == pytest.approx(jaccard_score(labels, predicted, average="macro", zero_division=0))
    by_class = metrics["by_class"]
    assert [share is None for share in by_class["recall"]] == [number not in labels for number in range(4)]
    precision, recall, f1, examples = precision_recall_fscore_support(
        labels, predicted, labels=range(4), zero_division=np.nan
    )
    assert by_class["examples"] == examples.tolist()
    for name, expected_shares in (("precision", precision), ("recall", recall), ("f1", f1)):
        shares = [np.nan if share is None else share for share in by_class[name]]
        np.testing.assert_allclose(shares, expected_shares)
    occurs = [number in labels or number in predicted for number in range(4)]
    assert [share is not None for share in by_class["iou"]] == occurs


@pytest.mark.parametrize("name", ["macro_f1", "balanced_accuracy", "iou"])
def test_objectives_are_these_metrics_however_batches_are_cut(name: str) -> None:
    draw = np.random.default_rng(0)
    labels, scores = draw.integers(0, 4, 50).astype(np.int32), draw.random((50, 4)).astype(np.float32)
    task = classification(Output("softmax", 4))
    task = type(task)(task.heads, name)
    sums = sum(np.asarray(tally(task, labels[part], scores[part])) for part in (slice(0, 20), slice(20, 50)))
    expected = class_metrics(class_counts(labels, scores))[name]
    assert metric_value(task, sums, 50) == pytest.approx(expected)


def test_calibration_is_the_distance_of_confidence_and_accuracy() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    metrics = class_metrics(class_counts(np.array([0, 1, 1, 1]), probabilities))
    assert metrics["expected_calibration_error"] == pytest.approx((abs(0.5 - 0.9) + abs(1 - 0.6)) / 2)
