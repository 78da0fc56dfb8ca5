"""Keras model -> `IntegerNetwork`: each layer's weights as integers, or an error that names the layer."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import keras
import numpy as np

from quantization.integer import operations
from quantization.integer.activations import (
    ACTIVATIONS,
    NotInIntegers,
    identity,
    integer_quantizer,
    relu,
)
from quantization.integer.network import IntegerLayer, IntegerNetwork, IntegerOperation
from quantization.integer.operations import Affine, Average, Largest, Product, Windows
from quantization.integer.tensor import IntegerTensor, dyadic
from quantization.specs.parse import as_spec

_LOWEST: Final = -(1 << 62)
_SHAPE_ONLY: Final = frozenset({"Flatten", "Reshape", "Dropout"})


def integer_network(model: keras.Model, input_quantizer: Any = None) -> IntegerNetwork:
    """The network of a built, quantized model with one input and one output, in integers only.

    `input_quantizer` (a specification or its expression) makes integers of the inputs; without one the model's
    first layer must be a quantized Activation. A last softmax is left out: the output is the logits. Raises
    `NotInIntegers`, naming the layer and why: weights without a quantizer, activation quantizers that are not
    fixed-point, functions other than ReLU, layers without an integer form.
    """
    layers = list(model.layers)
    sources = {layer.name: _sources(layer) for layer in layers}
    inputs = [layer for layer in layers if isinstance(layer, keras.layers.InputLayer)]
    start = inputs[0].name if inputs else "input"
    if len(inputs) > 1 or len(model.outputs) != 1:
        raise NotInIntegers(model.name, "it must have one input and one output")
    body = [layer for layer in layers if not isinstance(layer, keras.layers.InputLayer)]
    if not inputs:
        sources[body[0].name] = (start,)
    output = model.outputs[0]._keras_history.operation.name
    spec = _input_spec(body, sources, start, input_quantizer)
    ends = _ends(body, sources, output)
    integer_layers = tuple(_integer_layer(layer, sources[layer.name], layer.name in ends) for layer in body)
    return IntegerNetwork(start, spec, integer_layers, output)


def _ends(body: Sequence[Any], sources: Mapping[str, tuple[str, ...]], output: str) -> frozenset[str]:
    """The output and what only changes shape before it: where a softmax does not change the decision."""
    by_name = {layer.name: layer for layer in body}
    ends = {output}
    last = by_name[output]
    while _class(last) in _SHAPE_ONLY and sources[last.name][0] in by_name:
        last = by_name[sources[last.name][0]]
        shape = last.output.shape[1:]
        alone = None not in shape and math.prod(shape) == shape[-1]
        if sum(last.name in read for read in sources.values()) > 1 or not alone:
            break
        ends.add(last.name)
    return frozenset(ends)


def _sources(layer: Any) -> tuple[str, ...]:
    """The layers whose outputs a layer reads."""
    if isinstance(layer, keras.layers.InputLayer):
        return ()
    if len(layer._inbound_nodes) > 1:
        raise NotInIntegers(layer.name, "it is called more than once")
    tensors = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
    return tuple(tensor._keras_history.operation.name for tensor in tensors)


def _input_spec(
    body: Sequence[Any], sources: Mapping[str, tuple[str, ...]], start: str, quantizer: Any
) -> Any:
    if quantizer is not None:
        return as_spec(quantizer)
    first = [layer for layer in body if start in sources[layer.name]]
    specs = [_specs(layer).get("activation") for layer in first if _class(layer) == "Activation"]
    if len(specs) != len(first) or None in specs or len(set(specs)) != 1:
        raise NotInIntegers(
            start, "its floats need a quantizer: give input_quantizer, or begin with a quantized Activation"
        )
    return specs[0]


def _integer_layer(layer: Any, inputs: tuple[str, ...], is_output: bool) -> IntegerLayer:
    make = _LAYERS.get(_class(layer))
    if make is None:
        raise NotInIntegers(
            layer.name, f"{_class(layer)} has no integer form; supported are {', '.join(_LAYERS)}"
        )
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        raise NotInIntegers(layer.name, "channels_first; use channels_last")
    for slot, quantizer in getattr(layer, "_slot_quantizers", ()):
        if float(keras.ops.convert_to_numpy(quantizer.noise_factor)) != 1.0:
            raise NotInIntegers(layer.name, f"the quantizer of {slot} lets part of the float values pass")
    computed = make(layer)
    exact = not any(getattr(operation, "rounds", False) for operation in computed)
    return IntegerLayer(layer.name, inputs, (*computed, *_activation(layer, is_output)), exact)


def _class(layer: Any) -> str:
    """The class of the Keras layer it is, or stands for."""
    return str(type(layer).__name__).removeprefix("Quantized")


def _specs(layer: Any) -> dict[str, Any]:
    """Slot -> specification as it runs."""
    return dict(getattr(layer, "effective_specs", {}))


# ---- activations -----------------------------------------------------------------------------------------------


def _activation(layer: Any, is_output: bool) -> tuple[IntegerOperation, ...]:
    """The function of a layer and what quantizes it."""
    function = getattr(layer, "activation", None)
    spec = _specs(layer).get("activation")
    name = "linear" if function is None else getattr(function, "__name__", str(function))
    if spec is not None and spec.kind in ACTIVATIONS:
        return (_alone(integer_quantizer(spec, layer.name)),)
    if name == "softmax" and is_output and spec is None:
        name = "linear"
    if name not in _FUNCTIONS:
        hint = "; only the output's softmax is left out" if name == "softmax" else ""
        raise NotInIntegers(layer.name, f"activation {name!r}; supported are {', '.join(_FUNCTIONS)}{hint}")
    applied = [_alone(_FUNCTIONS[name])] if name != "linear" else []
    if spec is not None:
        applied.append(_alone(integer_quantizer(spec, layer.name)))
    return tuple(applied)


_FUNCTIONS: Final[Mapping[str, Callable[[IntegerTensor], IntegerTensor]]] = MappingProxyType(
    {"linear": identity, "relu": relu}
)


def _alone(function: Callable[[IntegerTensor], IntegerTensor]) -> IntegerOperation:
    return lambda tensors: function(tensors[0])


# ---- layers with weights ---------------------------------------------------------------------------------------


def _weights(layer: Any, slot: str) -> tuple[Any, Any]:
    """Codes and scale of a weight; an error if it has no quantizer."""
    weights = layer.quantized_weights() if hasattr(layer, "quantized_weights") else {}
    if slot not in weights:
        raise NotInIntegers(layer.name, f"its {slot} is not quantized: give the slot a quantizer")
    codes, scale = weights[slot]
    return codes, scale


def _bias(layer: Any) -> IntegerTensor | None:
    if not layer.use_bias and "BatchNormalization" not in _class(layer):
        return None
    return dyadic(*_weights(layer, "bias"))


def _dense(layer: Any) -> tuple[IntegerOperation, ...]:
    weights = dyadic(*_weights(layer, "kernel"))
    return (Product(weights.codes, weights.exponent, _bias(layer), operations.flat_patches),)


def _windows(layer: Any) -> Windows:
    return Windows(
        tuple(layer.kernel_size),
        _per_axis(layer.strides, layer),
        _per_axis(layer.dilation_rate, layer),
        layer.padding,
    )


def _per_axis(value: Any, layer: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,) * len(layer.kernel_size)


def _convolution(layer: Any) -> tuple[IntegerOperation, ...]:
    if layer.groups != 1:
        raise NotInIntegers(layer.name, f"groups={layer.groups}; use 1")
    weights = dyadic(*_weights(layer, "kernel"))
    matrix = weights.codes.reshape(-1, weights.codes.shape[-1])
    return (Product(matrix, weights.exponent, _bias(layer), _windows(layer).columns),)


def _depthwise_product(layer: Any, bias: IntegerTensor | None) -> Product:
    codes, scale = _weights(layer, "kernel")
    *window, channels, multiplier = codes.shape
    flat = (math.prod(window), channels * multiplier)
    weights = dyadic(codes.reshape(flat), np.broadcast_to(scale, codes.shape).reshape(flat))
    kernel = weights.codes.reshape(flat[0], channels, multiplier)
    return Product(kernel, weights.exponent, bias, _windows(layer).of, depthwise=True)


def _depthwise(layer: Any) -> tuple[IntegerOperation, ...]:
    return (_depthwise_product(layer, _bias(layer)),)


def _separable(layer: Any) -> tuple[IntegerOperation, ...]:
    weights = dyadic(*_weights(layer, "pointwise_kernel"))
    matrix = weights.codes.reshape(-1, weights.codes.shape[-1])
    pointwise = Product(matrix, weights.exponent, _bias(layer), operations.flat_patches)
    return _depthwise_product(layer, None), pointwise


# ---- batch normalization ---------------------------------------------------------------------------------------


def _normalization(layer: Any) -> tuple[IntegerOperation, ...]:
    """Exact where inverse, mean and beta are quantized; else float32 constants on the grid of the products."""
    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
    if axis not in (-1, len(layer.input.shape) - 1):
        raise NotInIntegers(layer.name, f"axis={axis}; only the last one is the channels")
    specs = _specs(layer)
    if not specs:
        return (_float_normalization(layer),)
    needed = ["inverse", "mean", *(["beta"] if layer.center else [])]
    for slot in needed:
        if slot not in specs:
            raise NotInIntegers(layer.name, f"quantize {', '.join(needed)}, or none of its slots, or fold it")
    mean = dyadic(*_weights(layer, "mean"))
    negative = mean.with_codes(-mean.codes)
    inverse = dyadic(*_weights(layer, "inverse"))
    beta = dyadic(*_weights(layer, "beta")) if layer.center else None
    steps: list[IntegerOperation] = [
        lambda tensors: tensors[0].plus(negative),
        lambda tensors: tensors[0].times(inverse),
    ]
    if beta is not None:
        steps.append(lambda tensors: tensors[0].plus(beta))
    return tuple(steps)


def _float_normalization(layer: Any) -> IntegerOperation:
    def read(name: str) -> Any:
        return np.asarray(keras.ops.convert_to_numpy(getattr(layer, name)), np.float64)

    inverse = 1.0 / np.sqrt(read("moving_variance") + layer.epsilon)
    inverse = inverse * read("gamma") if layer.scale else inverse
    offset = (read("beta") if layer.center else 0.0) - read("moving_mean") * inverse
    return Affine(operations.factor_of(inverse), offset)


# ---- layers without weights ------------------------------------------------------------------------------------


def _pooled(layer: Any) -> Windows:
    size = layer.pool_size
    sizes = tuple(size) if isinstance(size, list | tuple) else (size,) * (len(layer.input.shape) - 2)
    strides = (
        tuple(layer.strides) if isinstance(layer.strides, list | tuple) else (layer.strides,) * len(sizes)
    )
    return Windows(sizes, strides, (1,) * len(sizes), layer.padding)


def _average(layer: Any) -> tuple[IntegerOperation, ...]:
    windows = _pooled(layer)
    if any(sum(pad) for pad in windows.padded(layer.input.shape[1:-1])):
        raise NotInIntegers(layer.name, "an average over padding; use padding='valid'")
    return (_averaging(layer, windows.of, math.prod(windows.size)),)


def _global_average(layer: Any) -> tuple[IntegerOperation, ...]:
    lengths = layer.input.shape[1:-1]
    if any(length is None for length in lengths):
        raise NotInIntegers(layer.name, "the lengths of its input must be known")
    mean = _averaging(layer, operations.whole_window, math.prod(lengths))
    return (mean, *_kept_axes(layer))


def _averaging(layer: Any, windows: Callable[[Any], Any], count: int) -> Average:
    quantizer = layer.quantizer("average") if hasattr(layer, "quantizer") else None
    factor = np.float32(1.0 / count)
    if quantizer is None:
        return Average(windows, operations.factor_of(factor), rounds=count & (count - 1) != 0)
    codes, scale = quantizer.to_integers(factor)
    return Average(windows, dyadic(codes, scale), rounds=False)


def _largest(layer: Any) -> tuple[IntegerOperation, ...]:
    return (Largest(functools.partial(_pooled(layer).of, fill=_LOWEST)),)


def _global_largest(layer: Any) -> tuple[IntegerOperation, ...]:
    return (Largest(operations.whole_window), *_kept_axes(layer))


def _kept_axes(layer: Any) -> tuple[IntegerOperation, ...]:
    if not layer.keepdims:
        return ()
    rank = len(layer.input.shape) - 2
    return (
        lambda tensors: tensors[0].with_codes(np.expand_dims(tensors[0].codes, tuple(range(1, rank + 1)))),
    )


def _flatten(layer: Any) -> tuple[IntegerOperation, ...]:
    return (functools.partial(operations.reshaped, shape=(-1,)),)


def _reshape(layer: Any) -> tuple[IntegerOperation, ...]:
    return (functools.partial(operations.reshaped, shape=tuple(layer.target_shape)),)


def _zero_padding(layer: Any) -> tuple[IntegerOperation, ...]:
    pads = layer.padding if isinstance(layer.padding[0], list | tuple) else (layer.padding,)
    return (functools.partial(operations.padded, pads=[tuple(pad) for pad in pads]),)


def _concatenate(layer: Any) -> tuple[IntegerOperation, ...]:
    return (functools.partial(operations.concatenated, axis=layer.axis),)


def _mean_of_branches(layer: Any) -> tuple[IntegerOperation, ...]:
    count = len(layer.input)
    return operations.added, operations.Scale(
        operations.factor_of(1.0 / count), rounds=count & (count - 1) != 0
    )


def _unchanged(layer: Any) -> tuple[IntegerOperation, ...]:
    return (lambda tensors: tensors[0],)


def _relu_layer(layer: Any) -> tuple[IntegerOperation, ...]:
    if layer.max_value is not None or layer.negative_slope or layer.threshold:
        raise NotInIntegers(layer.name, "only a plain ReLU; quantize an Activation layer instead")
    return (_alone(relu),)


def _merge(operation: IntegerOperation) -> Callable[[Any], tuple[IntegerOperation, ...]]:
    return lambda layer: (operation,)


#: Class of the Keras layer -> the operations that compute it.
_LAYERS: Final[Mapping[str, Callable[[Any], tuple[IntegerOperation, ...]]]] = MappingProxyType(
    {
        "Activation": _unchanged,
        "Add": _merge(operations.added),
        "Average": _mean_of_branches,
        "AveragePooling1D": _average,
        "AveragePooling2D": _average,
        "BatchNormalization": _normalization,
        "Concatenate": _concatenate,
        "Conv1D": _convolution,
        "Conv1DBatchNormalization": _convolution,
        "Conv2D": _convolution,
        "Conv2DBatchNormalization": _convolution,
        "Dense": _dense,
        "DenseBatchNormalization": _dense,
        "DepthwiseConv1D": _depthwise,
        "DepthwiseConv2D": _depthwise,
        "DepthwiseConv1DBatchNormalization": _depthwise,
        "DepthwiseConv2DBatchNormalization": _depthwise,
        "Dropout": _unchanged,
        "Flatten": _flatten,
        "GlobalAveragePooling1D": _global_average,
        "GlobalAveragePooling2D": _global_average,
        "GlobalMaxPooling1D": _global_largest,
        "GlobalMaxPooling2D": _global_largest,
        "MaxPooling1D": _largest,
        "MaxPooling2D": _largest,
        "Maximum": _merge(operations.maximum),
        "Minimum": _merge(operations.minimum),
        "Multiply": _merge(operations.multiplied),
        "ReLU": _relu_layer,
        "Reshape": _reshape,
        "SeparableConv1D": _separable,
        "SeparableConv1DBatchNormalization": _separable,
        "SeparableConv2D": _separable,
        "SeparableConv2DBatchNormalization": _separable,
        "SpatialDropout1D": _unchanged,
        "SpatialDropout2D": _unchanged,
        "Subtract": _merge(operations.subtracted),
        "ZeroPadding1D": _zero_padding,
        "ZeroPadding2D": _zero_padding,
    }
)
