"""What a program takes and returns, as values. Tuples with named fields pass through traced functions as they are."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from search.data.inputs import as_inputs, by_input, rows
from search.data.stored_rows import ScaledRows, rows_at_once
from search.training.program.backend import tensor_of

Tensor = Any


class ProgramState(NamedTuple):
    """Everything that training changes, as tensors. Holding one is holding a checkpoint."""

    weights: Tensor  #: every trainable number, flat
    moments: tuple[Tensor, ...]  #: of the optimizer, each as long as the weights
    scalar: Tensor  #: of the optimizer
    steps: Tensor  #: training steps so far
    statistics: Tensor  #: every other floating-point number, flat: moving means and variances
    integers: tuple[Tensor, ...]  #: states of random generators, and counters


class Arguments(NamedTuple):
    """What is fixed for a trial: the chosen quantizers, the shapes of its weights, and its training."""

    choices: Tensor  #: branch of each switched slot, int32
    parameters: Tensor  #: numbers of each switched slot's grid
    dimensions: Tensor  #: shapes of all floating-point variables, one after the other, int32
    rate: Tensor  #: learning rate of every trainable number
    batch_size: Tensor
    seed: Tensor  #: of augmentation
    pressure: Tensor  #: loss for a bit of each group of tensors whose bits are trained; empty where none are

    def at_share(self, share: float) -> Arguments:
        """The same at a share of the learning rate."""
        return self if share == 1.0 else self._replace(rate=self.rate * np.float32(share))


class BatchSums(NamedTuple):
    """Running sums in the loop over batches."""

    loss: Tensor
    tally: Tensor  #: of the metric
    examples: Tensor

    def plus(self, loss: Tensor, tally: Tensor, examples: Tensor) -> BatchSums:
        """With a batch of this many examples and this mean loss added."""
        return BatchSums(
            self.loss + loss * ops.cast(examples, "float32"), self.tally + tally, self.examples + examples
        )


class TrainedBatch(NamedTuple):
    """What a training step gives: its mean loss, the metric's sums, and the state after it."""

    loss: Tensor
    tally: Tensor
    state: ProgramState


class EvaluatedBatch(NamedTuple):
    """Mean loss and the metric's sums of one batch, and the random states after it."""

    loss: Tensor
    tally: Tensor
    integers: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over some batches. Training ends at a loss that is not finite, so there may be fewer than requested."""

    loss_sum: float
    tally: NDArray[Any]  #: the sums of which the metric is made (`search.training.metrics`)
    examples: int
    batches: int

    @classmethod
    def from_sums(cls, sums: BatchSums, batches: int) -> Totals:
        """The sums of a program over this many batches."""
        return cls(float(sums.loss), ops.convert_to_numpy(sums.tally), int(sums.examples), batches)

    @property
    def loss(self) -> float:
        """Mean loss per example."""
        return self.loss_sum / self.examples

    @property
    def correct(self) -> int:
        """Number of examples with the right class, where the metric is accuracy."""
        return int(self.tally[0])

    @property
    def accuracy(self) -> float:
        """Share of correct examples, in float32 as Keras computes it."""
        return float(np.float32(self.correct) / np.float32(self.examples))

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.loss_sum + other.loss_sum,
            self.tally + other.tally,
            self.examples + other.examples,
            self.batches + other.batches,
        )


#: The totals of no batch.
NO_BATCHES: Final = Totals(0.0, np.zeros(1), 0, 0)


@dataclass(frozen=True, eq=False)
class DeviceData:
    """Examples and targets on the device; those of several inputs or outputs are tuples."""

    x: Any
    y: Any

    @classmethod
    def from_arrays(cls, x: Any, y: Any) -> DeviceData:
        """Copies to the device: class numbers as int32, other targets as float32. Rows of files stay there."""
        if any(isinstance(array, ScaledRows) for array in by_input(x)):
            return StreamedData(x, y)
        return cls(keras.tree.map_structure(ops.convert_to_tensor, x), keras.tree.map_structure(_targets, y))

    def part(self, start: int, stop: int) -> tuple[Any, Any]:
        """The examples from `start` to `stop`, and their targets."""
        return rows(self.x, start, stop), keras.tree.map_structure(
            lambda targets: targets[start:stop], self.y
        )

    def blocks(self, size: int, order: NDArray[np.int32] | None = None) -> Iterator[Block]:
        """All examples, or those of `order`, in successive blocks of whole batches of `size`."""
        taken = None if order is None else ops.convert_to_tensor(order)
        yield Block(self, taken, -(-(len(self) if order is None else len(order)) // size))

    def __len__(self) -> int:
        return int(by_input(self.x)[0].shape[0])


@dataclass(frozen=True, eq=False)
class Block:
    """Examples on the device. `order`: the order in which they are taken; None: as they are."""

    data: DeviceData
    order: Tensor | None
    batches: int


@dataclass(frozen=True, eq=False)
class StreamedData(DeviceData):
    """Examples in files and targets in memory; of the examples a block at a time comes to the device."""

    def part(self, start: int, stop: int) -> tuple[Any, Any]:
        """The examples from `start` to `stop`, and their targets."""
        block = self._read(np.arange(start, min(stop, len(self))))
        return block.x, block.y

    def blocks(self, size: int, order: NDArray[np.int32] | None = None) -> Iterator[Block]:
        """As `DeviceData.blocks`; while a block is computed with, a thread reads the next one."""
        order = np.arange(len(self), dtype=np.int32) if order is None else order
        batches = max(1, min(rows_at_once(array.shape[1:]) for array in by_input(self.x)) // size)
        starts = range(0, len(order), batches * size)
        parts = [order[start : start + batches * size] for start in starts]
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._read, parts[0])
            for index, part in enumerate(parts):
                data = coming.result()
                if index + 1 < len(parts):
                    coming = reader.submit(self._read, parts[index + 1])
                places = ops.convert_to_tensor(np.arange(len(part), dtype=np.int32))
                yield Block(data, places, -(-len(part) // size))

    def _read(self, places: NDArray[Any]) -> DeviceData:
        x = as_inputs([tensor_of(array[places]) for array in by_input(self.x)])
        return DeviceData(
            x, keras.tree.map_structure(lambda part: _targets(np.asarray(part)[places]), self.y)
        )


def _targets(y: Any) -> Tensor:
    array = np.asarray(y)
    return ops.convert_to_tensor(array.astype(np.float32 if array.dtype.kind == "f" else np.int32))
