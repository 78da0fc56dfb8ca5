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
from search.errors import Diverged
from search.task import Task
from search.training.losses import batch_loss, targets_of
from search.training.metrics import metric_value, tally
from search.training.program.state import NO_BATCHES, DeviceData, Totals

Tensor = Any

#: A plain model quantizes its weights again for every batch, so a batch has as many examples as hold this many numbers,
#: within these bounds. Fixed by the shape of an example: the order of sums may show in the last digit of a loss.
_NUMBERS: Final = 2**21
_EXAMPLES: Final = (1024, 16384)


def scores_of(outputs: Any) -> Sequence[Tensor]:
    """What a call of a model returned, output by output."""
    return tuple(keras.tree.flatten(outputs))


def tally_of(task: Task, y: Any, scores: Sequence[Tensor]) -> Tensor:
    """The sums of the task's metric over a batch, at the output that the metric is measured at."""
    return tally(task, targets_of(task, y)[task.judged], scores[task.judged])


def evaluate_file(path: Path, x: NDArray[Any], y: Any, task: Task) -> dict[str, float]:
    """`metric` and `loss` of a saved model on these examples. Raises `Diverged` if one is not finite."""
    return evaluate_model(keras.models.load_model(path), task, DeviceData.from_arrays(x, y))


def scores_of_file(path: Path, x: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
    """The scores that a saved model gives for these examples, output by output."""
    model = keras.models.load_model(path)
    size = _batch_size(x.shape[1:])
    parts = [scores_of(model(x[start : start + size], training=False)) for start in range(0, len(x), size)]
    outputs = zip(*parts, strict=True)
    return tuple(np.concatenate([keras.ops.convert_to_numpy(part) for part in output]) for output in outputs)


def evaluate_model(model: keras.Model, task: Task, data: DeviceData) -> dict[str, float]:
    """`metric` and `loss` of a model as it is, without tracing. Raises `Diverged` if one is not finite."""
    totals = _totals(model, task, data)
    result = {"metric": metric_value(task, totals.tally, totals.examples), "loss": totals.loss}
    check_finite(result, "evaluation")
    return result


def check_finite(metrics: Mapping[str, Any], where: str) -> None:
    """Raise `Diverged`, with the name, for the first value that is not finite."""
    for name, value in metrics.items():
        if not math.isfinite(float(value)):
            raise Diverged(
                f"{name} became {float(value)} in {where}: lower the learning rate or widen the quantizers"
            )


def _batch_size(shape: Sequence[int]) -> int:
    """How many examples of this shape are evaluated at once."""
    least, most = _EXAMPLES
    return min(max(_NUMBERS // math.prod(shape), least), most)


def _totals(model: keras.Model, task: Task, data: DeviceData) -> Totals:
    total = NO_BATCHES
    size = _batch_size(data.x.shape[1:])
    for start in range(0, len(data), size):
        x, y = data.part(start, start + size)
        scores = scores_of(model(x, training=False))
        loss = batch_loss(task, y, scores)
        for penalty in model.losses:
            loss = loss + penalty
        count = int(x.shape[0])
        sums = keras.ops.convert_to_numpy(tally_of(task, y, scores))
        total = total + Totals(float(loss) * count, sums, count, 1)
    return total
