"""What a program takes and gives, as frozen values: state, arguments, totals, data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

Tensor = Any


@dataclass(frozen=True)
class State:
    """All that training changes, as tensors: keeping one is keeping a checkpoint."""

    weights: Tensor  #: every trainable number
    moments: tuple[Tensor, ...]  #: of the optimizer, each as long as the weights
    scalar: Tensor  #: of the optimizer
    count: Tensor  #: steps taken
    statistics: Tensor  #: every other floating number: moving means and variances
    others: tuple[Tensor, ...]  #: seeds

    def tensors(self) -> tuple[Tensor, ...]:
        """In a fixed order."""
        return (self.weights, self.scalar, self.count, self.statistics, *self.moments, *self.others)

    def with_tensors(self, tensors: Sequence[Tensor]) -> State:
        """The state that `tensors` of such a state stand for."""
        weights, scalar, count, statistics, *rest = tensors
        moments = len(self.moments)
        return State(weights, tuple(rest[:moments]), scalar, count, statistics, tuple(rest[moments:]))


@dataclass(frozen=True)
class Arguments:
    """What is fixed for a trial: the quantizers chosen, the shapes of its weights, and its training."""

    choices: Tensor  #: branch of each switched slot, int32
    parameters: Tensor  #: numbers of each switched slot's grid
    dimensions: Tensor  #: shapes of all floating variables, one after the other, int32
    rate: Tensor
    batch_size: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        """In a fixed order."""
        return (self.choices, self.parameters, self.dimensions, self.rate, self.batch_size)

    def at_share(self, share: float) -> Arguments:
        """The same at a share of the learning rate."""
        return self if share == 1.0 else replace(self, rate=self.rate * np.float32(share))


@dataclass(frozen=True, slots=True)
class Totals:
    """What was seen over some batches; these end at a loss that is not finite."""

    loss_sum: float
    tally: NDArray[Any]  #: sums that make the metric (`search.training.metrics`)
    examples: int
    batches: int

    @property
    def loss(self) -> float:
        """Mean loss of an example."""
        return self.loss_sum / self.examples

    @property
    def correct(self) -> int:
        """How many examples got their class, where the metric is accuracy."""
        return int(self.tally[0])

    @property
    def accuracy(self) -> float:
        """Share of correct examples, in float32 as Keras' metric has it."""
        return float(np.float32(self.correct) / np.float32(self.examples))

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.loss_sum + other.loss_sum,
            self.tally + other.tally,
            self.examples + other.examples,
            self.batches + other.batches,
        )


#: No batch; added to others it changes nothing.
NOTHING: Final = Totals(0.0, np.zeros(1), 0, 0)


@dataclass(frozen=True, eq=False)
class DeviceData:
    """Examples and targets where the program runs; those of several outputs in a tuple."""

    x: Tensor
    y: Any

    @classmethod
    def of(cls, x: NDArray[Any], y: Any) -> DeviceData:
        """Copied there: class numbers as int32, other targets as float32."""
        return cls(ops.convert_to_tensor(x), tuple(map(_targets, y)) if isinstance(y, tuple) else _targets(y))

    def part(self, start: int, stop: int) -> tuple[Tensor, Any]:
        """Some examples and their targets."""
        return self.x[start:stop], keras.tree.map_structure(lambda each: each[start:stop], self.y)

    def __len__(self) -> int:
        return int(self.x.shape[0])


def _targets(y: Any) -> Tensor:
    array = np.asarray(y)
    return ops.convert_to_tensor(array.astype(np.float32 if array.dtype.kind == "f" else np.int32))
