"""Layers as ONNX nodes: the table of what writes a class, and the function and quantizer of its output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import keras

from costmodel.layer_classes import INPUT, TRAINING_ONLY
from quantization.export.writers.onnx_graph import functions, moves, products
from quantization.export.writers.onnx_graph.functions import NotInOnnx
from quantization.export.writers.onnx_graph.graph import OnnxGraph, Tensor
from quantization.export.writers.onnx_graph.moves import Builder
from quantization.export.writers.onnx_graph.products import weight_of
from quantization.export.writers.reading import class_of, function_name, is_replaced, passed_float, specs_of
from quantization.graph import Call


def written(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor], *, linear: bool = False) -> Tensor:
    """The nodes of a call of a layer, its quantizer and, unless `linear`, its function. Raises `NotInOnnx`."""
    make = LAYERS.get(class_of(call.layer)) if isinstance(call.layer, keras.layers.Layer) else None
    if make is None:
        raise NotInOnnx(
            call.name, f"{class_of(call.layer)} has no ONNX form; supported are {', '.join(LAYERS)}"
        )
    if getattr(call.layer, "data_format", "channels_last") == "channels_first":
        raise NotInOnnx(call.name, "channels_first; use channels_last")
    slot = passed_float(call.layer)
    if slot is not None:
        raise NotInOnnx(call.name, f"the quantizer of {slot} lets part of the float values pass")
    tensor = make(graph, call, inputs)
    return tensor if linear else _activated(graph, call, tensor)


def _activated(graph: OnnxGraph, call: Call, tensor: Tensor) -> Tensor:
    """A layer's function and the quantizer of its output."""
    layer = call.layer
    spec = specs_of(layer).get("activation")
    if not is_replaced(layer):
        tensor = _function(graph, call, tensor)
    if spec is None:
        return tensor
    return replace(tensor, name=functions.quantized(graph, call.name, tensor.name, spec))


def _function(graph: OnnxGraph, call: Call, tensor: Tensor) -> Tensor:
    own = _FUNCTION_LAYERS.get(class_of(call.layer))
    if own is not None:
        return own(graph, call, tensor)
    label = function_name(call)
    write = functions.FUNCTIONS.get(label)
    if write is None:
        listed = ", ".join(functions.FUNCTIONS)
        raise NotInOnnx(
            call.name, f"activation {label!r}; supported are {listed}, and quantizers of activations"
        )
    if label.endswith("softmax"):
        tensor = graph.laid(tensor, channels_first=False)
    return replace(tensor, name=write(graph, call.name, tensor.name))


# ---- a function of every number --------------------------------------------------------------------------------------


def _unchanged(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    return inputs[0]


def _relu_layer(graph: OnnxGraph, call: Call, x: Tensor) -> Tensor:
    layer = call.layer
    write = functions.rectifier(float(layer.negative_slope), layer.max_value, float(layer.threshold))
    return replace(x, name=write(graph, call.name, x.name))


def _leaky_relu(graph: OnnxGraph, call: Call, x: Tensor) -> Tensor:
    write = functions.rectifier(float(call.layer.negative_slope))
    return replace(x, name=write(graph, call.name, x.name))


def _elu(graph: OnnxGraph, call: Call, x: Tensor) -> Tensor:
    return replace(x, name=graph.add("Elu", call.name, [x.name], alpha=float(call.layer.alpha)))


def _prelu(graph: OnnxGraph, call: Call, x: Tensor) -> Tensor:
    plain = graph.laid(x, channels_first=False)
    return replace(plain, name=graph.add("PRelu", call.name, [plain.name, weight_of(graph, call, "alpha")]))


def _softmax(graph: OnnxGraph, call: Call, x: Tensor) -> Tensor:
    plain = graph.laid(x, channels_first=False)
    axis = call.layer.axis
    if not isinstance(axis, int):
        raise NotInOnnx(call.name, f"axis={axis}; a softmax along one axis is supported")
    return replace(plain, name=graph.add("Softmax", call.name, [plain.name], axis=axis))


_FUNCTION_LAYERS: Final[Mapping[str, Callable[[OnnxGraph, Call, Tensor], Tensor]]] = MappingProxyType(
    {"ReLU": _relu_layer, "LeakyReLU": _leaky_relu, "ELU": _elu, "PReLU": _prelu, "Softmax": _softmax}
)


def _of_ranks(name: str, builder: Builder, ranks: Sequence[int] = (1, 2, 3)) -> dict[str, Builder]:
    return {name.format(rank): builder for rank in ranks}


#: Class of the Keras layer -> what writes it.
LAYERS: Final[Mapping[str, Builder]] = MappingProxyType(
    dict.fromkeys(sorted(TRAINING_ONLY), _unchanged)
    | _of_ranks("Conv{}D", products.convolution)
    | _of_ranks("DepthwiseConv{}D", products.depthwise, (1, 2))
    | _of_ranks("SeparableConv{}D", products.separable, (1, 2))
    | _of_ranks("MaxPooling{}D", products.pooling("MaxPool"))
    | _of_ranks("AveragePooling{}D", products.pooling("AveragePool"))
    | _of_ranks("GlobalMaxPooling{}D", products.global_pooling("GlobalMaxPool"))
    | _of_ranks("GlobalAveragePooling{}D", products.global_pooling("GlobalAveragePool"))
    | _of_ranks("ZeroPadding{}D", moves.zero_padding)
    | _of_ranks("Cropping{}D", moves.cropping)
    | _of_ranks("UpSampling{}D", moves.up_sampling)
    | dict.fromkeys(("Flatten", "Reshape"), moves.reshape)
    | dict.fromkeys(("Activation", INPUT, *_FUNCTION_LAYERS), _unchanged)
    | {
        "Add": moves.merge("Add"),
        "Average": moves.average,
        "BatchNormalization": products.normalization,
        "Concatenate": moves.concatenate,
        "Dense": products.dense,
        "Maximum": moves.merge("Max"),
        "Minimum": moves.merge("Min"),
        "Multiply": moves.merge("Mul"),
        "Permute": moves.permutation,
        "RepeatVector": moves.repetition,
        "Subtract": moves.merge("Sub"),
    }
)
