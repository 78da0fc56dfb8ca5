"""Quantizing a trained float model without training: ranges from a data sample, bias correction, noise reports.

Ranges are binary points: a method picks the number of integer bits of a fixed-point grid. `minmax` holds every value,
`percentile` all but a share of the largest, `mse` has the least squared error, `kl` changes the distribution least.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import keras
import numpy as np

from quantization.graph import ModelGraph
from quantization.layers.folded import FoldedLayer
from quantization.models.convert import Assignment, quantize, quantized_layers, transfer_weights
from quantization.quantizers import build_quantizer
from quantization.specs.parse import QuantizerSpec, as_spec

Method = Literal["minmax", "percentile", "mse", "kl"]
METHODS: Final[tuple[Method, ...]] = ("minmax", "percentile", "mse", "kl")

_SHARE: Final = 99.9  #: percent of the magnitudes `percentile` holds
_BINS: Final = 1024  #: of the histograms `kl` compares
_HEADROOM: Final = 2  #: integer bits a bias has beyond its range, so that it can be corrected
_EMPTY: Final = 1e-9  #: share of an empty bin in those histograms
_CANDIDATES: Final = 6  #: binary points `mse` and `kl` try, from the one that holds everything downwards
_FEWEST: Final = -64  #: integer bits a specification may have
_MOST: Final = 64 - _HEADROOM
_SAMPLE: Final = 200_000  #: most values that a method uses
_BATCH: Final = 256

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class LayerNoise:
    """The noise that quantization adds to one layer.

    `weights_db`: slot -> ratio of the power of the weights to that of their rounding error; `output_db`: the same of
    the layer's output in the quantized network, errors of the layers before it included. Infinite: without error.
    """

    layer: str
    weights_db: Mapping[str, float]
    output_db: float


def integer_bits(values: Array, bits: int, *, signed: bool, method: Method = "minmax") -> int:
    """Integer bits (the sign not counted) of the fixed-point grid of `bits` bits that a method picks for `values`.

    Raises `ValueError` for an unknown method, values that are not finite, and values that no quantizer can hold.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    sample = _sample(values)
    if not np.all(np.isfinite(sample)):
        raise ValueError(
            "calibration needs finite values; the outputs of the model on this sample hold NaN or infinity"
        )
    if not signed:
        sample = np.maximum(sample, 0.0)
    reach = float(np.max(np.abs(sample), initial=0.0))
    if reach == 0.0:
        return 0
    if method == "percentile":
        reach = float(np.percentile(np.abs(sample), _SHARE)) or reach
    widest = max(_holding(reach, bits, signed), _FEWEST)
    if widest > _MOST:
        raise ValueError(f"values reach {reach:g}; no quantizer holds more than 2 ** {_MOST}")
    if method in ("minmax", "percentile"):
        return widest
    loss = _squared_error if method == "mse" else _divergence

    def cost(integer: int) -> float:
        return loss(sample, _rounded(sample, bits, integer, signed), 2.0 ** (integer - bits + signed))

    return min(range(widest, max(widest - _CANDIDATES, _FEWEST - 1), -1), key=cost)


def calibrate(
    model: keras.Model,
    x: Any,
    *,
    weight_bits: int = 8,
    bias_bits: int = 16,
    activation_bits: int = 8,
    method: Method = "mse",
    layers: Sequence[str] | None = None,
) -> dict[str, dict[str, QuantizerSpec | None]]:
    """An assignment of fixed-point quantizers to a trained float model: widths as given, binary points by a method.

    Kernels and biases of Dense, convolution and depthwise layers, and ReLU or linear `Activation` layers; the others
    stay float. `x`: a sample of the model's input (a list or dict of samples where it has several), a few hundred rows.
    `layers`: only these.
    """
    chosen = [layer for layer in model.layers if layers is None or layer.name in layers]
    seen = outputs(model, [layer.name for layer in chosen if _is_activation(layer)], x)
    assignment: dict[str, dict[str, QuantizerSpec | None]] = {}
    for layer in chosen:
        if _has_kernel(layer):
            slots: dict[str, QuantizerSpec | None] = {"kernel": _grid(layer.kernel, weight_bits, method)}
            if layer.use_bias:
                slots["bias"] = _grid(layer.bias, bias_bits, "minmax", _HEADROOM)
            assignment[layer.name] = slots
        elif layer.name in seen:
            assignment[layer.name] = {
                "activation": _activation_spec(layer, seen[layer.name], activation_bits, method)
            }
    return assignment


def post_training(
    model: keras.Model, assignment: Assignment, x: Any, *, correct_bias: bool = True
) -> keras.Model:
    """The quantized model with the float model's weights.

    With `correct_bias`, layer by layer in order, the mean shift that quantization causes in each channel of a
    layer's output before its activation, over the sample `x`, is taken off its bias.
    """
    quantized = quantize(model, assignment)
    transfer_weights(model, quantized)
    if correct_bias:
        for layer in quantized_layers(quantized):
            if _has_kernel(layer) and layer.use_bias and _is_linear(layer):
                correct_shift(model, quantized, layer.name, x)
    return quantized


def round_weights(model: keras.Model) -> None:
    """Replace every quantized kernel and bias of a model by the value it is quantized to, in place."""
    for layer in quantized_layers(model):
        for slot, (codes, scale) in layer.quantized_weights().items():
            weight = getattr(layer, layer.SLOTS[slot], None) if "." not in layer.SLOTS[slot] else None
            if weight is not None and hasattr(weight, "assign"):
                weight.assign((codes * scale).astype(np.float32))


def sqnr_db(exact: Array, approximate: Array) -> float:
    """10 log10 of the power of `exact` over that of the difference; infinite where there is none."""
    exact = np.asarray(exact, dtype=np.float64)
    noise = float(np.mean((exact - np.asarray(approximate, dtype=np.float64)) ** 2))
    power = float(np.mean(exact**2))
    if noise == 0.0:
        return math.inf
    return 10.0 * math.log10(power / noise) if power > 0.0 else -math.inf


def noise_report(model: keras.Model, quantized: keras.Model, x: Any) -> list[LayerNoise]:
    """The noise of every quantized layer, in the order of the model; `model` is the float model of equal weights."""
    names = [layer.name for layer in quantized_layers(quantized)]
    exact, approximate = outputs(model, names, x), outputs(quantized, names, x)
    report = []
    for name in names:
        layer = quantized.get_layer(name)
        weights = {
            slot: sqnr_db(np.asarray(keras.ops.convert_to_numpy(layer.weight_of(slot))), codes * scale)
            for slot, (codes, scale) in layer.quantized_weights().items()
            if not slot.startswith(("forward_", "backward_"))
        }
        report.append(LayerNoise(name, weights, sqnr_db(exact[name], approximate[name])))
    return report


def sensitivity(model: keras.Model, assignment: Assignment, x: Any) -> dict[str, float]:
    """Layer -> signal-to-noise ratio in dB of the network's output when only that layer is quantized.

    The layer with the lowest figure is the one that needs bits most.
    """
    exact = model_output(model, x)
    ratios = {}
    for name, slots in assignment.items():
        alone = post_training(model, {name: slots}, x, correct_bias=False)
        ratios[name] = sqnr_db(exact, model_output(alone, x))
    return ratios


def outputs(model: keras.Model, names: Sequence[str], x: Any) -> dict[str, Array]:
    """Layer -> its output over a sample, computed in batches; of a layer called several times, all of its outputs."""
    calls = {name: ModelGraph(model).calls_of(name) for name in names}
    tensors = [call.outputs[0] for layer in calls.values() for call in layer]
    computed = iter(_computed(model, tensors, x))
    return {name: _together([next(computed) for _ in layer]) for name, layer in calls.items()}


def model_output(model: keras.Model, x: Any) -> Array:
    """All outputs of a model over a sample, those of an example in one row."""
    computed = _computed(model, model.outputs, x)
    return np.concatenate([output.reshape(len(output), -1) for output in computed], axis=1)


def correct_shift(model: keras.Model, quantized: keras.Model, name: str, x: Any) -> None:
    """Take the mean shift of each channel of a layer's output, over a sample, off its bias, in place."""
    exact, approximate = (outputs(network, [name], x)[name] for network in (model, quantized))
    axes = tuple(range(exact.ndim - 1))
    shift = (approximate - exact).mean(axis=axes)
    layer = quantized.get_layer(name)
    if isinstance(layer, FoldedLayer):
        layer.move_bias(-shift)
    else:
        layer.bias.assign(layer.bias - shift)


# ---- details -------------------------------------------------------------------------------------------------


def _computed(model: keras.Model, tensors: Sequence[Any], x: Any) -> list[Array]:
    """Values of symbolic tensors of a model over a sample, computed in batches."""
    if not tensors:
        return []
    probe = keras.Model(model.inputs if len(model.inputs) > 1 else model.inputs[0], list(tensors))
    rows = len(keras.tree.flatten(x)[0])
    if not rows:
        raise ValueError("the sample has no examples; give a few hundred rows of the model's input")
    parts = [
        _listed(
            probe(
                keras.tree.map_structure(operator.itemgetter(slice(start, start + _BATCH)), x), training=False
            )
        )
        for start in range(0, rows, _BATCH)
    ]
    return [
        np.concatenate([np.asarray(keras.ops.convert_to_numpy(part[index])) for part in parts])
        for index in range(len(tensors))
    ]


def _together(arrays: Sequence[Array]) -> Array:
    """The outputs of all calls of a layer as one array: examples, or else rows of equal width, or else numbers."""
    if len({array.shape[1:] for array in arrays}) == 1:
        return np.concatenate(arrays)
    if len({array.shape[-1] for array in arrays}) == 1:
        return np.concatenate([array.reshape(-1, array.shape[-1]) for array in arrays])
    return np.concatenate([array.ravel() for array in arrays])


def _listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _has_kernel(layer: Any) -> bool:
    return hasattr(layer, "use_bias") and hasattr(layer, "kernel") and hasattr(layer, "activation")


def _is_linear(layer: Any) -> bool:
    return layer.activation in (None, keras.activations.linear) and layer.quantizer("activation") is None


def _is_activation(layer: Any) -> bool:
    functions = (keras.activations.relu, keras.activations.linear)
    return isinstance(layer, keras.layers.Activation) and layer.activation in functions


def _activation_spec(layer: Any, values: Array, bits: int, method: Method) -> QuantizerSpec:
    relu = layer.activation is keras.activations.relu
    kind = "quantized_relu" if relu else "quantized_bits"
    return as_spec(
        {"kind": kind, "bits": bits, "integer": integer_bits(values, bits, signed=not relu, method=method)}
    )


def _grid(weight: Any, bits: int, method: Method, headroom: int = 0) -> QuantizerSpec:
    values = np.asarray(keras.ops.convert_to_numpy(weight))
    integer = integer_bits(values, bits, signed=True, method=method) + headroom
    return as_spec(
        {"kind": "quantized_bits", "bits": bits, "integer": integer, "symmetric": True, "alpha": 1.0}
    )


def _sample(values: Array) -> Array:
    flat = np.asarray(values, dtype=np.float64).ravel()
    return flat if flat.size <= _SAMPLE else flat[:: -(-flat.size // _SAMPLE)]


def _holding(reach: float, bits: int, signed: bool) -> int:
    """The fewest integer bits whose largest level is at least `reach`, up to half a step."""
    low = math.ceil(math.log2(reach)) - 1
    top = 2.0 ** (bits - signed) - 1.0
    for integer in range(low, low + 3):
        step = 2.0 ** (integer - bits + signed)
        if reach <= (top + 0.5) * step:
            return integer
    return low + 2


def _rounded(values: Array, bits: int, integer: int, signed: bool) -> Array:
    kind = "quantized_bits" if signed else "quantized_relu"
    codes, scale = build_quantizer(as_spec({"kind": kind, "bits": bits, "integer": integer})).to_integers(
        values
    )
    return np.asarray(codes * np.float64(scale))


def _squared_error(exact: Array, approximate: Array, _step: float) -> float:
    return float(np.mean((exact - approximate) ** 2))


def _divergence(exact: Array, approximate: Array, step: float) -> float:
    """Kullback-Leibler divergence of the histograms, each level spread evenly over its step.

    What is clipped piles up on the last level and leaves the bins beyond it empty, which costs most.
    """
    reach = float(np.max(np.abs(exact)))
    edges = np.linspace(-reach, reach, _BINS + 1)
    true, _ = np.histogram(exact, edges)
    levels, mass = np.unique(approximate, return_counts=True)
    reached = np.clip((edges[:, None] - levels[None, :]) / step + 0.5, 0.0, 1.0)
    spread = np.maximum(np.diff(reached @ mass) / exact.size, _EMPTY)
    share = true / exact.size
    filled = share > 0
    return float(np.sum(share[filled] * np.log(share[filled] / spread[filled])))
