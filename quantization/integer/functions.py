"""The function of a layer and the quantizer behind it, as a function on integers."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import keras

from quantization.integer.activations import (
    Bent,
    Function,
    NotInIntegers,
    identity,
    integer_quantizer,
    rounds,
)
from quantization.integer.layers import alone, class_of, specs_of
from quantization.integer.network import IntegerOperation
from quantization.integer.steps import NotSteps, steps_behind
from quantization.quantizers import build_quantizer

#: Functions that are straight above and below a bend: exact without a quantizer.
_STRAIGHT: Final[Mapping[str, Function]] = MappingProxyType(
    {"linear": identity, "relu": Bent(), "relu6": Bent(top=6.0), "leaky_relu": Bent(slope=0.2)}
)
#: Functions that change no decision at the output, where they are left out.
_ENDS: Final = frozenset({"softmax", "sigmoid"})


def activation(layer: Any, *, is_output: bool) -> tuple[IntegerOperation, ...]:
    """The function of a layer and what quantizes it. Raises `NotInIntegers`."""
    spec = specs_of(layer).get("activation")
    name, function = _float_function(layer)
    if name in _ENDS and is_output and spec is None:
        return ()
    return tuple(alone(part) for part in _parts(layer, name, function, spec))


def slot_function(layer: Any, slot: str) -> tuple[IntegerOperation, ...]:
    """The function in a slot of a recurrent layer and what quantizes it, such as `recurrent_activation`."""
    function = getattr(layer, slot)
    name = getattr(function, "__name__", str(function))
    return tuple(alone(part) for part in _parts(layer, name, function, specs_of(layer).get(slot)))


def is_rounded(layer: Any, slot: str = "activation") -> bool:
    """Whether the last bit of a function depends on Keras' backend."""
    spec = specs_of(layer).get(slot)
    if spec is None:
        return False
    name = _float_function(layer)[0] if slot == "activation" else getattr(layer, slot).__name__
    return rounds(spec) or (name not in _STRAIGHT and not build_quantizer(spec).is_activation)


def _parts(layer: Any, name: str, function: Any, spec: Any) -> tuple[Function, ...]:
    if spec is not None and build_quantizer(spec).is_activation:
        return (integer_quantizer(spec, layer.name),)
    if name in _STRAIGHT:
        applied = (_STRAIGHT[name],) if name != "linear" else ()
        return (*applied, *(() if spec is None else (integer_quantizer(spec, layer.name),)))
    if spec is None:
        hint = "; only the output's softmax or sigmoid is left out" if name in _ENDS else ""
        supported = ", ".join(_STRAIGHT)
        reason = f"activation {name!r}; supported without a quantizer are {supported}{hint}"
        raise NotInIntegers(layer.name, reason)
    return (_stepped(layer, name, function, spec),)


def _float_function(layer: Any) -> tuple[str, Any]:
    """The function of a layer, by name and as Keras computes it."""
    if class_of(layer) == "Softmax":
        return "softmax", None
    if class_of(layer) == "ELU":
        return "elu", functools.partial(keras.activations.elu, alpha=layer.alpha)
    function = getattr(layer, "activation", None)
    return "linear" if function is None else getattr(function, "__name__", str(function)), function


def _stepped(layer: Any, name: str, function: Any, spec: Any) -> Function:
    """A function and the grid that its values are rounded to, as the steps that both make together."""
    if name == "softmax":
        raise NotInIntegers(
            layer.name, "activation 'softmax' is of all channels; only the output's is left out"
        )
    integer_quantizer(spec, layer.name)  # refuses what depends on the data

    def values(x: Any) -> Any:
        return keras.ops.convert_to_numpy(function(keras.ops.convert_to_tensor(x)))

    try:
        return steps_behind(values, spec)
    except NotSteps as error:
        raise NotInIntegers(layer.name, f"activation {name!r} with {spec}: {error}") from None
