"""The variables of a model as flat vectors, so that a program need not know what layers there are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any


def variables_of(model: keras.Model) -> dict[str, list[Any]]:
    """A model's variables by what becomes of them: trainable, statistics, others.

    The order is the same for a plain model and its switched twin: seeds of quantizers are not counted,
    they are found by their slot.
    """
    seeds = {
        id(variable)
        for layer in model.layers
        if hasattr(layer, "quantizer_state")
        for variable in layer.quantizer_state.variables
        if not is_float(variable)
    }
    trainable = list(model.trainable_variables)
    kept = {id(each) for each in trainable} | seeds
    rest = [each for each in model.non_trainable_variables if id(each) not in kept]
    return {
        "trainable": trainable,
        "statistics": [each for each in rest if is_float(each)],
        "others": [each for each in rest if not is_float(each)],
    }


def is_float(variable: Any) -> bool:
    """Whether it holds floating numbers."""
    return bool(keras.backend.is_float_dtype(variable.dtype))


class Vector:
    """Variables as one flat vector and back. `shapes` are those of the trace, None where a dimension is open."""

    def __init__(
        self, variables: Sequence[Any], shapes: Sequence[tuple[int | None, ...]], first: int
    ) -> None:
        self.variables = list(variables)
        self._shapes = list(shapes)
        self._first = first

    @property
    def end(self) -> int:
        """Where the next vector's dimensions begin."""
        return self._first + sum(len(shape) for shape in self._shapes)

    def parts(self, flat: Tensor, dimensions: Tensor) -> list[Tensor]:
        """The tensors of the variables."""
        shapes, place = [], self._first
        for shape in self._shapes:
            is_open = None in shape
            shapes.append(dimensions[place : place + len(shape)] if is_open else shape)
            place += len(shape)
        return _split(flat, shapes, self._shapes)

    @staticmethod
    def flat(parts: Sequence[Tensor]) -> Tensor:
        """One vector of all."""
        if not parts:
            return ops.zeros((0,), "float32")
        return ops.concatenate([ops.reshape(part, (-1,)) for part in parts])


def _split(flat: Tensor, shapes: Sequence[Any], static: Sequence[tuple[int | None, ...]]) -> list[Tensor]:
    if not shapes:
        return []
    if keras.backend.backend() != "tensorflow":
        ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        parts = ops.split(flat, [int(end) for end in ends])
        return [ops.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
    import tensorflow as tf

    sizes = [math.prod(s) if isinstance(s, tuple) else tf.reduce_prod(s) for s in shapes]
    found = [
        tf.reshape(part, shape)
        for part, shape in zip(tf.split(flat, tf.stack(sizes), num=len(sizes)), shapes, strict=True)
    ]
    for part, shape in zip(found, static, strict=True):
        part.set_shape(shape)
    return found


class Scope(keras.StatelessScope):  # type: ignore[misc]
    """Keras' scope, but that values may have open dimensions."""

    def __init__(self, mapping: Sequence[tuple[Any, Tensor]]) -> None:
        super().__init__()
        self.state_mapping.update({id(variable): value for variable, value in mapping})


def quantizer_seeds(model: keras.Model) -> list[Any]:
    """The random states of a plain model's quantizers."""
    return [
        quantizer.seed_generator.state
        for layer in model.layers
        for _, quantizer in getattr(layer, "_slot_quantizers", ())
        if quantizer.seed_generator is not None
    ]


def assign(variables: Sequence[Any], flat: Tensor) -> None:
    """Write a flat vector into variables."""
    numbers = ops.convert_to_numpy(flat)
    place = 0
    for variable in variables:
        size = math.prod(int(each) for each in variable.shape)
        variable.assign(numbers[place : place + size].reshape(tuple(variable.shape)))
        place += size
