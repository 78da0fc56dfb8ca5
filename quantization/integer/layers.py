"""Each class of layer as operations on integers: the table that `quantization.integer.compile` reads."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import keras
import numpy as np

from costmodel.layer_classes import TRAINING_ONLY
from quantization.graph import Call
from quantization.integer import operations
from quantization.integer.activations import Bent, Function, NotInIntegers
from quantization.integer.network import IntegerOperation
from quantization.integer.operations import (
    Affine,
    Alone,
    Average,
    Largest,
    Product,
    Scale,
    Shift,
    Sloped,
    Windows,
)
from quantization.integer.tensor import IntegerTensor, dyadic

_LOWEST: Final = -(1 << 62)

Builder = Callable[[Call], tuple[IntegerOperation, ...]]


def class_of(layer: Any) -> str:
    """The class of the Keras layer it is, or stands for."""
    return str(type(layer).__name__).removeprefix("Quantized")


def specs_of(layer: Any) -> dict[str, Any]:
    """Slot -> specification as it runs."""
    return dict(getattr(layer, "effective_specs", {}))


def alone(function: Function) -> IntegerOperation:
    """A function of one tensor as the operation of a layer."""
    return Alone(function)


# ---- layers with weights ---------------------------------------------------------------------------------------


def weights_of(layer: Any, slot: str) -> tuple[Any, Any]:
    """Codes and scale of a weight; an error if it has no quantizer."""
    weights = layer.quantized_weights() if hasattr(layer, "quantized_weights") else {}
    if slot not in weights:
        raise NotInIntegers(layer.name, f"its {slot} is not quantized: give the slot a quantizer")
    codes, scale = weights[slot]
    return codes, scale


def bias_of(layer: Any) -> IntegerTensor | None:
    """Of a layer that has one."""
    if not layer.use_bias and "BatchNormalization" not in class_of(layer):
        return None
    return dyadic(*weights_of(layer, "bias"))


def _dense(call: Call) -> tuple[IntegerOperation, ...]:
    layer = call.layer
    weights = dyadic(*weights_of(layer, "kernel"))
    return (Product(weights.codes, weights.exponent, bias_of(layer), operations.flat_patches),)


def _windows(layer: Any) -> Windows:
    return Windows(
        tuple(layer.kernel_size),
        _per_axis(layer.strides, layer),
        _per_axis(layer.dilation_rate, layer),
        layer.padding,
    )


def _per_axis(value: Any, layer: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,) * len(layer.kernel_size)


def _convolution(call: Call) -> tuple[IntegerOperation, ...]:
    layer = call.layer
    weights = dyadic(*weights_of(layer, "kernel"))
    codes = weights.codes if layer.groups == 1 else _ungrouped(weights.codes, layer.groups)
    matrix = codes.reshape(-1, codes.shape[-1])
    return (Product(matrix, weights.exponent, bias_of(layer), _windows(layer).columns),)


def _ungrouped(codes: Any, groups: int) -> Any:
    """The kernel of a grouped convolution as one that reads every channel, with zeros for those of other groups."""
    *window, channels, filters = codes.shape
    wide = np.zeros((*window, channels * groups, filters), np.int64)
    for group in range(groups):
        own = slice(group * filters // groups, (group + 1) * filters // groups)
        wide[..., group * channels : (group + 1) * channels, own] = codes[..., own]
    return wide


def _depthwise_product(layer: Any, bias: IntegerTensor | None) -> Product:
    codes, scale = weights_of(layer, "kernel")
    *window, channels, multiplier = codes.shape
    flat = (math.prod(window), channels * multiplier)
    weights = dyadic(codes.reshape(flat), np.broadcast_to(scale, codes.shape).reshape(flat))
    kernel = weights.codes.reshape(flat[0], channels, multiplier)
    return Product(kernel, weights.exponent, bias, _windows(layer).of, depthwise=True)


def _depthwise(call: Call) -> tuple[IntegerOperation, ...]:
    layer = call.layer
    return (_depthwise_product(layer, bias_of(layer)),)


def _separable(call: Call) -> tuple[IntegerOperation, ...]:
    layer = call.layer
    weights = dyadic(*weights_of(layer, "pointwise_kernel"))
    matrix = weights.codes.reshape(-1, weights.codes.shape[-1])
    pointwise = Product(matrix, weights.exponent, bias_of(layer), operations.flat_patches)
    return _depthwise_product(layer, None), pointwise


# ---- batch normalization ---------------------------------------------------------------------------------------


def _normalization(call: Call) -> tuple[IntegerOperation, ...]:
    """Exact where inverse, mean and beta are quantized; else float32 constants on the grid of the products."""
    layer = call.layer
    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
    if axis not in (-1, len(call.input_shape) - 1):
        raise NotInIntegers(layer.name, f"axis={axis}; only the last one is the channels")
    specs = {slot: spec for slot, spec in specs_of(layer).items() if slot != "activation"}
    if not specs:
        return (_float_normalization(layer),)
    needed = ["inverse", "mean", *(["beta"] if layer.center else [])]
    for slot in needed:
        if slot not in specs:
            raise NotInIntegers(layer.name, f"quantize {', '.join(needed)}, or none of its slots, or fold it")
    mean = dyadic(*weights_of(layer, "mean"))
    negative = mean.with_codes(-mean.codes)
    inverse = dyadic(*weights_of(layer, "inverse"))
    beta = dyadic(*weights_of(layer, "beta")) if layer.center else None
    steps: list[IntegerOperation] = [Shift(negative), Scale(inverse, rounds=False)]
    if beta is not None:
        steps.append(Shift(beta))
    return tuple(steps)


def _float_normalization(layer: Any) -> IntegerOperation:
    def read(name: str) -> Any:
        return np.asarray(keras.ops.convert_to_numpy(getattr(layer, name)), np.float64)

    inverse = 1.0 / np.sqrt(read("moving_variance") + layer.epsilon)
    inverse = inverse * read("gamma") if layer.scale else inverse
    offset = (read("beta") if layer.center else 0.0) - read("moving_mean") * inverse
    return Affine(operations.factor_of(inverse), offset)


# ---- layers without weights ------------------------------------------------------------------------------------


def _pooled(call: Call) -> Windows:
    layer, size = call.layer, call.layer.pool_size
    sizes = tuple(size) if isinstance(size, list | tuple) else (size,) * (len(call.input_shape) - 2)
    strides = (
        tuple(layer.strides) if isinstance(layer.strides, list | tuple) else (layer.strides,) * len(sizes)
    )
    return Windows(sizes, strides, (1,) * len(sizes), layer.padding)


def _average(call: Call) -> tuple[IntegerOperation, ...]:
    layer = call.layer
    windows = _pooled(call)
    lengths = [length for length in call.input_shape[1:-1] if length is not None]
    is_open = len(lengths) < len(windows.size)
    if windows.padding != "valid" and (is_open or any(map(sum, windows.padded(lengths)))):
        raise NotInIntegers(layer.name, "an average over padding; use padding='valid'")
    return (_averaging(layer, windows.of, math.prod(windows.size)),)


def _global_average(call: Call) -> tuple[IntegerOperation, ...]:
    layer = call.layer
    lengths = [length for length in call.input_shape[1:-1] if length is not None]
    if len(lengths) < len(call.input_shape) - 2:
        raise NotInIntegers(layer.name, "the lengths of its input must be known")
    mean = _averaging(layer, operations.whole_window, math.prod(lengths))
    return (mean, *_kept_axes(call))


def _averaging(layer: Any, windows: Callable[[Any], Any], count: int) -> Average:
    quantizer = layer.quantizer("average") if hasattr(layer, "quantizer") else None
    factor = np.float32(1.0 / count)
    if quantizer is None:
        return Average(windows, operations.factor_of(factor), rounds=count & (count - 1) != 0)
    codes, scale = quantizer.to_integers(factor)
    return Average(windows, dyadic(codes, scale), rounds=False)


def _largest(call: Call) -> tuple[IntegerOperation, ...]:
    return (Largest(functools.partial(_pooled(call).of, fill=_LOWEST)),)


def _global_largest(call: Call) -> tuple[IntegerOperation, ...]:
    return (Largest(operations.whole_window), *_kept_axes(call))


def _kept_axes(call: Call) -> tuple[IntegerOperation, ...]:
    if not call.layer.keepdims:
        return ()
    rank = len(call.input_shape) - 2
    return (functools.partial(operations.reshaped, shape=(*(1,) * rank, int(call.input_shape[-1] or 1))),)


def _flatten(call: Call) -> tuple[IntegerOperation, ...]:
    return (functools.partial(operations.reshaped, shape=(-1,)),)


def _reshape(call: Call) -> tuple[IntegerOperation, ...]:
    return (functools.partial(operations.reshaped, shape=tuple(call.layer.target_shape)),)


def _zero_padding(call: Call) -> tuple[IntegerOperation, ...]:
    return (functools.partial(operations.padded, pads=_pairs(call.layer.padding)),)


def _cropping(call: Call) -> tuple[IntegerOperation, ...]:
    return (functools.partial(operations.cropped, cuts=_pairs(call.layer.cropping)),)


def _pairs(sizes: Any) -> list[tuple[int, int]]:
    """Places before and after, for each axis."""
    listed = sizes if isinstance(sizes[0], list | tuple) else (sizes,)
    return [(int(low), int(high)) for low, high in listed]


def _up_sampling(call: Call) -> tuple[IntegerOperation, ...]:
    layer = call.layer
    if getattr(layer, "interpolation", "nearest") != "nearest":
        raise NotInIntegers(layer.name, f"interpolation={layer.interpolation!r}; use 'nearest'")
    size = layer.size if isinstance(layer.size, list | tuple) else (layer.size,)
    return (functools.partial(operations.repeated, times=tuple(size)),)


def _permutation(call: Call) -> tuple[IntegerOperation, ...]:
    return (functools.partial(operations.permuted, dims=tuple(call.layer.dims)),)


def _repetition(call: Call) -> tuple[IntegerOperation, ...]:
    return (functools.partial(operations.tiled, times=int(call.layer.n)),)


def _concatenate(call: Call) -> tuple[IntegerOperation, ...]:
    return (functools.partial(operations.concatenated, axis=call.layer.axis),)


def _mean_of_branches(call: Call) -> tuple[IntegerOperation, ...]:
    count = len(call.sources)
    return operations.added, Scale(operations.factor_of(1.0 / count), rounds=count & (count - 1) != 0)


def _unchanged(call: Call) -> tuple[IntegerOperation, ...]:
    return (operations.unchanged,)


def _is_replaced(layer: Any) -> bool:
    """Whether a quantizer that is a function itself takes the place of an activation layer's."""
    quantizer = layer.quantizer("activation") if hasattr(layer, "quantizer") else None
    return quantizer is not None and bool(quantizer.is_activation)


def _relu_layer(call: Call) -> tuple[IntegerOperation, ...]:
    layer = call.layer
    if _is_replaced(layer):
        return _unchanged(call)
    return (alone(Bent(layer.negative_slope, layer.max_value, layer.threshold)),)


def _leaky_relu(call: Call) -> tuple[IntegerOperation, ...]:
    if _is_replaced(call.layer):
        return _unchanged(call)
    return (alone(Bent(call.layer.negative_slope)),)


def _prelu(call: Call) -> tuple[IntegerOperation, ...]:
    """A slope for every number that has one; slopes that share an axis are repeated."""
    layer = call.layer
    codes, scale = weights_of(layer, "alpha")
    if None in call.input_shape[1:]:
        raise NotInIntegers(layer.name, "the lengths of its input must be known")
    shape = tuple(int(size or 0) for size in call.input_shape[1:])
    slopes = np.broadcast_to(codes * np.asarray(scale, np.float64), shape)
    if all(size == 1 for size in codes.shape[:-1]):
        return (Sloped(operations.factor_of(slopes.reshape(-1, shape[-1])[0])),)
    return (
        functools.partial(operations.reshaped, shape=(slopes.size,)),
        Sloped(operations.factor_of(slopes.reshape(-1))),
        functools.partial(operations.reshaped, shape=shape),
    )


def _merge(operation: IntegerOperation) -> Builder:
    return lambda call: (operation,)


def _all_ranks(
    names: Sequence[str], builder: Builder, ranks: Sequence[int] = (1, 2, 3)
) -> dict[str, Builder]:
    return {name.format(rank): builder for name in names for rank in ranks}


#: Class of the Keras layer -> the operations that compute it.
LAYERS: Final[Mapping[str, Builder]] = MappingProxyType(
    dict.fromkeys(sorted(TRAINING_ONLY), _unchanged)
    | _all_ranks(["Conv{}D"], _convolution)
    | _all_ranks(["Conv{}DBatchNormalization"], _convolution, (1, 2))
    | _all_ranks(["DepthwiseConv{}D", "DepthwiseConv{}DBatchNormalization"], _depthwise, (1, 2))
    | _all_ranks(["SeparableConv{}D", "SeparableConv{}DBatchNormalization"], _separable, (1, 2))
    | _all_ranks(["AveragePooling{}D"], _average)
    | _all_ranks(["GlobalAveragePooling{}D"], _global_average)
    | _all_ranks(["MaxPooling{}D"], _largest)
    | _all_ranks(["GlobalMaxPooling{}D"], _global_largest)
    | _all_ranks(["ZeroPadding{}D"], _zero_padding)
    | _all_ranks(["Cropping{}D"], _cropping)
    | _all_ranks(["UpSampling{}D"], _up_sampling)
    | {
        "Activation": _unchanged,
        "Input": _unchanged,
        "Add": _merge(operations.added),
        "Average": _mean_of_branches,
        "BatchNormalization": _normalization,
        "Concatenate": _concatenate,
        "Dense": _dense,
        "ELU": _unchanged,
        "DenseBatchNormalization": _dense,
        "Flatten": _flatten,
        "LeakyReLU": _leaky_relu,
        "Maximum": _merge(operations.maximum),
        "Minimum": _merge(operations.minimum),
        "Multiply": _merge(operations.multiplied),
        "PReLU": _prelu,
        "Permute": _permutation,
        "ReLU": _relu_layer,
        "RepeatVector": _repetition,
        "Reshape": _reshape,
        "Softmax": _unchanged,
        "Subtract": _merge(operations.subtracted),
    }
)
