"""Keras model -> `IntegerNetwork`: each layer's weights as integers, or an error that names the layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import keras

from costmodel.layer_classes import TRAINING_ONLY
from quantization.graph import Call, ModelGraph, NoGraph
from quantization.integer.activations import NotInIntegers, integer_quantizer
from quantization.integer.functions import activation, is_rounded
from quantization.integer.layers import LAYERS as PLAIN_LAYERS
from quantization.integer.layers import Builder, class_of, specs_of
from quantization.integer.network import IntegerLayer, IntegerNetwork
from quantization.integer.recurrent import LOOPS
from quantization.integer.transposed import TRANSPOSED
from quantization.specs.parse import as_spec

#: Class of the Keras layer -> the operations that compute it.
LAYERS: Final[Mapping[str, Builder]] = MappingProxyType({**PLAIN_LAYERS, **TRANSPOSED, **LOOPS})
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
    is_exact = not any(getattr(operation, "rounds", False) for operation in computed)
    if class_of(layer) in LOOPS:  # their functions are inside
        return IntegerLayer(call.name, call.sources, computed, is_exact)
    following = activation(layer, is_output=is_output)
    return IntegerLayer(call.name, call.sources, (*computed, *following), is_exact and not is_rounded(layer))
