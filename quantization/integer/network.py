"""A quantized network that runs in integers only, as a chip would compute it. numpy only, once it is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from quantization.integer.activations import encode_floats
from quantization.integer.tensor import IntegerOverflow, Integers, IntegerTensor, measuring, peak

#: Bits of a float32's significand: sums that fit are the same in any order of additions.
FLOAT_BITS: Final = 24

IntegerOperation = Callable[[Sequence[IntegerTensor]], IntegerTensor]


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """One call of a layer: its name ("#2" behind it from the second call on), what it reads, its operations in order.

    `exact`: whether the layer's own arithmetic is integer; else its constants are rounded (batch normalization
    that is not quantized, averages over a number of elements that is not a power of two).
    """

    name: str
    inputs: tuple[str, ...]
    operations: tuple[IntegerOperation, ...]
    exact: bool = True

    def __call__(self, tensors: Sequence[IntegerTensor]) -> IntegerTensor:
        """The layer's output."""
        try:
            out = self.operations[0](tensors)
            for operation in self.operations[1:]:
                out = operation([out])
        except IntegerOverflow as error:
            raise IntegerOverflow(f"layer {self.name!r}: {error}") from None
        return out


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Layers in order, from the quantizer of the inputs to the logits; every tensor is int64 codes and exponents."""

    input_name: str
    input_quantizer: Any
    layers: tuple[IntegerLayer, ...]
    output_name: str

    @property
    def inexact_layers(self) -> tuple[str, ...]:
        """Layers whose constants are rounded. Without any, and where no layer needs more than `FLOAT_BITS` bits
        (`accumulator_bits`), every activation equals the Keras model's bit for bit.
        """
        return tuple(layer.name for layer in self.layers if not layer.exact)

    def encode(self, x: npt.ArrayLike) -> IntegerTensor:
        """Float inputs (batch, ...) as codes: after this there are no floats."""
        return encode_floats(self.input_quantizer, x, self.input_name)

    def trace(self, x: npt.ArrayLike) -> dict[str, IntegerTensor]:
        """The output of every layer by name, the encoded inputs first.

        Raises `IntegerOverflow`, naming the layer, where 63 bits do not hold a sum.
        """
        tensors = {self.input_name: self.encode(x)}
        for layer in self.layers:
            tensors[layer.name] = layer([tensors[name] for name in layer.inputs])
        return tensors

    def accumulator_bits(self, x: npt.ArrayLike) -> dict[str, int]:
        """Layer -> width without the sign that holds any of its sums and products over these inputs, in any order.

        A float32 sum is exact up to `FLOAT_BITS`; beyond, a Keras model rounds where this network does not.
        """
        tensors, bits = {self.input_name: self.encode(x)}, {}
        for layer in self.layers:
            with measuring() as largest:
                tensors[layer.name] = layer([tensors[name] for name in layer.inputs])
            bits[layer.name] = max(largest[0].bit_length(), peak(tensors[layer.name].codes).bit_length())
        return bits

    def logits(self, x: npt.ArrayLike) -> IntegerTensor:
        """The output before any softmax, on one grid."""
        return self.trace(x)[self.output_name].uniform()

    def classes(self, x: npt.ArrayLike) -> Integers:
        """The class of the largest logit of every input; the first of equals."""
        return np.asarray(self.logits(x).codes.argmax(axis=-1), np.int64)
