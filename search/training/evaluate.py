"""Loss and metric of a model as it is, without a program."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

import quantization.layers  # noqa: F401 -- Keras finds the quantized layers of a saved model by their names
from quantization.models.tensor_report import tensor_report
from search.data.inputs import Inputs, by_input, example_count, rows
from search.errors import Diverged
from search.scoring.classification import ClassCounts, class_counts, class_metrics
from search.task import Task
from search.training.losses import batch_loss, log_probabilities, targets_of
from search.training.metrics import metric_value, tally
from search.training.program.state import NO_BATCHES, DeviceData, Totals

Tensor = Any

#: A plain model quantizes its weights again for every batch, so a batch has as many examples as hold this many numbers,
#: within these bounds. Fixed by the shape of an example: the order of sums may show in the last digit of a loss.
_NUMBERS: Final = 2**21
_EXAMPLES: Final = (1024, 16384)
#: Examples whose activations are reported.
_REPORTED: Final = 256


def scores_of(outputs: Any) -> Sequence[Tensor]:
    """What a call of a model returned, output by output."""
    return tuple(keras.tree.flatten(outputs))


def tally_of(task: Task, y: Any, scores: Sequence[Tensor]) -> Tensor:
    """The sums of the task's metric over a batch, at the output that the metric is measured at."""
    return tally(task, targets_of(task, y)[task.judged], scores[task.judged])


def evaluate_file(path: Path, x: Inputs, y: Any, task: Task) -> dict[str, Any]:
    """As `evaluate_model`, of a saved model on these examples."""
    return evaluate_model(keras.models.load_model(path), task, DeviceData.from_arrays(x, y))


def scores_of_file(path: Path, x: Inputs) -> tuple[NDArray[np.float32], ...]:
    """The scores that a saved model gives for these examples, output by output."""
    model = keras.models.load_model(path)
    size = _batch_size(x)
    parts = [
        scores_of(model(rows(x, start, start + size), training=False))
        for start in range(0, example_count(x), size)
    ]
    outputs = zip(*parts, strict=True)
    return tuple(np.concatenate([keras.ops.convert_to_numpy(part) for part in output]) for output in outputs)


def tensors_of_file(path: Path, x: Inputs) -> dict[str, Any]:
    """What quantization does to each tensor of a saved model, as JSON values: `tensor_report` on some examples."""
    sample = rows(x, 0, _REPORTED)
    return {
        "examples": example_count(sample),
        "tensors": tensor_report(keras.models.load_model(path), sample),
    }


def evaluate_model(model: keras.Model, task: Task, data: DeviceData) -> dict[str, Any]:
    """`metric` and `loss` of a model as it is, without tracing, and `classes` where it predicts class numbers.

    The latter are `search.scoring.classification.class_metrics`. Raises `Diverged` if metric or loss is not finite.
    """
    totals, counts = _totals(model, task, data)
    result = {"metric": metric_value(task, totals.tally, totals.examples), "loss": totals.loss}
    check_finite(result, "evaluation")
    return result if counts is None else {**result, "classes": class_metrics(counts)}


def check_finite(metrics: Mapping[str, Any], where: str) -> None:
    """Raise `Diverged`, with the name, for the first value that is not finite."""
    for name, value in metrics.items():
        if not math.isfinite(float(value)):
            raise Diverged(
                f"{name} became {float(value)} in {where}: lower the learning rate or widen the quantizers"
            )


def _batch_size(x: Any) -> int:
    """How many examples like these are evaluated at once."""
    least, most = _EXAMPLES
    numbers: int = sum(math.prod(array.shape[1:]) for array in by_input(x))
    return min(max(_NUMBERS // numbers, least), most)


def _totals(model: keras.Model, task: Task, data: DeviceData) -> tuple[Totals, ClassCounts | None]:
    total, classes = NO_BATCHES, None
    size = _batch_size(data.x)
    for start in range(0, len(data), size):
        x, y = data.part(start, start + size)
        scores = scores_of(model(x, training=False))
        loss = batch_loss(task, y, scores)
        for penalty in model.losses:
            loss = loss + penalty
        count = int(by_input(x)[0].shape[0])
        sums = keras.ops.convert_to_numpy(tally_of(task, y, scores))
        total = total + Totals(float(loss) * count, sums, count, 1)
        counts = _class_counts(task, y, scores)
        classes = counts if classes is None or counts is None else classes + counts
    return total, classes


def _class_counts(task: Task, y: Any, scores: Sequence[Tensor]) -> ClassCounts | None:
    """Of the measured output; None where its targets are numbers."""
    if task.head.labels != "classes":
        return None
    head, judged = task.head, task.judged
    probabilities = keras.ops.convert_to_numpy(keras.ops.exp(log_probabilities(head, scores[judged])))
    labels = keras.ops.convert_to_numpy(targets_of(task, y)[judged])
    return class_counts(labels.reshape(-1), probabilities.reshape(-1, head.output.classes))
