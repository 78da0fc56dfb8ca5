"""What one layer does, in numbers: operations and parameters, from its shapes alone, types left open.

One function for each sort of layer; `costmodel.layer_classes` says which class of Keras uses which. Each takes
(layer, its configuration) and raises `InvalidNetwork` for a configuration that makes no sense.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from costmodel.layer import Config, Layer, elements
from costmodel.shapes import directions, dot_axes
from costmodel.windows import INTERPOLATIONS, spatial_rank


class Family(StrEnum):
    """Layers priced by one rule."""

    MAC = "mac"  #: a kernel multiplied in and summed up
    SEPARABLE = "separable"  #: a depthwise and a pointwise kernel
    POOL_MAX = "pool_max"
    POOL_AVERAGE = "pool_average"
    BATCH_NORM = "batch_norm"
    LAYER_NORM = "layer_norm"
    RECURRENT = "recurrent"
    ATTENTION = "attention"
    EMBEDDING = "embedding"
    ACTIVATION = "activation"
    SHAPE = "shape"  #: only moves numbers
    MERGE = "merge"
    DOT = "dot"
    RESCALE = "rescale"  #: numbers times constants, plus constants


@dataclass(frozen=True, slots=True)
class Parameter:
    """One tensor of weights: which slot types it, how many numbers it has."""

    slot: str
    elements: int


@dataclass(frozen=True, slots=True)
class Lowering:
    """The work of one layer, by count.

    `macs`: multiplications with summing. `terms`: products in one sum, without the bias. `elements`: numbers the
    elementwise part handles. `extra`: further counts the family's rule asks for by name.
    """

    family: Family
    parameters: tuple[Parameter, ...] = ()
    macs: int = 0
    terms: int = 1
    elements: int = 0
    extra: Mapping[str, int] = field(default_factory=dict, hash=False)


def _flag(config: Config, name: str) -> bool:
    return config.flag(name, True)


def _bias(config: Config, count: int) -> tuple[Parameter, ...]:
    return (Parameter("bias", count),) if _flag(config, "use_bias") else ()


def _kernel_size(config: Config, layer: Layer) -> int:
    return math.prod(config.integers("kernel_size", spatial_rank(layer.class_name)))


def dense(layer: Layer, config: Config) -> Lowering:
    """Dense: every output sums one product for each input feature."""
    features, units = layer.input_shapes[0][-1], layer.output_shape[-1]
    macs = elements(layer.output_shape) * features
    parameters = (Parameter("kernel", features * units), *_bias(config, units))
    return Lowering(Family.MAC, parameters, macs, features)


def conv(layer: Layer, config: Config) -> Lowering:
    """Convolutions, grouped ones too."""
    filters = layer.output_shape[-1]
    terms = _kernel_size(config, layer) * (layer.input_shapes[0][-1] // config.integer("groups", 1))
    parameters = (Parameter("kernel", terms * filters), *_bias(config, filters))
    return Lowering(Family.MAC, parameters, elements(layer.output_shape) * terms, terms)


def transposed(layer: Layer, config: Config) -> Lowering:
    """Each input position scatters a whole kernel; what 'same' padding crops is counted too."""
    rank = spatial_rank(layer.class_name)
    kernel = config.integers("kernel_size", rank)
    strides = config.integers("strides", rank, 1)
    channels, filters = layer.input_shapes[0][-1], layer.output_shape[-1]
    weights = math.prod(kernel) * channels * filters
    terms = channels * math.prod(-(-k // s) for k, s in zip(kernel, strides, strict=True))
    macs = elements(layer.input_shapes[0][:-1]) * weights
    return Lowering(Family.MAC, (Parameter("kernel", weights), *_bias(config, filters)), macs, terms)


def depthwise(layer: Layer, config: Config) -> Lowering:
    """Depthwise convolutions: each channel is summed over its own window."""
    terms, channels = _kernel_size(config, layer), layer.output_shape[-1]
    parameters = (Parameter("kernel", terms * channels), *_bias(config, channels))
    extra = {"depth_multiplier": config.integer("depth_multiplier", 1)}
    return Lowering(Family.MAC, parameters, elements(layer.output_shape) * terms, terms, extra=extra)


def separable(layer: Layer, config: Config) -> Lowering:
    """Separable convolutions: a depthwise one, then a pointwise one."""
    window, filters = _kernel_size(config, layer), layer.output_shape[-1]
    between = layer.input_shapes[0][-1] * config.integer("depth_multiplier", 1)
    positions = elements(layer.output_shape[:-1])
    parameters = (
        Parameter("kernel", window * between),
        Parameter("pointwise_kernel", between * filters),
        *_bias(config, filters),
    )
    extra = {"depthwise_macs": positions * between * window, "pointwise_macs": positions * between * filters}
    return Lowering(
        Family.SEPARABLE, parameters, sum(extra.values()), window, extra={**extra, "pointwise_terms": between}
    )


def folded(rule: Callable[[Layer, Config], Lowering]) -> Callable[[Layer, Config], Lowering]:
    """The rule of a layer with its batch normalization folded in: the folded kernel always has a bias."""

    def always_biased(layer: Layer, config: Config) -> Lowering:
        return rule(layer, Config(config.layer, {**config.values, "use_bias": True}))

    return always_biased


def _pool_size(layer: Layer, config: Config) -> int:
    if layer.class_name.startswith("Global"):
        return elements(layer.input_shapes[0][:-1])
    return math.prod(config.integers("pool_size", spatial_rank(layer.class_name), 2))


def pool_max(layer: Layer, config: Config) -> Lowering:
    """Maximum pooling, windowed or global: window - 1 comparisons for each output."""
    outputs = elements(layer.output_shape)
    compared = outputs * (_pool_size(layer, config) - 1)
    return Lowering(
        Family.POOL_MAX, elements=elements(layer.input_shapes[0]), extra={"comparisons": compared}
    )


def pool_average(layer: Layer, config: Config) -> Lowering:
    """Average pooling: a sum, and a scaling unless the window's size is a power of two."""
    window, outputs = _pool_size(layer, config), elements(layer.output_shape)
    scaled = 0 if window & (window - 1) == 0 else outputs
    return Lowering(Family.POOL_AVERAGE, terms=window, elements=outputs * window, extra={"scalings": scaled})


def _normalized(layer: Layer, config: Config, axes: tuple[int, ...]) -> int:
    return math.prod(layer.input_shapes[0][axis] for axis in axes)


def batch_norm(layer: Layer, config: Config) -> Lowering:
    """Batch normalization: `scale` and `center` say whether gamma and beta exist."""
    size = _normalized(layer, config, (config.axis("axis", len(layer.input_shapes[0])),))
    scale, center = _flag(config, "scale"), _flag(config, "center")
    slots = [*(["gamma"] if scale else []), *(["beta"] if center else []), "mean", "variance"]
    extra = {"size": size, "scale": int(scale), "center": int(center)}
    parameters = tuple(Parameter(slot, size) for slot in slots)
    return Lowering(Family.BATCH_NORM, parameters, elements=elements(layer.input_shapes[0]), extra=extra)


def stored_parameters(lowering: Lowering, slots: Collection[str]) -> tuple[Parameter, ...]:
    """The tensors a layer stores if these slots have types: a normalization's `inverse` replaces gamma and variance."""
    if lowering.family is not Family.BATCH_NORM or "inverse" not in slots:
        return lowering.parameters
    others = [parameter for parameter in lowering.parameters if parameter.slot in ("mean", "beta")]
    return Parameter("inverse", lowering.extra["size"]), *others


def layer_norm(layer: Layer, config: Config) -> Lowering:
    """Layer normalization: `rows` are normalized one by one; with `rms_scaling` gamma is always there, beta never."""
    size = _normalized(layer, config, config.axes("axis", len(layer.input_shapes[0])))
    total = elements(layer.input_shapes[0])
    rms = config.flag("rms_scaling", False)
    scale, center = _flag(config, "scale") or rms, _flag(config, "center") and not rms
    parameters = tuple(Parameter(slot, size) for slot, there in (("gamma", scale), ("beta", center)) if there)
    extra = {"rows": total // size, "scale": int(scale), "center": int(center)}
    return Lowering(Family.LAYER_NORM, parameters, terms=size, elements=total, extra=extra)


def group_norm(layer: Layer, config: Config) -> Lowering:
    """Group normalization: each group of channels by itself; scale and shift are those of the channels."""
    channels = _normalized(layer, config, (config.axis("axis", len(layer.input_shapes[0])),))
    groups = config.integer("groups", 32, least=-1)
    total = elements(layer.input_shapes[0])
    rows = channels if groups == -1 else groups
    scale, center = _flag(config, "scale"), _flag(config, "center")
    slots = [*(["gamma"] if scale else []), *(["beta"] if center else [])]
    parameters = tuple(Parameter(slot, channels) for slot in slots)
    extra = {"rows": rows, "scale": int(scale), "center": int(center)}
    return Lowering(Family.LAYER_NORM, parameters, terms=total // rows, elements=total, extra=extra)


def rms_norm(layer: Layer, config: Config) -> Lowering:
    """Normalization by the root of the mean square: no mean is taken off, nothing is added."""
    size = _normalized(layer, config, config.axes("axis", len(layer.input_shapes[0])))
    total = elements(layer.input_shapes[0])
    extra = {"rows": total // size, "scale": 1, "center": 0, "around_zero": 1}
    return Lowering(Family.LAYER_NORM, (Parameter("gamma", size),), terms=size, elements=total, extra=extra)


def unit_norm(layer: Layer, config: Config) -> Lowering:
    """Normalization to length 1, without parameters."""
    size = _normalized(layer, config, config.axes("axis", len(layer.input_shapes[0])))
    total = elements(layer.input_shapes[0])
    extra = {"rows": total // size, "scale": 0, "center": 0, "around_zero": 1}
    return Lowering(Family.LAYER_NORM, terms=size, elements=total, extra=extra)


def rescaled(layer: Layer, config: Config) -> Lowering:
    """Numbers times constants plus constants, which belong to the circuit: no parameters are read."""
    return Lowering(Family.RESCALE, elements=elements(layer.output_shape))


def resized(layer: Layer, config: Config) -> Lowering:
    """Images of another size: each number the nearest of its input's, or a weighted mean of four of them."""
    if config.choice("interpolation", "bilinear", INTERPOLATIONS) == "nearest":
        return rearranged(layer, config)
    products = 4 * elements(layer.output_shape)
    return Lowering(Family.POOL_AVERAGE, terms=4, elements=products, extra={"scalings": products})


def masked(layer: Layer, config: Config) -> Lowering:
    """Every number compared with the one that marks a step as missing; missing steps are zeros."""
    count = elements(layer.input_shapes[0])
    return Lowering(Family.POOL_MAX, elements=count, extra={"comparisons": count})


#: Gates of each recurrent class; elementwise products and sums, functions of values (`activation`) and of gates
#: (`recurrent_activation`), per unit and step.
RECURRENT_WORK: Final = {"SimpleRNN": (1, 0, 1, 1, 0), "LSTM": (4, 3, 5, 2, 3), "GRU": (3, 3, 4, 1, 2)}


def recurrent(layer: Layer, config: Config) -> Lowering:
    """SimpleRNN, LSTM and GRU, all time steps together."""
    return _steps(layer, ((layer.class_name, config),))


def bidirectional(layer: Layer, config: Config) -> Lowering:
    """A recurrent layer in each direction."""
    return _steps(layer, directions(config))


def _steps(layer: Layer, runs: Sequence[tuple[str, Config]]) -> Lowering:
    """All steps of one or two recurrent layers that read the same sequence, each with its own weights."""
    steps, features = layer.input_shapes[0]
    units = [config.integer("units") for _, config in runs]
    works = [_step(steps, features, class_name, config) for class_name, config in runs]
    extra = {name: sum(work[name] for work in works) for name in works[0]}
    slots = {slot: extra.pop(slot) for slot in ("kernel", "recurrent_kernel", "bias")}
    parameters = tuple(Parameter(slot, count) for slot, count in slots.items() if count)
    extra["recurrent_terms"] = max(units)
    macs = extra["input_macs"] + extra["recurrent_macs"]
    return Lowering(Family.RECURRENT, parameters, macs, features, extra=extra)


def _step(steps: int, features: int, class_name: str, config: Config) -> dict[str, int]:
    """Parameters, matrix products and elementwise work of one recurrent layer over all steps."""
    units = config.integer("units")
    gates, products, sums, functions, gate_functions = RECURRENT_WORK[class_name]
    biases = gates * units * (2 if class_name == "GRU" and config.flag("reset_after", True) else 1)
    kernel, recurrent = gates * features * units, gates * units * units
    return {
        "kernel": kernel,
        "recurrent_kernel": recurrent,
        "bias": biases if _flag(config, "use_bias") else 0,
        "input_macs": steps * kernel,
        "recurrent_macs": steps * recurrent,
        "products": steps * units * products,
        "sums": steps * units * sums,
        "functions": steps * units * functions,
        "gate_functions": steps * units * gate_functions,
        "state_elements": steps * units * (2 if class_name == "LSTM" else 1),
    }


def embedding(layer: Layer, config: Config) -> Lowering:
    """Embedding: one row of the table for each index."""
    rows, width = elements(layer.input_shapes[0]), config.integer("output_dim")
    table = config.integer("input_dim") * width
    return Lowering(Family.EMBEDDING, (Parameter("embeddings", table),), elements=rows * width)


def attention(layer: Layer, config: Config) -> Lowering:
    """Multi-head attention: four projections, the scores and the context."""
    query, value = layer.input_shapes[0], layer.input_shapes[1]
    key = layer.input_shapes[2] if len(layer.input_shapes) > 2 else value
    heads, width = config.integer("num_heads"), config.integer("key_dim")
    value_width = width if config.values.get("value_dim") is None else config.integer("value_dim")
    out = layer.output_shape[-1]
    sizes = {
        "query": (query[0], query[-1], heads * width),
        "key": (key[0], key[-1], heads * width),
        "value": (value[0], value[-1], heads * value_width),
        "output": (query[0], heads * value_width, out),
    }
    parameters = tuple(Parameter(f"{name}_kernel", a * b) for name, (_, a, b) in sizes.items())
    if _flag(config, "use_bias"):
        parameters += tuple(Parameter(f"{name}_bias", b) for name, (_, _, b) in sizes.items())
    extra = {f"{name}_macs": positions * a * b for name, (positions, a, b) in sizes.items()}
    extra |= {f"{name}_terms": a for name, (_, a, _) in sizes.items()}
    scores = heads * query[0] * value[0]
    extra |= {"scores_macs": scores * width, "context_macs": scores * value_width, "softmax": scores}
    extra |= {"head_width": width, "positions": value[0]}
    macs = sum(count for name, count in extra.items() if name.endswith("_macs"))
    return Lowering(Family.ATTENTION, parameters, macs, extra=extra)


def activation(layer: Layer, config: Config) -> Lowering:
    """A function of every number; PReLU has slopes."""
    parameters: tuple[Parameter, ...] = ()
    if layer.class_name == "PReLU":
        shared = config.indices("shared_axes", len(layer.output_shape))
        slopes = math.prod(n for i, n in enumerate(layer.output_shape) if i not in shared)
        parameters = (Parameter("alpha", slopes),)
    return Lowering(Family.ACTIVATION, parameters, elements=elements(layer.output_shape))


def rearranged(layer: Layer, config: Config) -> Lowering:
    """Layers that only move, repeat or drop numbers."""
    counted = layer.output_shape if "UpSampling" in layer.class_name else layer.input_shapes[0]
    return Lowering(Family.SHAPE, elements=elements(counted))


def merge(layer: Layer, config: Config) -> Lowering:
    """Merges number by number, each number of the output from one of every input; concatenation moves its inputs."""
    largest = max(elements(shape) for shape in layer.input_shapes)
    return Lowering(Family.MERGE, elements=elements(layer.output_shape), extra={"largest": largest})


def dot(layer: Layer, config: Config) -> Lowering:
    """Dot: products of two tensors, summed along one axis."""
    first, _ = dot_axes(config, layer.input_shapes)
    terms = layer.input_shapes[0][first]
    return Lowering(Family.DOT, macs=elements(layer.output_shape) * terms, terms=terms)
