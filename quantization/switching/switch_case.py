"""One of several functions, chosen by an index while a program runs, in TensorFlow.

`tf.switch_case` traces every function anew wherever one is chosen. Here a function is traced once for all uses and
shapes, and each use is one operation that calls it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Tensor = Any
Traced = Any  #: a concrete function of TensorFlow


class TensorKind(NamedTuple):
    """Shape (None: of any size) and data type of a tensor."""

    shape: list[int | None]
    dtype: str


def traced(function: Callable[..., Any], *kinds: TensorKind) -> Traced:
    """The function as TensorFlow calls it, for arguments of these kinds."""
    import tensorflow as tf

    signature = [tf.TensorSpec(kind.shape, kind.dtype) for kind in kinds]
    # A partial: without it, TensorFlow would warn that one function is traced too often, as all share their code.
    partial = functools.partial(function)
    with tf.Graph().as_default():  # not in the graph of whoever calls
        return tf.function(partial, input_signature=signature, autograph=False).get_concrete_function()


def switch_case(choice: Tensor, functions: Sequence[Traced], *operands: Tensor) -> Any:
    """What the chosen function returns. All of them take these operands and return tensors of the same kinds."""
    first = functions[0]
    if all(function is first for function in functions):
        return first(*operands)
    import tensorflow as tf

    results = tf.raw_ops.StatelessCase(
        branch_index=choice,
        input=list(operands),
        Tout=[output.dtype for output in first.outputs],
        branches=list(functions),
        output_shapes=[output.shape for output in first.outputs],
    )
    return results if len(results) > 1 else results[0]
