"""Recurrent layers of Keras as operations on integers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from quantization.graph import Call
from quantization.integer import operations
from quantization.integer.activations import NotInIntegers, integer_quantizer
from quantization.integer.functions import is_rounded, slot_function
from quantization.integer.layers import Builder, alone, class_of, specs_of, weights_of
from quantization.integer.network import IntegerOperation
from quantization.integer.operations import Product
from quantization.integer.recurrence import MERGES, BothWays, Cell, Recurrence
from quantization.integer.tensor import IntegerTensor, dyadic

#: Class -> its gates, in the order of Keras' kernels.
_GATES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"SimpleRNN": ("h",), "LSTM": ("i", "f", "c", "o"), "GRU": ("z", "r", "h")}
)


def _recurrent(call: Call) -> tuple[IntegerOperation, ...]:
    _check(call, call.layer)
    return (_recurrence(call.layer),)


def _both_ways(call: Call) -> tuple[IntegerOperation, ...]:
    layer = call.layer
    for way in layer.slot_owners():
        _check(call, way)
    if layer.merge_mode not in MERGES:
        raise NotInIntegers(layer.name, f"merge_mode={layer.merge_mode!r}; use one of {', '.join(MERGES)}")
    forward, backward = map(_recurrence, layer.slot_owners())
    return (BothWays(forward, backward, layer.merge_mode),)


def _recurrence(layer: Any) -> Recurrence:
    kind = class_of(layer)
    gates, units = _GATES[kind], int(layer.units)
    kernel, inner = weights_of(layer, "kernel"), weights_of(layer, "recurrent_kernel")
    biases = _biases(layer, kind)
    slots = [slot for slot in ("activation", "recurrent_activation") if hasattr(layer, slot)]
    state = specs_of(layer).get("state")
    cell = Cell(
        kind,
        {name: _product(kernel, biases[0], index, units) for index, name in enumerate(gates)},
        {name: _product(inner, biases[1], index, units) for index, name in enumerate(gates)},
        {slot: slot_function(layer, slot) for slot in slots},
        () if state is None else (alone(integer_quantizer(state, layer.name)),),
        bool(getattr(layer, "reset_after", True)),
    )
    rounded = any(is_rounded(layer, slot) for slot in slots)
    return Recurrence(cell, units, bool(layer.return_sequences), bool(layer.go_backwards), rounded)


def _check(call: Call, layer: Any) -> None:
    """NotInIntegers for a call of a recurrent layer, the one of a direction, that integers do not run."""
    name = call.layer.name
    for option in ("return_state", "stateful"):
        if getattr(layer, option, False):
            raise NotInIntegers(name, f"{option}=True; use {option}=False")
    if call.input_shape[1] is None:
        raise NotInIntegers(name, "the length of its series must be known")
    if class_of(layer) != "SimpleRNN" and specs_of(layer).get("state") is None:
        raise NotInIntegers(
            name, "its state has no quantizer, so it would need more bits with every step: quantize `state`"
        )
    if len(call.sources) > 1:
        raise NotInIntegers(name, "initial states; leave them out")


Weight = tuple[Any, Any]


def _biases(layer: Any, kind: str) -> tuple[Weight | None, Weight | None]:
    """The bias of what a step reads, and that of the state."""
    if not layer.use_bias:
        return None, None
    codes, scale = weights_of(layer, "bias")
    if kind != "GRU" or not layer.reset_after:
        return (codes, np.broadcast_to(scale, codes.shape)), None
    scales = np.broadcast_to(scale, codes.shape)
    return (codes[0], scales[0]), (codes[1], scales[1])


def _product(weight: Weight, bias: Weight | None, gate: int, units: int) -> Product:
    """The product of one gate."""
    own = slice(gate * units, (gate + 1) * units)
    codes, scale = weight
    matrix = dyadic(codes[:, own], np.broadcast_to(scale, codes.shape)[:, own])
    offset: IntegerTensor | None = None if bias is None else dyadic(bias[0][own], bias[1][own])
    return Product(matrix.codes, matrix.exponent, offset, operations.flat_patches)


#: Class of the Keras layer -> the operations that compute it, functions and their quantizers among them.
LOOPS: Final[Mapping[str, Builder]] = MappingProxyType(
    {**dict.fromkeys(_GATES, _recurrent), "Bidirectional": _both_ways}
)
