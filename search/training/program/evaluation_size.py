"""How many examples a program evaluates at once."""

from __future__ import annotations

import math
from typing import Final

import keras

from quantization.graph import ModelGraph

#: A program evaluates as many examples at once as make a largest activation of this many numbers, within these bounds:
#: it should fit into the processor's cache.
_EVALUATED_NUMBERS: Final = 2**18
_EVALUATED_EXAMPLES: Final = (1024, 8192)


def examples_at_once(model: keras.Model) -> int:
    """How many examples; sizes that a model leaves open count as 1."""
    tensors = [tensor for call in ModelGraph(model) for tensor in call.outputs]
    largest: int = max(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors)
    least, most = _EVALUATED_EXAMPLES
    return min(max(_EVALUATED_NUMBERS // largest, least), most)
