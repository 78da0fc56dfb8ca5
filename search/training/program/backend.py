"""What a program needs of its backend: gradients, and functions that are traced once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

Tensor = Any


def some_of(x: Tensor, start: Tensor, size: Any) -> Tensor:
    """Up to `size` elements from `start`."""
    return x[start : start + size]


def taken(x: Tensor, places: Tensor) -> Tensor:
    """The elements at these places, which are not negative."""
    if keras.backend.backend() == "tensorflow":  # where Keras' own looks for negative places
        import tensorflow as tf

        return tf.gather(x, places)
    return keras.ops.take(x, places, 0)


def with_gradients(loss_of: Callable[..., Any], parts: Sequence[Tensor]) -> tuple[Tensor, Any, list[Tensor]]:
    """Loss, what came with it, and its gradient with respect to each part."""
    if keras.backend.backend() == "jax":
        import jax

        (loss, rest), gradients = jax.value_and_grad(loss_of, has_aux=True)(list(parts))
        return loss, rest, gradients
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(parts)
        loss, rest = loss_of(parts)
    return loss, rest, tape.gradient(loss, parts, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, traced at its first call for all sizes of its arguments, which are always of the same structure."""
    traced: list[Any] = []

    def call(*arguments: Any) -> Any:
        if not traced:
            traced.append(_traced(function, arguments))
        return traced[0](arguments)

    return call


def _traced(function: Callable[..., Any], arguments: Any) -> Callable[[Any], Any]:
    """What takes all arguments at once: of many tensors `tf.function` looks a millisecond at their names and kinds."""
    import tensorflow as tf

    _as_written()

    kinds = tf.nest.map_structure(_open, arguments)

    def of_tensors(*tensors: Tensor) -> Any:
        return function(*tf.nest.pack_sequence_as(kinds, tensors))

    wrapped = tf.compat.v1.wrap_function(of_tensors, tf.nest.flatten(kinds))

    def call(arguments: Any) -> Any:
        return wrapped(*(tf.convert_to_tensor(each) for each in tf.nest.flatten(arguments)))

    return call


@functools.cache
def _as_written() -> None:
    """Have TensorFlow compute what is written.

    What its graph optimizer fuses and reorders makes a program differ from the plain model in last digits, no step
    was measurably faster for it, and it takes a quarter of the time until a program's first step.
    """
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def _open(argument: Any) -> Any:
    import tensorflow as tf

    tensor = tf.convert_to_tensor(argument)
    # One axis at most varies: that of examples, or that of numbers in a vector.
    shape = [None, *tensor.shape[1:]] if tensor.shape.rank else []
    return tf.TensorSpec(shape, tensor.dtype)
