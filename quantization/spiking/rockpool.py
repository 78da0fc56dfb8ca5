"""Quantization as Rockpool 3.1.0 does it, with its faults, to compare with networks it has quantized. numpy only.

Kept faults: the hidden factor on the readout's bias; an overflowing readout threshold shrinking the recurrent weights;
|max threshold| tested instead of max |threshold|; weights rounded twice (global); nothing clipped; biases that count in
no range, or are scaled only with two synapses (channel); an IndexError where the saturating neuron is the first
without inputs. The caller's arrays, some of which Rockpool overwrites, are left unchanged.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from quantization.spiking.specification import (
    DASHES,
    Array,
    Floats,
    Integers,
    XyloParameters,
    XyloSpecification,
    with_synapses,
)

#: The integer that x86-64 converts NaN to.
_NOT_A_NUMBER: Final = np.iinfo(np.int64).min


def global_quantize(specification: XyloSpecification, top: int, highest: int, fuzzy: bool) -> XyloParameters:
    """One factor for each side; `top` and `highest` are the largest weight and threshold."""
    weights_in, weights_rec = (
        with_synapses(specification.weights_in),
        with_synapses(specification.weights_rec),
    )
    factor = _factor([weights_in, weights_rec], specification.bias, top, fuzzy)
    factor_out = _factor([specification.weights_out], specification.bias_out, top, fuzzy)
    arrays = {
        "weights_in": _rounded(weights_in * factor),
        "weights_rec": _rounded(weights_rec * factor),
        "weights_out": _rounded(specification.weights_out * factor_out),
        "threshold": _rounded(specification.threshold * factor),
        "threshold_out": _rounded(specification.threshold_out * factor_out),
    }
    for threshold, shrunk in (
        ("threshold", ("weights_in", "weights_rec", "threshold")),
        ("threshold_out", ("weights_out", "weights_rec", "threshold_out")),
    ):
        largest = int(arrays[threshold].max())
        if abs(largest) > highest and largest != _NOT_A_NUMBER:
            arrays |= {name: _rounded(arrays[name] * (highest / largest)) for name in shrunk}
    for name in ("bias", "bias_out"):
        bias = getattr(specification, name)
        if bias is not None:
            arrays[name] = _rounded(bias * factor)
    return XyloParameters.from_arrays(arrays | _dashes(specification))


def channel_quantize(specification: XyloSpecification, top: int, highest: int) -> XyloParameters:
    """One factor for each neuron, from its weights alone."""
    weights_in, weights_rec = (
        with_synapses(specification.weights_in).copy(),
        with_synapses(specification.weights_rec).copy(),
    )
    threshold = specification.threshold.copy()
    fed = weights_in.shape[1]
    factors = np.ones(threshold.size)
    for neuron in range(threshold.size):
        sources = [weights_rec[:, neuron], *([weights_in[:, neuron]] if neuron < fed else [])]
        factors[neuron], limited = _channel(sources, threshold[neuron], top, highest)
        if limited is not None and neuron == fed:
            raise IndexError(f"neuron {neuron} saturates and is the first without inputs (fault of Rockpool)")
        for array in (*sources, threshold[neuron : neuron + 1]):
            array *= factors[neuron] if limited is None else limited
    weights_out, threshold_out, factors_out = _channel_readout(specification, top, highest)
    arrays: dict[str, Floats] = {
        "weights_in": weights_in,
        "weights_rec": weights_rec,
        "weights_out": weights_out,
        "threshold": threshold,
        "threshold_out": threshold_out,
    }
    if specification.bias is not None:
        arrays["bias"] = specification.bias * factors if specification.synapses == 2 else specification.bias
    if specification.bias_out is not None:
        arrays["bias_out"] = specification.bias_out * factors_out
    return XyloParameters.from_arrays(
        {name: _rounded(arrays[name]) for name in arrays} | _dashes(specification)
    )


def _channel_readout(
    specification: XyloSpecification, top: int, highest: int
) -> tuple[Floats, Floats, Floats]:
    """Weights and thresholds of the readout, multiplied but not yet rounded, and the factors."""
    weights, threshold = specification.weights_out.copy(), specification.threshold_out.copy()
    factors = np.ones(threshold.size)
    for neuron in range(threshold.size):
        factors[neuron], limited = _channel([weights[:, neuron]], threshold[neuron], top, highest)
        for array in (weights[:, neuron], threshold[neuron : neuron + 1]):
            array *= factors[neuron] if limited is None else limited
    return weights, threshold, factors


def _channel(sources: list[Array], threshold: float, top: int, highest: int) -> tuple[float, float | None]:
    """The factor of a neuron, and the one in its place that keeps its threshold in range; None if it is in range."""
    largest = max(float(np.abs(source).max()) for source in sources)
    if largest == 0:
        return 1.0, None
    factor = top / largest
    return factor, highest / threshold if abs(np.round(threshold * factor)) > highest else None


def _factor(weights: list[Array], bias: Array | None, top: int, fuzzy: bool) -> float:
    if fuzzy:
        values = np.concatenate([array.reshape(-1) for array in weights])
        values = values[values != 0]
        size = abs(np.mean(values)) + np.std(values) * 2 if values.size else np.nan
    else:
        size = max(float(np.abs(array).max()) for array in [*weights, *([] if bias is None else [bias])])
    return 1.0 if size == 0 else float(top / size)


def _rounded(values: Array) -> Integers:
    rounded = np.round(values)
    with np.errstate(invalid="ignore"):
        return np.where(np.isnan(rounded), _NOT_A_NUMBER, rounded.astype(np.int64))


def _dashes(specification: XyloSpecification) -> dict[str, Integers]:
    return {name: _rounded(value) for name, value in specification.arrays().items() if name in DASHES}
