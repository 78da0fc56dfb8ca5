"""Keras model -> `IntegerNetwork`: each layer's weights as integers, or an error that names the layer."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import keras

from costmodel.layer_classes import TRAINING_ONLY
from quantization.graph import Call, ModelGraph, NoGraph
from quantization.integer.activations import (
    Bent,
    Function,
    NotInIntegers,
    identity,
    integer_quantizer,
    rounds,
)
from quantization.integer.layers import LAYERS, alone, class_of, specs_of
from quantization.integer.network import IntegerLayer, IntegerNetwork, IntegerOperation
from quantization.integer.steps import NotSteps, steps_behind
from quantization.quantizers import build_quantizer
from quantization.specs.parse import as_spec

#: Classes that leave the order of an output's numbers as it is.
_SHAPE_ONLY: Final = frozenset({"Flatten", "Reshape"}) | TRAINING_ONLY


def integer_network(model: keras.Model, input_quantizer: Any = None) -> IntegerNetwork:
    """The network of a built, quantized model with one input and one output, in integers only.

    `input_quantizer` (a specification or its expression) makes integers of the inputs; without one the model's input
    must have a quantizer, or its first layer be a quantized Activation. A last softmax is left out: the output is the
    logits. A layer that the model calls several times runs at each call. Raises `NotInIntegers`, naming the layer and
    why: weights without a quantizer, activation quantizers whose levels depend on the data, functions other than ReLU,
    layers without an integer form, operators that are not layers.
    """
    try:
        graph = ModelGraph(model)
    except NoGraph as error:
        raise NotInIntegers(model.name, str(error)) from error
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise NotInIntegers(model.name, "it must have one input and one output")
    [start], [output] = graph.inputs, graph.outputs
    spec = _input_spec(graph, start, input_quantizer)
    ends = _ends(graph, output)
    computed = tuple(_integer_layer(call, call.name in ends) for call in graph if not call.is_input)
    return IntegerNetwork(start, spec, computed, output)


def _ends(graph: ModelGraph, output: str) -> frozenset[str]:
    """The output and what only changes shape before it: where a softmax does not change the decision."""
    ends = {output}
    last = graph.call(output)
    while class_of(last.layer) in _SHAPE_ONLY and not graph.call(last.sources[0]).is_input:
        last = graph.call(last.sources[0])
        shape = tuple(last.outputs[0].shape[1:])
        alone_in_shape = None not in shape and math.prod(shape) == shape[-1]
        if len(graph.readers(last.name)) > 1 or not alone_in_shape:
            break
        ends.add(last.name)
    return frozenset(ends)


def _input_spec(graph: ModelGraph, start: str, quantizer: Any) -> Any:
    if quantizer is not None:
        spec = as_spec(quantizer)
        integer_quantizer(spec, start)
        return spec
    first = graph.readers(start)
    quantizing = [call.layer for call in first if class_of(call.layer) in ("Activation", "Input")]
    specs = [specs_of(layer).get("activation") for layer in quantizing]
    if len(specs) != len(first) or None in specs or len(set(specs)) != 1:
        raise NotInIntegers(
            start, "its floats need a quantizer: give input_quantizer, or begin with a quantized Activation"
        )
    return specs[0]


def _integer_layer(call: Call, is_output: bool) -> IntegerLayer:
    layer = call.layer
    make = LAYERS.get(class_of(layer)) if isinstance(layer, keras.layers.Layer) else None
    if make is None:
        raise NotInIntegers(
            layer.name, f"{class_of(layer)} has no integer form; supported are the layers {', '.join(LAYERS)}"
        )
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        raise NotInIntegers(layer.name, "channels_first; use channels_last")
    for slot, quantizer in getattr(layer, "_slot_quantizers", ()):
        if float(keras.ops.convert_to_numpy(quantizer.noise_factor)) != 1.0:
            raise NotInIntegers(layer.name, f"the quantizer of {slot} lets part of the float values pass")
    computed = make(call)
    spec = specs_of(layer).get("activation")
    is_exact = not any(getattr(operation, "rounds", False) for operation in computed)
    is_exact = is_exact and (spec is None or not rounds(spec)) and not _is_smooth(layer, spec)
    return IntegerLayer(call.name, call.sources, (*computed, *_activation(layer, is_output)), is_exact)


def _is_smooth(layer: Any, spec: Any) -> bool:
    """Whether a layer has a function whose last bit depends on Keras' backend, and a grid behind it."""
    name, _ = _float_function(layer)
    return name not in _STRAIGHT and spec is not None and not build_quantizer(spec).is_activation


def _activation(layer: Any, is_output: bool) -> tuple[IntegerOperation, ...]:
    """The function of a layer and what quantizes it."""
    spec = specs_of(layer).get("activation")
    name, function = _float_function(layer)
    if spec is not None and build_quantizer(spec).is_activation:
        return (alone(integer_quantizer(spec, layer.name)),)
    if name in _ENDS and is_output and spec is None:
        return ()
    if name in _STRAIGHT:
        applied = [alone(_STRAIGHT[name])] if name != "linear" else []
        return (*applied, *([] if spec is None else [alone(integer_quantizer(spec, layer.name))]))
    if spec is None:
        hint = "; only the output's softmax or sigmoid is left out" if name in _ENDS else ""
        supported = ", ".join(_STRAIGHT)
        reason = f"activation {name!r}; supported without a quantizer are {supported}{hint}"
        raise NotInIntegers(layer.name, reason)
    return (alone(_stepped_function(layer, name, function, spec)),)


def _float_function(layer: Any) -> tuple[str, Any]:
    """The function of a layer, by name and as Keras computes it."""
    if class_of(layer) == "Softmax":
        return "softmax", None
    if class_of(layer) == "ELU":
        return "elu", functools.partial(keras.activations.elu, alpha=layer.alpha)
    function = getattr(layer, "activation", None)
    return "linear" if function is None else getattr(function, "__name__", str(function)), function


def _stepped_function(layer: Any, name: str, function: Any, spec: Any) -> Function:
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


#: Functions that are straight above and below a bend: exact without a quantizer.
_STRAIGHT: Final[Mapping[str, Function]] = MappingProxyType(
    {"linear": identity, "relu": Bent(), "relu6": Bent(top=6.0), "leaky_relu": Bent(slope=0.2)}
)
#: Functions that change no decision at the output, where they are left out.
_ENDS: Final = frozenset({"softmax", "sigmoid"})
