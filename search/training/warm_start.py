"""Where a trial's training starts: the weights of a model trained before, and their calibration before the first step.

The quantizers of a trial are fixed by its assignment and never changed. Calibration fits

- the threshold of a `trainable_std` quantizer, which is a weight;
- the scale of a kernel whose output is read by a batch normalization alone: the normalization divides by a factor per
  filter again, so each filter is scaled to where its quantizer, which has a fixed grid, has the least squared error;
- the moving statistics of batch normalizations, which describe the float network, not the quantized one;
- biases, also of layers with a normalization folded in, from which the mean shift that quantization causes in each
  channel is subtracted (`quantization.models.calibration`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from costmodel.foldable import UNFOLDED
from costmodel.network import Network, read_network
from quantization.graph import input_shape
from quantization.layers.folded import FoldedLayer
from quantization.models.calibration import correct_shift, outputs
from quantization.models.convert import plain_description, read_quantizers, without_quantizers
from quantization.models.description import build
from search.training.channel_mapping import NEW, Channels, Slice, slices, spread

Floats = NDArray[Any]

#: Examples used by calibration: the first of the training data, which are shuffled.
CALIBRATION_EXAMPLES: Final = 256

#: Thresholds of `trainable_std` that are tried, in standard deviations.
_THRESHOLDS: Final = tuple(np.arange(1.0, 5.01, 0.25))
#: Largest magnitudes of a scaled filter that are tried, in units of the largest level of its quantizer.
_LARGEST_MAGNITUDES: Final = tuple(2.0 ** (step / 4) for step in range(-4, 13))

_IN, _OUT, _BETWEEN = "in", "out", "between"
_CONVOLUTION: Final = {"kernel": {-2: _IN, -1: _OUT}, "bias": {-1: _OUT}}
_TRANSPOSED: Final = {"kernel": {-2: _OUT, -1: _IN}, "bias": {-1: _OUT}}
_DEPTHWISE: Final = {"kernel": {-2: _IN}, "depthwise_kernel": {-2: _IN}, "bias": {-1: _OUT}}
_SEPARABLE: Final = {
    "depthwise_kernel": {-2: _IN},
    "pointwise_kernel": {-2: _BETWEEN, -1: _OUT},
    "bias": {-1: _OUT},
}
_PER_CHANNEL: Final = {
    name: {-1: _OUT} for name in ("gamma", "beta", "moving_mean", "moving_variance", "alpha")
}
_RECURRENT: Final = {"kernel": {-2: _IN}}

_PLAIN_AXES: Final[Mapping[str, Mapping[str, Mapping[int, str]]]] = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D"), _CONVOLUTION),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _TRANSPOSED),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _DEPTHWISE),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _SEPARABLE),
    **dict.fromkeys(("BatchNormalization", "LayerNormalization", "PReLU"), _PER_CHANNEL),
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU", "Bidirectional"), _RECURRENT),
}
#: Class of a layer -> name of a weight -> axis -> which channels it has.
_AXES: Final[Mapping[str, Mapping[str, Mapping[int, str]]]] = {
    **_PLAIN_AXES,
    **{into: {**_PLAIN_AXES[plain], **_PER_CHANNEL} for into, plain in UNFOLDED.items()},
}


# --- weights -------------------------------------------------------------------------------------------------------


def adopt_weights(source: keras.Model, target: keras.Model) -> list[str]:
    """Copy weights into the layers of the same name; the names of the layers that got some.

    Where widths differ, a layer gets the weights of the channels it keeps (`search.training.channel_mapping`): those of
    the largest sum of magnitudes, and their inputs wherever they are read. A new channel keeps its new weights; where
    it is read its weights are 0 until they are trained. A layer whose channels are not known keeps its new weights.
    The variables of quantizers are not copied.
    """
    pairs = _pairs(source, target)
    if all(_shapes(pair.source) == _shapes(pair.target) for pair in pairs):
        for pair in pairs:
            _assign(pair.target, [variable.value for variable in pair.source])
        return [pair.layer for pair in pairs]
    network = read_network(plain_description(target))
    kept_channels = slices(
        read_network(plain_description(source)), network, lambda name: _magnitudes(source, name)
    )
    adopted = []
    for pair in pairs:
        values = _sliced(network, kept_channels.get(pair.layer), pair)
        if values is not None:
            _assign(pair.target, values)
            adopted.append(pair.layer)
    return adopted


def is_alike(one: keras.Model, other: keras.Model) -> bool:
    """Whether two models of one architecture have the same quantizers and widths."""
    same = read_quantizers(one) == read_quantizers(other)
    return same and _shapes(one.trainable_variables) == _shapes(other.trainable_variables)


class _Pair(NamedTuple):
    """The float variables of a layer in two models."""

    layer: str
    source: list[Any]
    target: list[Any]


def _pairs(source: keras.Model, target: keras.Model) -> list[_Pair]:
    """The layers of the target that have the same number of float variables in both models."""
    sources = {layer.name: _float_variables(layer) for layer in source.layers}
    pairs = [
        _Pair(layer.name, sources.get(layer.name, []), _float_variables(layer)) for layer in target.layers
    ]
    return [pair for pair in pairs if pair.target and len(pair.source) == len(pair.target)]


def _float_variables(layer: Any) -> list[Any]:
    """Weights and statistics of a layer, without seeds and the variables of its quantizers."""
    state = getattr(getattr(layer, "quantizer_state", None), "variables", ())
    excluded = {id(variable) for variable in state}
    return [
        variable
        for variable in layer.weights
        if id(variable) not in excluded and "float" in str(variable.dtype)
    ]


def _shapes(variables: Sequence[Any]) -> list[tuple[int, ...]]:
    return [tuple(variable.shape) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _magnitudes(model: keras.Model, name: str) -> NDArray[np.float64]:
    """The sum of magnitudes of each channel's kernel (Li et al., "Pruning filters for efficient ConvNets", 2017)."""
    layer = model.get_layer(name)
    kernel = np.abs(_array(getattr(layer, "pointwise_kernel", getattr(layer, "kernel", None))))
    axis = kernel.ndim - (2 if "Transpose" in type(layer).__name__ else 1)
    others = tuple(index for index in range(kernel.ndim) if index != axis)
    return np.asarray(kernel.sum(axis=others), np.float64)


def _sliced(network: Network, slice_: Slice | None, pair: _Pair) -> list[Any] | None:
    """The values for the variables of a layer; None if it keeps its new weights."""
    if slice_ is None:
        return None
    if slice_.is_whole and _shapes(pair.source) == _shapes(pair.target):
        return [variable.value for variable in pair.source]
    layer = network.layer(pair.layer)
    axes = _AXES.get(layer.class_name)
    if axes is None or slice_.output is None or slice_.inputs[0] is None:
        return None
    multiplier = int(layer.config.get("depth_multiplier", 1) or 1)
    channels = {
        _IN: slice_.inputs[0],
        _OUT: slice_.output,
        _BETWEEN: spread(slice_.inputs[0], multiplier),
    }
    values = []
    for old, new in zip(pair.source, pair.target, strict=True):
        kinds = {axis: channels[kind] for axis, kind in axes.get(new.name, {}).items()}
        if not _fits(old, new, kinds):
            return None
        inner = [axis for axis, kind in axes.get(new.name, {}).items() if kind != _OUT]
        values.append(_merged(_array(old), _array(new), kinds, inner))
    return values


def _fits(old: Any, new: Any, kinds: Mapping[int, Channels]) -> bool:
    """Whether axes without channels have equal sizes, and the others the size of their channels."""
    if len(old.shape) != len(new.shape):
        return False
    rank = len(new.shape)
    named = {axis % rank: channels for axis, channels in kinds.items()}
    return all(
        len(named[axis]) == new.shape[axis] and int(named[axis].max(initial=0)) < old.shape[axis]
        if axis in named
        else old.shape[axis] == new.shape[axis]
        for axis in range(rank)
    )


def _merged(old: Floats, new: Floats, kinds: Mapping[int, Channels], inner: Sequence[int]) -> Floats:
    """`new`, with the numbers of `old` where its channels are known, and 0 where only an input (`inner`) is new."""
    rank = new.ndim
    by_axis = {axis % rank: channels for axis, channels in kinds.items()}
    indexes = [by_axis.get(axis, np.arange(new.shape[axis])) for axis in range(rank)]
    gathered = old[np.ix_(*(np.maximum(channels, 0) for channels in indexes))]
    has_new_input = _any_new(indexes, [axis % rank for axis in inner])
    is_new_output = _any_new(indexes, [axis for axis in by_axis if axis - rank not in inner])
    return np.where(is_new_output, new, np.where(has_new_input, 0.0, gathered)).astype(new.dtype)


def _any_new(indexes: Sequence[Channels], axes: Sequence[int]) -> Any:
    """Where a channel of one of these axes is new, broadcastable."""
    mask: Any = np.zeros((1,) * len(indexes), bool)
    for axis in axes:
        shape = [1] * len(indexes)
        shape[axis] = len(indexes[axis])
        mask = mask | (indexes[axis] == NEW).reshape(shape)
    return mask


def _array(variable: Any) -> Floats:
    return np.asarray(ops.convert_to_numpy(variable))


# --- calibration ---------------------------------------------------------------------------------------------------


def calibrate(model: keras.Model, x: Any) -> None:
    """Fit a model with a float model's weights to its quantizers, in place; see the docstring of this module.

    `x`: a few hundred training examples. Frozen layers keep their weights.
    """
    network = read_network(plain_description(model))
    exact = build(without_quantizers(model))
    adopt_weights(model, exact)
    for layer in model.layers:
        _fit_thresholds(layer)
        normalization = _only_reader(network, model, layer)
        if normalization is not None and layer.trainable and normalization.trainable:
            _fit_kernel(layer, normalization)
    for layer in model.layers:
        if not layer.trainable:
            continue
        if isinstance(layer, keras.layers.BatchNormalization) and _is_last_axis(model, layer):
            _fit_statistics(model, network, layer, x)
        elif _has_output_bias(layer) and _only_reader(network, model, layer) is None:
            correct_shift(exact, model, layer.name, x)


def _fit_thresholds(layer: Any) -> None:
    """Set the thresholds of `trainable_std` to those with the least squared error."""
    for owner in layer.slot_owners() if hasattr(layer, "slot_owners") else ():
        for slot in owner.specs:
            quantizer = owner.quantizer(slot)
            if getattr(getattr(quantizer, "spec", None), "kind", None) == "trainable_std":
                _fit_threshold(quantizer, owner.weight_of(slot))


def _fit_threshold(quantizer: Any, weight: Any) -> None:
    quantizer.threshold.assign(
        min(_THRESHOLDS, key=lambda threshold: _error_at(quantizer, weight, float(threshold)))
    )


def _error_at(quantizer: Any, weight: Any, threshold: float) -> float:
    quantizer.threshold.assign(threshold)
    return float(ops.mean(ops.square(quantizer(weight) - weight)))


def _only_reader(network: Network, model: keras.Model, layer: Any) -> Any | None:
    """The batch normalization that alone reads a linear layer with a quantized kernel; None if there is none."""
    if getattr(layer, "kernel", None) is None or not hasattr(layer, "quantizer"):
        return None
    linear = layer.activation in (None, keras.activations.linear) and layer.quantizer("activation") is None
    readers = [reader for reader in network.layers if layer.name in reader.inbound]
    if not linear or len(readers) != 1 or readers[0].class_name != "BatchNormalization":
        return None
    normalization = model.get_layer(readers[0].name)
    is_free = layer.name not in network.outputs and _is_last_axis(model, normalization)
    return normalization if is_free else None


def _is_last_axis(model: keras.Model, normalization: Any) -> bool:
    axis = normalization.axis
    return bool(axis in (-1, len(input_shape(model, normalization)) - 1))


def _fit_kernel(layer: Any, normalization: Any) -> None:
    """Scale each filter to the least squared error of its quantizer; the normalization divides by the factor again."""
    quantizer = layer.quantizer("kernel")
    kernel = _array(layer.kernel)
    if quantizer is None or not _has_filters_last(layer) or _finds_its_scale(quantizer, kernel):
        return
    axes = tuple(range(kernel.ndim - 1))
    largest = np.abs(kernel).max(axis=axes)
    top = max(abs(level) for level in quantizer.range())
    factors = np.ones_like(largest)
    least = np.full(largest.shape, np.inf)
    for magnitude in (None, *_LARGEST_MAGNITUDES):
        candidates = np.ones_like(largest)
        if magnitude is not None:
            candidates = top * magnitude / np.where(largest > 0, largest, top)
        loss = ((_array(quantizer(kernel * candidates)) / candidates - kernel) ** 2).sum(axis=axes)
        factors, least = np.where(loss < least, candidates, factors), np.minimum(loss, least)
    layer.kernel.assign(kernel * factors)
    if layer.use_bias:
        layer.bias.assign(layer.bias * factors)
    normalization.moving_mean.assign(normalization.moving_mean * factors)
    normalization.moving_variance.assign(normalization.moving_variance * factors**2)


def _has_filters_last(layer: Any) -> bool:
    """Whether the last axis of a kernel is that of its filters."""
    return not any(part in type(layer).__name__ for part in ("Transpose", "Depthwise", "Normalization"))


def _finds_its_scale(quantizer: Any, kernel: Floats) -> bool:
    """Whether a quantizer derives its scale from the kernel, so that a factor would change nothing."""
    top, largest = max(abs(level) for level in quantizer.range()), np.abs(kernel).max()
    small = kernel * (0.4 * top / largest) if largest > 0 else kernel
    return bool(np.allclose(_array(quantizer(1.7 * small)), 1.7 * _array(quantizer(small)), rtol=1e-4))


def _fit_statistics(model: keras.Model, network: Network, normalization: Any, x: Any) -> None:
    """Set the moving statistics to those of the normalization's input in the quantized network."""
    before = network.layer(normalization.name).inbound[0]
    values = outputs(model, [before], x)[before].astype(np.float64)
    axes = tuple(range(values.ndim - 1))
    normalization.moving_mean.assign(values.mean(axis=axes))
    normalization.moving_variance.assign(values.var(axis=axes))


def _has_output_bias(layer: Any) -> bool:
    """Whether a quantized layer adds a bias to its output with no activation after it."""
    biased = getattr(layer, "bias", None) is not None
    if isinstance(layer, FoldedLayer):
        biased = layer.frozen != "normalization"
    if not hasattr(layer, "quantizer") or not biased:
        return False
    function = getattr(layer, "activation", None)
    return function in (None, keras.activations.linear) and layer.quantizer("activation") is None
