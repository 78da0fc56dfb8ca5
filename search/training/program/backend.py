"""What a program needs of its backend: gradients, and functions that are traced once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

import keras
from numpy.typing import NDArray

from search.data.inputs import ALIGNMENT

Tensor = Any

#: More streams of random numbers than a step has.
_STREAMS: Final = 16


def value_and_gradients(
    loss_of: Callable[..., Any], parts: Sequence[Tensor]
) -> tuple[Tensor, Any, list[Tensor]]:
    """(loss, auxiliary value, gradient of the loss for each part); `loss_of(parts)` returns the first two."""
    if keras.backend.backend() == "jax":
        import jax

        (loss, auxiliary), gradients = jax.value_and_grad(loss_of, has_aux=True)(list(parts))
        return loss, auxiliary, gradients
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(parts)
        loss, auxiliary = loss_of(parts)
    return loss, auxiliary, tape.gradient(loss, parts, unconnected_gradients=tf.UnconnectedGradients.ZERO)


class RandomNumbers:
    """Random numbers that depend on a seed, the number of a step and a stream alone, and so can be drawn again."""

    def __init__(self, seed: Tensor, step: Tensor) -> None:
        self._seed, self._step = seed, step

    def uniform(self, stream: int, shape: Any) -> Tensor:
        """From 0 to 1."""
        if keras.backend.backend() == "jax":
            import jax

            return jax.random.uniform(self._key(stream), shape)
        import tensorflow as tf

        return tf.random.stateless_uniform(shape, self._pair(stream))

    def normal(self, stream: int, shape: Any) -> Tensor:
        """With mean 0 and deviation 1."""
        if keras.backend.backend() == "jax":
            import jax

            return jax.random.normal(self._key(stream), shape)
        import tensorflow as tf

        return tf.random.stateless_normal(shape, self._pair(stream))

    def gamma(self, stream: int, alpha: float, shape: Any) -> Tensor:
        """Of the gamma distribution of this shape."""
        if keras.backend.backend() == "jax":
            import jax

            return jax.random.gamma(self._key(stream), alpha, shape)
        import tensorflow as tf

        return tf.random.stateless_gamma(shape, self._pair(stream), alpha)

    def _key(self, stream: int) -> Tensor:
        import jax

        key = jax.random.fold_in(jax.random.key(self._seed), self._step)
        return jax.random.fold_in(key, stream)

    def _pair(self, stream: int) -> Tensor:
        """A seed of TensorFlow: steps never reach the numbers of another stream."""
        import tensorflow as tf

        return tf.stack([self._seed, self._step * _STREAMS + stream])


def tensor_of(array: NDArray[Any]) -> Tensor:
    """The numbers of an array that nobody changes any more: in its own memory where the backend can read them there.

    A copy of every block of a large data set takes as long as reading it.
    """
    if keras.backend.backend() != "tensorflow" or not _is_readable_in_place(array):
        return keras.ops.convert_to_tensor(array)
    import tensorflow as tf

    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def _is_readable_in_place(array: NDArray[Any]) -> bool:
    """Whether TensorFlow takes the memory of an array as it is: on the processor, whole and aligned."""
    import tensorflow as tf

    plain = array.flags.c_contiguous and array.flags.writeable and array.size > 0
    return plain and array.ctypes.data % ALIGNMENT == 0 and not tf.config.list_logical_devices("GPU")


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, traced at its first call for all sizes of its arguments, which must keep their structure."""
    traced: list[Any] = []

    def call(*arguments: Any) -> Any:
        if not traced:
            traced.append(_traced(function, arguments))
        return traced[0](arguments)

    return call


def jitted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled by the backend that runs."""
    if keras.backend.backend() == "jax":
        import jax

        compiled_function: Callable[..., Any] = jax.jit(function)
        return compiled_function
    return compiled(function)


def _traced(function: Callable[..., Any], arguments: Any) -> Callable[[Any], Any]:
    """A function of the tuple of all arguments: `tf.function` takes a millisecond to check many tensors."""
    import tensorflow as tf

    _disable_graph_optimizer()

    signature = tf.nest.map_structure(_signature, arguments)

    def of_tensors(*tensors: Tensor) -> Any:
        return function(*tf.nest.pack_sequence_as(signature, tensors))

    wrapped = tf.compat.v1.wrap_function(of_tensors, tf.nest.flatten(signature))

    def call(arguments: Any) -> Any:
        return wrapped(*map(tf.convert_to_tensor, tf.nest.flatten(arguments)))

    return call


@functools.cache
def _disable_graph_optimizer() -> None:
    """Have TensorFlow compute the graph as it was traced.

    What its graph optimizer fuses and reorders makes a program differ from the plain model in last digits, no step
    was measurably faster for it, and it takes a quarter of the time until a program's first step.
    """
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def _signature(argument: Any) -> Any:
    import tensorflow as tf

    tensor = tf.convert_to_tensor(argument)
    # At most one axis varies: that of examples, or that of the numbers in a vector.
    shape = [None, *tensor.shape[1:]] if tensor.shape.rank else []
    return tf.TensorSpec(shape, tensor.dtype)
