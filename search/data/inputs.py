"""The examples of a network: an array, or a tuple of one for each of several inputs, in the network's order. Plain."""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
#: As a network takes them. Of large data the arrays may be `search.data.stored_rows.ScaledRows`, which read what an
#: index selects.
Inputs: TypeAlias = Floats | tuple[Floats, ...]


#: Bytes at whose multiples an array begins that TensorFlow and XLA read where it lies.
ALIGNMENT: Final = 64


def aligned_floats(shape: tuple[int, ...]) -> Floats:
    """An array of any content that the backends can take as it lies, without a copy."""
    count, size = math.prod(shape), np.dtype(np.float32).itemsize
    memory = np.empty(count + ALIGNMENT // size, np.float32)
    skipped = -memory.ctypes.data % ALIGNMENT // size
    return memory[skipped:][:count].reshape(shape)  # in two steps: an empty slice begins where its array does


def by_input(x: Any) -> tuple[Any, ...]:
    """What belongs to each input."""
    return x if isinstance(x, tuple) else (x,)


def only_input(x: Any) -> NDArray[Any]:
    """The examples of a network that has one input."""
    [array] = by_input(x)
    return np.asarray(array)


def as_inputs(parts: tuple[Any, ...] | list[Any]) -> Any:
    """The parts of all inputs as a network takes them: alone where there is one input."""
    return parts[0] if len(parts) == 1 else tuple(parts)


def example_count(x: Any) -> int:
    """How many examples these are."""
    return len(by_input(x)[0])


def rows(x: Any, start: int, stop: int | None = None) -> Any:
    """The examples from `start` to `stop`, of every input."""
    return as_inputs([array[start:stop] for array in by_input(x)])
