"""Where a trial's training starts: the weights of a model trained before, and what is calibrated before the first step.

The quantizers of a trial are its user's choice and are never touched. What is free, and may be calibrated, is

- the threshold of a `trainable_std` quantizer, which is a weight;
- the scale of a kernel whose output goes into a batch normalization and nowhere else: the normalization takes a factor
  per filter back out, so each filter is brought to where its quantizer, which has a fixed grid, loses least;
- the moving statistics of batch normalizations, which describe the float network, not the quantized one;
- biases, from which the mean shift that quantization causes in each channel is taken off
  (`quantization.models.calibration`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from costmodel.network import Network, read_network
from quantization.models.calibration import correct_shift, outputs
from quantization.models.convert import float_model, plain_description, read_quantizers
from search.training.channel_mapping import NEW, Channels, Slice, slices, spread

Floats = NDArray[Any]

#: Examples calibration looks at: the first of the training part, which is shuffled.
CALIBRATION_EXAMPLES: Final = 256

#: Thresholds of `trainable_std` that are tried, in standard deviations.
_THRESHOLDS: Final = tuple(np.arange(1.0, 5.01, 0.25))
#: Reaches of a filter that are tried, in largest levels of its quantizer.
_REACHES: Final = tuple(2.0 ** (step / 4) for step in range(-4, 13))

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

#: Class of a layer -> name of a weight -> what its axes are.
_AXES: Final[Mapping[str, Mapping[str, Mapping[int, str]]]] = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D"), _CONVOLUTION),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _TRANSPOSED),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _DEPTHWISE),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _SEPARABLE),
    **dict.fromkeys(("BatchNormalization", "LayerNormalization", "PReLU"), _PER_CHANNEL),
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU", "Bidirectional"), _RECURRENT),
}


# --- weights -------------------------------------------------------------------------------------------------------


def adopt_weights(source: keras.Model, target: keras.Model) -> list[str]:
    """Give layers the weights of the layers of the same name; the names of those that got some.

    Where widths differ, a layer gets those of the channels it keeps (`search.training.channel_mapping`): of the largest
    sum of magnitudes, and their inputs wherever they are read.
    A new channel keeps its new weights, and counts for nothing
    where it is read until it is trained. A layer for which this cannot be told starts anew. What quantizers hold stays.
    """
    pairs = _pairs(source, target)
    if all(_shapes(one) == _shapes(two) for _, one, two in pairs):
        for _, theirs, own in pairs:
            _assign(own, [each.value for each in theirs])
        return [layer.name for layer, _, _ in pairs]
    here = read_network(plain_description(target))
    found = slices(read_network(plain_description(source)), here, lambda name: _magnitudes(source, name))
    adopted = []
    for layer, theirs, own in pairs:
        values = _sliced(here, layer.name, found.get(layer.name), theirs, own)
        if values is not None:
            _assign(own, values)
            adopted.append(layer.name)
    return adopted


def is_alike(one: keras.Model, other: keras.Model) -> bool:
    """Whether two models of one architecture have the same quantizers and widths."""
    same = read_quantizers(one) == read_quantizers(other)
    return same and _shapes(one.trainable_variables) == _shapes(other.trainable_variables)


def _pairs(source: keras.Model, target: keras.Model) -> list[tuple[Any, list[Any], list[Any]]]:
    """The layers of the target that have weights in both models, with these weights."""
    known = {layer.name: _floating(layer) for layer in source.layers}
    found = [(layer, known.get(layer.name, []), _floating(layer)) for layer in target.layers]
    return [pair for pair in found if pair[2] and len(pair[1]) == len(pair[2])]


def _floating(layer: Any) -> list[Any]:
    """What training and statistics move: weights, without seeds and what quantizers hold."""
    own = {id(each) for each in getattr(getattr(layer, "quantizer_state", None), "variables", ())}
    return [each for each in layer.weights if id(each) not in own and "float" in str(each.dtype)]


def _shapes(variables: Sequence[Any]) -> list[tuple[int, ...]]:
    return [tuple(each.shape) for each in variables]


def _assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _magnitudes(model: keras.Model, name: str) -> NDArray[np.float64]:
    """The sum of magnitudes of each channel's kernel (Li et al., "Pruning filters for efficient ConvNets", 2017)."""
    layer = model.get_layer(name)
    kernel = np.abs(_array(getattr(layer, "pointwise_kernel", getattr(layer, "kernel", None))))
    axis = kernel.ndim - (2 if "Transpose" in type(layer).__name__ else 1)
    return np.asarray(kernel.sum(axis=tuple(each for each in range(kernel.ndim) if each != axis)), np.float64)


def _sliced(
    network: Network, name: str, slice_: Slice | None, theirs: Sequence[Any], own: Sequence[Any]
) -> list[Any] | None:
    """The weights a layer takes over; None if it starts anew."""
    if slice_ is None:
        return None
    if slice_.is_whole and _shapes(theirs) == _shapes(own):
        return [each.value for each in theirs]
    layer = network.layer(name)
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
    for old, new in zip(theirs, own, strict=True):
        kinds = {axis: channels[kind] for axis, kind in axes.get(new.name, {}).items()}
        if not _fits(old, new, kinds):
            return None
        inner = [axis for axis, kind in axes.get(new.name, {}).items() if kind != _OUT]
        values.append(_taken(_array(old), _array(new), kinds, inner))
    return values


def _fits(old: Any, new: Any, kinds: Mapping[int, Channels]) -> bool:
    """Whether the axes that are no channels agree, and the others have as many as there are channels."""
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


def _taken(old: Floats, new: Floats, kinds: Mapping[int, Channels], inner: Sequence[int]) -> Floats:
    """`new`, with the numbers of `old` where its channels are known, and 0 where only an input is new."""
    rank = new.ndim
    chosen = {axis % rank: channels for axis, channels in kinds.items()}
    every = [chosen.get(axis, np.arange(new.shape[axis])) for axis in range(rank)]
    gathered = old[np.ix_(*(np.maximum(each, 0) for each in every))]
    read = _any_new(every, [axis % rank for axis in inner])
    made = _any_new(every, [axis for axis in chosen if axis - rank not in inner])
    return np.where(made, new, np.where(read, 0.0, gathered)).astype(new.dtype)


def _any_new(every: Sequence[Channels], axes: Sequence[int]) -> Any:
    """Where a channel of one of these axes is new, broadcastable."""
    found: Any = np.zeros((1,) * len(every), bool)
    for axis in axes:
        shape = [1] * len(every)
        shape[axis] = len(every[axis])
        found = found | (every[axis] == NEW).reshape(shape)
    return found


def _array(variable: Any) -> Floats:
    return np.asarray(ops.convert_to_numpy(variable))


# --- calibration ---------------------------------------------------------------------------------------------------


def calibrate(model: keras.Model, x: Any) -> None:
    """Fit what is free in a model with a float model's weights to its quantizers, on examples, in place.

    `x`: a few hundred training examples. See this module for what is free; the quantizers stay as they are.
    """
    network = read_network(plain_description(model))
    exact = float_model(plain_description(model))
    adopt_weights(model, exact)
    for layer in model.layers:
        _fit_thresholds(layer)
        normalization = _own_normalization(network, model, layer)
        if normalization is not None:
            _fit_kernel(layer, normalization)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and _is_last_axis(layer):
            _estimate(model, network, layer, x)
        elif _shifts(layer) and _own_normalization(network, model, layer) is None:
            correct_shift(exact, model, layer.name, x)


def _fit_thresholds(layer: Any) -> None:
    """Of the thresholds of `trainable_std` those with the least squared error."""
    for slot in getattr(layer, "given_specs", {}):
        quantizer = layer.quantizer(slot)
        if getattr(getattr(quantizer, "spec", None), "kind", None) == "trainable_std":
            weight = layer.weight_of(slot)
            quantizer.threshold.assign(
                min(_THRESHOLDS, key=lambda each: _error_at(quantizer, weight, float(each)))
            )


def _error_at(quantizer: Any, weight: Any, threshold: float) -> float:
    quantizer.threshold.assign(threshold)
    return float(ops.mean(ops.square(quantizer(weight) - weight)))


def _own_normalization(network: Network, model: keras.Model, layer: Any) -> Any | None:
    """The batch normalization that alone reads a linear layer, its kernel being quantized; None if there is none."""
    if getattr(layer, "kernel", None) is None or not hasattr(layer, "quantizer"):
        return None
    linear = layer.activation in (None, keras.activations.linear) and layer.quantizer("activation") is None
    readers = [each for each in network.layers if layer.name in each.inbound]
    if not linear or len(readers) != 1 or readers[0].class_name != "BatchNormalization":
        return None
    found = model.get_layer(readers[0].name)
    return found if layer.name not in network.outputs and _is_last_axis(found) else None


def _is_last_axis(normalization: Any) -> bool:
    axis = normalization.axis
    return bool(axis in (-1, len(normalization.input.shape) - 1))


def _fit_kernel(layer: Any, normalization: Any) -> None:
    """Scale each filter to where its quantizer loses least, and let the normalization take the factor back out."""
    quantizer = layer.quantizer("kernel")
    kernel = _array(layer.kernel)
    if quantizer is None or _axis_of(layer) is None or _follows_its_input(quantizer, kernel):
        return
    axes = tuple(range(kernel.ndim - 1))
    largest = np.abs(kernel).max(axis=axes)
    top = max(abs(level) for level in quantizer.range())
    factors = np.ones_like(largest)
    least = np.full(largest.shape, np.inf)
    for reach in (None, *_REACHES):
        tried = np.ones_like(largest) if reach is None else top * reach / np.where(largest > 0, largest, top)
        loss = ((_array(quantizer(kernel * tried)) / tried - kernel) ** 2).sum(axis=axes)
        factors, least = np.where(loss < least, tried, factors), np.minimum(loss, least)
    layer.kernel.assign(kernel * factors)
    if layer.use_bias:
        layer.bias.assign(layer.bias * factors)
    normalization.moving_mean.assign(normalization.moving_mean * factors)
    normalization.moving_variance.assign(normalization.moving_variance * factors**2)


def _axis_of(layer: Any) -> int | None:
    """The axis of a kernel's filters, if it is the last one."""
    name = type(layer).__name__
    return None if "Transpose" in name or "Depthwise" in name or "Normalization" in name else -1


def _follows_its_input(quantizer: Any, kernel: Floats) -> bool:
    """Whether a quantizer finds its scale by itself, so that a factor would change nothing."""
    top, largest = max(abs(level) for level in quantizer.range()), np.abs(kernel).max()
    small = kernel * (0.4 * top / largest) if largest > 0 else kernel
    return bool(np.allclose(_array(quantizer(1.7 * small)), 1.7 * _array(quantizer(small)), rtol=1e-4))


def _estimate(model: keras.Model, network: Network, normalization: Any, x: Any) -> None:
    """The moving statistics of what the normalization reads in the quantized network."""
    before = network.layer(normalization.name).inbound[0]
    seen = outputs(model, [before], x)[before].astype(np.float64)
    axes = tuple(range(seen.ndim - 1))
    normalization.moving_mean.assign(seen.mean(axis=axes))
    normalization.moving_variance.assign(seen.var(axis=axes))


def _shifts(layer: Any) -> bool:
    """Whether a quantized layer has a bias that its output before any activation is moved by."""
    if not hasattr(layer, "quantizer") or getattr(layer, "bias", None) is None:
        return False
    function = getattr(layer, "activation", None)
    return function in (None, keras.activations.linear) and layer.quantizer("activation") is None
