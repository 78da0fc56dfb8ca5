"""Post-training quantization of a Xylo specification: one factor a population, or one a neuron. numpy only.

The rule: a group's factor takes its largest magnitude to 2^(bits_per_weight - 1) - 1 (bias counted), less where its
threshold would exceed 2^(bits_per_threshold - 1) - 1; then every value is multiplied, rounded half to even, once, and
clipped. `compat` gives what Rockpool 3.1.0 gives, faults included (`quantization.spiking.rockpool`).
"""

from __future__ import annotations

import numpy as np

from quantization.spiking import rockpool
from quantization.spiking.specification import (
    DASHES,
    Array,
    Floats,
    Integers,
    SpecificationError,
    XyloParameters,
    XyloSpecification,
    with_synapses,
)


def global_quantize(
    specification: XyloSpecification,
    *,
    bits_per_weight: int = 8,
    bits_per_threshold: int = 16,
    fuzzy_scaling: bool = False,
    compat: bool = False,
) -> XyloParameters:
    """One factor for the hidden side (inputs, recurrence, bias), one for the readout.

    `fuzzy_scaling` takes |mean| + 2 standard deviations of the non-zero weights as the range instead of their largest
    magnitude, and clips values beyond it; the bias does not count there. Raises `SpecificationError` for widths.
    """
    top, highest = _limits(bits_per_weight, bits_per_threshold)
    if compat:
        return rockpool.global_quantize(specification, top, highest, fuzzy_scaling)
    hidden, readout = [specification.weights_in, specification.weights_rec], [specification.weights_out]
    if not fuzzy_scaling:
        hidden += _present(specification.bias)
        readout += _present(specification.bias_out)
    size = _fuzzy if fuzzy_scaling else _largest
    factor = _factors(size(hidden), np.abs(specification.threshold).max(keepdims=True), top, highest)
    factor_out = _factors(size(readout), np.abs(specification.threshold_out).max(keepdims=True), top, highest)
    return _apply(specification, factor, factor_out, top, highest)


def channel_quantize(
    specification: XyloSpecification,
    *,
    bits_per_weight: int = 8,
    bits_per_threshold: int = 16,
    compat: bool = False,
) -> XyloParameters:
    """One factor for each neuron, over its input and recurrent (or readout) weights and its bias.

    Raises `SpecificationError` for widths; with `compat` the IndexError that Rockpool raises.
    """
    top, highest = _limits(bits_per_weight, bits_per_threshold)
    if compat:
        return rockpool.channel_quantize(specification, top, highest)
    sizes = np.abs(with_synapses(specification.weights_rec)).max(axis=(0, 2))
    fed = specification.weights_in.shape[1]
    sizes[:fed] = np.maximum(sizes[:fed], np.abs(with_synapses(specification.weights_in)).max(axis=(0, 2)))
    factors = _factors(_with_bias(sizes, specification.bias), np.abs(specification.threshold), top, highest)
    sizes_out = _with_bias(np.abs(specification.weights_out).max(axis=0), specification.bias_out)
    factors_out = _factors(sizes_out, np.abs(specification.threshold_out), top, highest)
    return _apply(specification, factors, factors_out, top, highest)


def _limits(bits_per_weight: int, bits_per_threshold: int) -> tuple[int, int]:
    """The largest weight and the largest threshold of these widths, sign included."""
    for name, bits in (("bits_per_weight", bits_per_weight), ("bits_per_threshold", bits_per_threshold)):
        if not 2 <= bits <= 32:
            raise SpecificationError(name, f"must be 2 to 32, is {bits}")
    return 2 ** (bits_per_weight - 1) - 1, 2 ** (bits_per_threshold - 1) - 1


def _present(array: Array | None) -> list[Array]:
    return [] if array is None else [array]


def _largest(arrays: list[Array]) -> Floats:
    """The largest magnitude of a group."""
    return np.array([max(float(np.abs(array).max()) for array in arrays)])


def _fuzzy(arrays: list[Array]) -> Floats:
    """|mean| + 2 standard deviations of the non-zero values; 0 if there are none."""
    values = np.concatenate([array.reshape(-1) for array in arrays])
    values = values[values != 0]
    return np.array([abs(np.mean(values)) + 2 * np.std(values) if values.size else 0.0])


def _with_bias(sizes: Floats, bias: Array | None) -> Floats:
    return sizes if bias is None else np.maximum(sizes, np.abs(bias))


def _factors(sizes: Floats, thresholds: Floats, top: int, highest: int) -> Floats:
    """One factor for each group: maps its range to the weights' width, limited by the thresholds' width."""
    by_weight = np.where(sizes > 0, top / np.where(sizes > 0, sizes, 1.0), 1.0)
    saturates = np.round(thresholds * by_weight) > highest
    return np.where(saturates, highest / np.where(saturates, thresholds, 1.0), by_weight)


def _apply(
    specification: XyloSpecification, factors: Floats, factors_out: Floats, top: int, highest: int
) -> XyloParameters:
    """All arrays scaled, rounded and clipped; factors are one for a population or one for each neuron."""
    fed = specification.weights_in.shape[1]
    synaptic = factors[np.newaxis, :, np.newaxis]
    arrays = {
        "weights_in": _rounded(with_synapses(specification.weights_in), synaptic[:, :fed], top),
        "weights_rec": _rounded(with_synapses(specification.weights_rec), synaptic, top),
        "weights_out": _rounded(specification.weights_out, factors_out, top),
        "threshold": _rounded(specification.threshold, factors, highest),
        "threshold_out": _rounded(specification.threshold_out, factors_out, highest),
    }
    if specification.bias is not None:
        arrays["bias"] = _rounded(specification.bias, factors, top)
    if specification.bias_out is not None:
        arrays["bias_out"] = _rounded(specification.bias_out, factors_out, top)
    for name, value in specification.arrays().items():
        if name in DASHES:
            arrays[name] = np.round(value).astype(np.int64)
    return XyloParameters.from_arrays(arrays)


def _rounded(values: Array, factors: Floats, limit: int) -> Integers:
    return np.clip(np.round(values * factors), -limit, limit).astype(np.int64)
