"""Every loss and metric that a job may name gives what Keras' own of that name gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras import ops
from numpy.typing import NDArray

from search.spec.objective import LOSSES
from search.spec.objective import METRICS as NAMED
from search.task import Head, Output, Task
from search.training.losses import VALUE_LOSSES, batch_loss, keras_loss
from search.training.metrics import METRICS, keras_metric, metric_value, tally

EXAMPLES = 60


def head(kind: Any, scores: int, loss: str = "crossentropy") -> Head:
    return Head("out", Output(kind, scores), (scores,), loss)


def examples(head: Head) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Targets and scores of some examples, as such a head takes and gives them."""
    draw = np.random.default_rng(3)
    raw = draw.normal(size=(EXAMPLES, *head.shape)).astype(np.float32)
    kind = head.output.kind
    likely = 1 / (1 + np.exp(-raw))
    scores = {"softmax": np.exp(raw) / np.exp(raw).sum(-1, keepdims=True), "sigmoid": likely}.get(kind, raw)
    if head.labels == "classes":
        return draw.integers(0, head.output.classes, EXAMPLES).astype(np.int32), scores
    if kind == "other":  # between 0 and 1, as images are
        return draw.uniform(0.1, 1, raw.shape).astype(np.float32), likely
    return draw.uniform(0, 1, raw.shape).astype(np.float32), scores


HEADS = [
    head("softmax", 7),
    head("linear", 7),
    head("sigmoid", 1),
    head("linear", 1),
    *(head("other", 4, loss) for loss in VALUE_LOSSES),
    *(head("linear", size, "binary_crossentropy") for size in (1, 5)),
    head("sigmoid", 5, "binary_crossentropy"),
    Head("picture", Output("other", 32), (4, 4, 2), "mse"),
]


def tasks() -> list[Task]:
    """Each metric at each head it can be measured at."""
    return [
        Task((head,), metric)
        for head in HEADS
        for metric, info in NAMED.items()
        if info.labels == head.labels
        and (not info.two_classes or head.output.scores == 1)
        and (not metric.startswith("top_") or head.output.scores > 1)
        and (metric != "poisson" or head.output.kind != "linear")  # of counts: scores above 0
    ]


def test_every_metric_that_can_be_named_is_known() -> None:
    assert set(METRICS) == set(NAMED) == {task.metric for task in tasks()}
    assert set(LOSSES) == {head.loss for head in HEADS}


@pytest.mark.parametrize("task", tasks(), ids=lambda task: f"{task.metric}-{task.head.output.kind}")
def test_a_metric_added_up_over_batches_is_that_of_keras(task: Task) -> None:
    y, scores = examples(task.head)
    sums: Any = 0
    for start in range(0, EXAMPLES, 25):
        sums = sums + np.asarray(
            tally(task, ops.array(y[start : start + 25]), ops.array(scores[start : start + 25]))
        )
    value = metric_value(task, sums, EXAMPLES)
    theirs = keras_metric(task)
    if theirs is None:
        assert task.metric in ("f1", "r2", "macro_f1", "balanced_accuracy", "iou")
        return
    wide = task.head.labels == "classes" and task.head.output.scores == 1
    theirs.update_state(y[:, None] if wide else y, scores)
    assert value == pytest.approx(float(theirs.result()), rel=2e-6, abs=1e-6)
    assert theirs.name == task.metric


@pytest.mark.parametrize("output", HEADS, ids=lambda head: f"{head.loss}-{head.output.kind}")
def test_a_loss_is_that_of_keras(output: Head) -> None:
    y, scores = examples(output)
    wide = output.labels == "classes" and output.output.scores == 1
    expected = float(keras_loss(output)(y[:, None] if wide else y, scores))
    assert float(batch_loss(Task((output,)), y, (scores,))) == pytest.approx(expected, rel=1e-6)


def test_heads_count_by_their_weights() -> None:
    one, two = HEADS[0], Head("second", Output("other", 4), (4,), "mse", weight=0.25)
    (y, scores), (targets, numbers) = examples(one), examples(two)
    losses = [
        float(batch_loss(Task((output,)), output_y, (output_scores,)))
        for output, output_y, output_scores in ((one, y, scores), (two, targets, numbers))
    ]
    both = float(batch_loss(Task((one, two)), (y, targets), (scores, numbers)))
    assert both == pytest.approx(losses[0] + losses[1], rel=1e-6)


def test_logits_have_an_f1_too() -> None:
    logits, likely = head("linear", 1), head("sigmoid", 1)
    y, scores = examples(logits)
    values = [
        metric_value(Task((output,), "f1"), tally(Task((output,), "f1"), y, numbers), EXAMPLES)
        for output, numbers in ((logits, scores), (likely, 1 / (1 + np.exp(-scores))))
    ]
    assert values[0] == values[1] > 0


def test_targets_that_do_not_vary_explain_nothing() -> None:
    task = Task((head("linear", 1, "mse"),), "r2")
    sums = tally(task, np.ones((5, 1), np.float32), np.zeros((5, 1), np.float32))
    assert metric_value(task, sums, 5) == 0.0
