"""Loss and metric of a model as it is, without a program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import keras

from search.task import Task
from search.training.losses import batch_loss, targets_of
from search.training.metrics import tally
from search.training.program.state import NOTHING, DeviceData, Totals

Tensor = Any

#: A plain model quantizes its weights anew for every batch, so it measures as many examples as have this many numbers,
#: within these bounds. Fixed by the shape of an example: the order of sums may show in the last digit of a loss.
_PLAIN_NUMBERS: Final = 2**21
_PLAIN_EXAMPLES: Final = (1024, 16384)


def scores_of(outputs: Any) -> Sequence[Tensor]:
    """What a call of a model gave, output by output."""
    return tuple(keras.tree.flatten(outputs))


def tally_of(task: Task, y: Any, scores: Sequence[Tensor]) -> Tensor:
    """The sums of the task's metric over a batch: of the output that is judged."""
    return tally(task, targets_of(task, y)[task.judged], scores[task.judged])


def evaluate_plainly(model: keras.Model, task: Task, data: DeviceData) -> Totals:
    """Loss and metric of a model as it is, without tracing anything."""
    total = NOTHING
    least, most = _PLAIN_EXAMPLES
    size = min(max(_PLAIN_NUMBERS // math.prod(data.x.shape[1:]), least), most)
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
