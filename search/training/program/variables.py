"""The variables of a model as flat vectors, so that a program is independent of the layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

Tensor = Any

#: More random draws than one quantizer or layer makes in a step.
_DRAWS_PER_STEP: Final = 128


class ModelVariables(NamedTuple):
    """A model's variables by how training treats them."""

    trainable: list[Any]
    statistics: list[Any]  #: floating point, not trainable: moving means and variances
    integers: list[Any]  #: states of random generators, and counters

    @property
    def floats(self) -> list[Any]:
        """Trainable variables, then statistics."""
        return [*self.trainable, *self.statistics]


def model_variables(model: keras.Model) -> ModelVariables:
    """The variables of a model, in an order that is the same for a plain model and its switched twin.

    Without the random states of quantizers (`quantizer_seeds`), which differ between the two.
    """
    seeds = {
        id(variable)
        for layer in model.layers
        if hasattr(layer, "slot_owners")
        for owner in layer.slot_owners()  # a Bidirectional has its quantizers in the layers that it runs
        if hasattr(owner, "quantizer_state")
        for variable in owner.quantizer_state.variables
        if not is_float(variable)
    }
    trainable = list(model.trainable_variables)
    excluded = {id(variable) for variable in trainable} | seeds
    rest = [variable for variable in model.non_trainable_variables if id(variable) not in excluded]
    return ModelVariables(
        trainable=trainable,
        statistics=[variable for variable in rest if is_float(variable)],
        integers=[variable for variable in rest if not is_float(variable)],
    )


def is_float(variable: Any) -> bool:
    """Whether a variable holds floating-point numbers."""
    return bool(keras.backend.is_float_dtype(variable.dtype))


class FlatVariables:
    """Variables as one flat vector.

    `shapes`: the shapes in the trace, None where a dimension is open. `first`: where their sizes begin among the
    dimensions of all variables.
    """

    def __init__(
        self, variables: Sequence[Any], shapes: Sequence[tuple[int | None, ...]], first: int
    ) -> None:
        self.variables = list(variables)
        self._shapes = list(shapes)
        self._first = first

    @property
    def end(self) -> int:
        """Where the dimensions of the next variables begin."""
        return self._first + sum(len(shape) for shape in self._shapes)

    def split(self, flat: Tensor, dimensions: Tensor) -> list[Tensor]:
        """The vector as one tensor per variable; `dimensions`: the sizes of all variables."""
        shapes, position = [], self._first
        for shape in self._shapes:
            is_open = None in shape
            shapes.append(dimensions[position : position + len(shape)] if is_open else shape)
            position += len(shape)
        return _split(flat, shapes, self._shapes)


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """All numbers of these tensors as one vector."""
    if not tensors:
        return ops.zeros((0,), "float32")
    return ops.concatenate([ops.reshape(tensor, (-1,)) for tensor in tensors])


def flat_values(variables: Sequence[Any]) -> Tensor:
    """The values of these variables as one vector."""
    return flatten([variable.value for variable in variables])


def _split(flat: Tensor, shapes: Sequence[Any], static: Sequence[tuple[int | None, ...]]) -> list[Tensor]:
    if not shapes:
        return []
    if keras.backend.backend() != "tensorflow":
        ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        parts = ops.split(flat, [int(end) for end in ends])
        return [ops.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
    import tensorflow as tf

    sizes = [math.prod(s) if isinstance(s, tuple) else tf.reduce_prod(s) for s in shapes]
    tensors = [
        tf.reshape(part, shape)
        for part, shape in zip(tf.split(flat, tf.stack(sizes), num=len(sizes)), shapes, strict=True)
    ]
    for tensor, shape in zip(tensors, static, strict=True):
        tensor.set_shape(shape)
    return tensors


class OpenShapeScope(keras.StatelessScope):  # type: ignore[misc]
    """A `keras.StatelessScope` whose values may have open dimensions, which Keras' constructor refuses."""

    def __init__(self, mapping: Sequence[tuple[Any, Tensor]]) -> None:
        super().__init__()
        self.state_mapping.update({id(variable): value for variable, value in mapping})


def quantizer_seeds(model: keras.Model) -> list[Any]:
    """The random states of a plain model's quantizers."""
    return [
        quantizer.seed_generator.state
        for layer in model.layers
        if hasattr(layer, "slot_owners")
        for owner in layer.slot_owners()
        for _, quantizer in owner._slot_quantizers
        if quantizer.seed_generator is not None
    ]


def moved_on(state: Tensor, steps: int) -> Tensor:
    """A random state where no earlier step has drawn; a count of steps, moved on by as many."""
    return state + ops.convert_to_tensor(
        [0, _DRAWS_PER_STEP * steps] if len(state.shape) else steps, state.dtype
    )


def assign(variables: Sequence[Any], flat: Tensor) -> None:
    """Write a flat vector into variables."""
    numbers = ops.convert_to_numpy(flat)
    start = 0
    for variable in variables:
        size = math.prod(map(int, variable.shape))
        variable.assign(numbers[start : start + size].reshape(tuple(variable.shape)))
        start += size


def unpruned(model: keras.Model) -> NDArray[np.float32]:
    """1 for every trainable number of a model, 0 for those of kernels (two axes or more) that are 0."""
    parts = [
        np.ravel(ops.convert_to_numpy(variable.value) != 0).astype(np.float32)
        if len(variable.shape) > 1
        else np.ones(math.prod(map(int, variable.shape)), np.float32)
        for variable in model_variables(model).trainable
    ]
    return np.concatenate(parts) if parts else np.ones(0, np.float32)


def per_weight(model: keras.Model, by_layer: Mapping[str, float]) -> NDArray[np.float32]:
    """The number of its layer for every trainable number of a model, 1 for layers that are not named."""
    by_path = {
        variable.path: number
        for name, number in by_layer.items()
        for variable in model.get_layer(name).trainable_variables
    }
    parts = [
        np.full(int(np.prod(variable.shape)), by_path.get(variable.path, 1.0), np.float32)
        for variable in model_variables(model).trainable
    ]
    return np.concatenate(parts)
