"""One of several functions, chosen by a number while a program runs, in TensorFlow.

`tf.switch_case` writes every function anew wherever one is chosen, and the graph optimizer then works through all of
them. Here a function is traced once for all places and shapes, and a place is one operation that calls it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

Tensor = Any
Traced = Any  #: a concrete function of TensorFlow


def traced(function: Callable[..., Any], *kinds: tuple[list[int | None], str]) -> Traced:
    """The function as TensorFlow calls it, of tensors of these shapes (None: of any size) and types."""
    import tensorflow as tf

    signature = [tf.TensorSpec(shape, dtype) for shape, dtype in kinds]
    # A partial: by its code TensorFlow would take all of these for one function that is traced too often.
    partial = functools.partial(function)
    with tf.Graph().as_default():  # of no place in particular
        return tf.function(partial, input_signature=signature, autograph=False).get_concrete_function()


def one_of(choice: Tensor, functions: Sequence[Traced], *operands: Tensor) -> Any:
    """What the chosen function gives. All of them take these operands and give tensors of the same kinds."""
    if all(each is functions[0] for each in functions):
        return functions[0](*operands)
    import tensorflow as tf

    outputs = functions[0].outputs
    found = tf.raw_ops.StatelessCase(
        branch_index=choice,
        input=list(operands),
        Tout=[each.dtype for each in outputs],
        branches=list(functions),
        output_shapes=[each.shape for each in outputs],
    )
    return found if len(found) > 1 else found[0]
