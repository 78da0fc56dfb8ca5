"""Activation functions and the quantizers that fit them: the one table. Plain: no Keras.

A quantizer of a kind in `_FUNCTION_KINDS` is an activation function itself and takes the place of a layer's own; every
other one is a grid, onto which the values of the layer's function are rounded. `fit` says what a quantizer makes of a
function, `default_quantizers` which quantizers a search offers for it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from costmodel.data_type import DataType
from quantization.specs.parse import QuantizerSpec, parse_quantizer

#: Functions whose values are read as probabilities: never quantized in a search.
PROBABILITIES: Final = frozenset({"softmax", "log_softmax", "sparsemax"})


@dataclass(frozen=True, slots=True)
class Function:
    """An activation function: its name in Keras and the bounds of its values.

    `slope`: below zero, of a function that passes positive numbers up to `high`; None for every other function.
    """

    name: str
    low: float = -math.inf
    high: float = math.inf
    slope: float | None = None

    def __str__(self) -> str:
        return (
            self.name
            if self.high in (math.inf, _usual(self.name).high)
            else f"{self.name} up to {self.high:g}"
        )

    @property
    def is_rectifier(self) -> bool:
        """Whether it is ReLU, bounded or not."""
        return self.slope == 0.0


class Fit(StrEnum):
    """What becomes of a layer's function in a quantizer."""

    SAME = "same"  #: the function, on a grid
    COARSE = "coarse"  #: its hard form, or the signs that stand for ReLU and linear in one and two bits
    OTHER = "other"  #: another function


LINEAR: Final = Function("linear")
RELU: Final = Function("relu", 0.0, slope=0.0)

#: Keras' functions by name.
FUNCTIONS: Final[Mapping[str, Function]] = {
    function.name: function
    for function in (
        LINEAR,
        RELU,
        Function("relu6", 0.0, 6.0, slope=0.0),
        Function("leaky_relu", slope=0.2),
        Function("elu", -1.0),
        Function("selu", -1.7581),
        Function("celu", -1.0),
        Function("gelu", -0.17),
        Function("silu", -0.2785),
        Function("hard_silu", -0.375),
        Function("mish", -0.3088),
        Function("softplus", 0.0),
        Function("squareplus", 0.0),
        Function("sparse_plus", 0.0),
        Function("exponential", 0.0),
        Function("sigmoid", 0.0, 1.0),
        Function("hard_sigmoid", 0.0, 1.0),
        Function("sparse_sigmoid", 0.0, 1.0),
        Function("tanh", -1.0, 1.0),
        Function("hard_tanh", -1.0, 1.0),
        Function("softsign", -1.0, 1.0),
        Function("log_sigmoid", high=0.0),
        Function("hard_shrink"),
        Function("soft_shrink"),
        Function("tanh_shrink"),
        Function("threshold"),
        Function("softmax", 0.0, 1.0),
        Function("sparsemax", 0.0, 1.0),
        Function("log_softmax", high=0.0),
    )
}
#: Other names that Keras takes for them.
_ALIASES: Final = {"swish": "silu", "hard_swish": "hard_silu"}


def _usual(name: str) -> Function:
    return FUNCTIONS.get(name, Function(name))


def function_named(value: Any) -> Function:
    """The function that a configuration names: by a string, or by the object Keras writes of a Python function.

    Anything else is a function without a name, of which nothing is known.
    """
    if isinstance(value, Mapping) and isinstance(value.get("config"), str):
        value = value["config"]
    if value is None:
        return LINEAR
    return _usual(_ALIASES.get(value, value)) if isinstance(value, str) else Function("custom")


def layer_function(class_name: str, config: Mapping[str, Any], slot: str = "activation") -> Function:
    """The function in a slot of a layer: that of an activation layer's class, else the one its configuration names."""
    read = _LAYERS.get(class_name)
    return function_named(config.get(slot)) if read is None else read(config)


def _relu_layer(config: Mapping[str, Any]) -> Function:
    """keras.layers.ReLU; with a threshold it jumps, which no rectifying quantizer does."""
    top = _number(config.get("max_value"), math.inf)
    slope, threshold = _number(config.get("negative_slope"), 0.0), _number(config.get("threshold"), 0.0)
    low = -math.inf if slope else 0.0
    if threshold:
        return Function("relu", low, top)
    if slope:
        return Function("leaky_relu", low, top, slope)
    return Function("relu6" if top == 6.0 else "relu", low, top, slope=0.0)


def _leaky_layer(config: Mapping[str, Any]) -> Function:
    return replace(FUNCTIONS["leaky_relu"], slope=_number(config.get("negative_slope"), 0.3))


def _elu_layer(config: Mapping[str, Any]) -> Function:
    return Function("elu", -abs(_number(config.get("alpha"), 1.0)))


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


#: Layers that are a function of every number: class -> the function of a configuration.
_LAYERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Function]]] = {
    "ReLU": _relu_layer,
    "LeakyReLU": _leaky_layer,
    "PReLU": lambda _: Function("prelu"),
    "ELU": _elu_layer,
    "Softmax": lambda _: FUNCTIONS["softmax"],
}


# --- what a quantizer makes of a function -----------------------------------------------------------------------------


def fit(function: Function, spec: QuantizerSpec) -> Fit:
    """Whether a quantizer in the slot of a function computes that function, a coarse form of it, or another one."""
    return _FUNCTION_KINDS.get(spec.kind, _grid)(function, spec)


def _grid(function: Function, spec: Any) -> Fit:
    """The function stays; a grid without a sign cuts off what it has below zero."""
    return Fit.SAME if spec.signed or function.low >= 0.0 else Fit.OTHER


def _rectifier(function: Function, spec: Any) -> Fit:
    slope = getattr(spec, "negative_slope", 0.0)
    if function.slope != slope or _top(spec) > function.high:
        return Fit.OTHER
    return Fit.COARSE if getattr(spec, "use_sigmoid", False) else Fit.SAME


def _top(spec: Any) -> float:
    """The largest value of a rectifying quantizer."""
    if spec.kind == "discrete_relu":
        return float(spec.step_width * (2.0**spec.bits - 1.0))
    if spec.kind == "quantized_relu_po2":
        return math.inf if spec.max_value is None else float(spec.max_value)
    codes = float(2.0 ** (spec.bits - (spec.negative_slope != 0)))
    top = float((codes - 1.0) * 2.0**spec.integer / codes)
    bound = math.inf if spec.is_quantized_clip else spec.relu_upper_bound
    return min(top, math.inf if bound is None else float(bound))


def _tanh(function: Function, spec: Any) -> Fit:
    if function.name == ("tanh" if spec.use_real_tanh else "hard_tanh"):
        return Fit.SAME
    return Fit.COARSE if function.name == "tanh" else Fit.OTHER


def _sigmoid(function: Function, spec: Any) -> Fit:
    # The hard form is x/2 + 1/2, which Keras calls sparse_sigmoid; Keras' hard_sigmoid is x/6 + 1/2.
    if function.name == ("sigmoid" if spec.use_real_sigmoid else "sparse_sigmoid"):
        return Fit.SAME
    hard = not spec.use_real_sigmoid and function.name in ("sigmoid", "hard_sigmoid")
    return Fit.COARSE if hard else Fit.OTHER


def _hard_swish(function: Function, spec: Any) -> Fit:
    if function.name not in ("silu", "hard_silu"):
        return Fit.OTHER
    usual = (spec.relu_shift, spec.relu_upper_bound) == (3, 6)
    return Fit.SAME if usual and function.name == "hard_silu" else Fit.COARSE


def _sign(function: Function, spec: Any) -> Fit:
    return Fit.COARSE if function.is_rectifier or function.name == "linear" else Fit.OTHER


def _compression(function: Function, spec: Any) -> Fit:
    return Fit.OTHER


#: Kinds that are a function themselves (a compression comes after the layer's, and changes its values).
_FUNCTION_KINDS: Final[Mapping[str, Callable[[Function, Any], Fit]]] = {
    **dict.fromkeys(("quantized_relu", "quantized_relu_po2", "discrete_relu"), _rectifier),
    "quantized_tanh": _tanh,
    "quantized_sigmoid": _sigmoid,
    "quantized_hswish": _hard_swish,
    "quantized_ulaw": _compression,
    **dict.fromkeys(("binary", "ternary", "stochastic_binary", "stochastic_ternary", "bernoulli"), _sign),
}


# --- what the cost model prices ---------------------------------------------------------------------------------------


def slot_type(spec: QuantizerSpec) -> DataType:
    """The data type of a slot, as the cost model prices it: with the function that the quantizer itself is, if any."""
    replacement = _REPLACEMENTS.get(spec.kind)
    data_type = spec.data_type()
    return data_type if replacement is None else replace(data_type, function=replacement(spec))


#: Kinds that take the place of a layer's function -> the function that is computed then. A sign is a comparison.
_REPLACEMENTS: Final[Mapping[str, Callable[[Any], str]]] = {
    **dict.fromkeys(("quantized_relu", "quantized_relu_po2", "discrete_relu"), lambda _: "relu"),
    **dict.fromkeys(
        ("binary", "ternary", "stochastic_binary", "stochastic_ternary", "bernoulli"), lambda _: "threshold"
    ),
    "quantized_tanh": lambda spec: "tanh" if spec.use_real_tanh else "hard_tanh",
    "quantized_sigmoid": lambda spec: "sigmoid" if spec.use_real_sigmoid else "hard_sigmoid",
    "quantized_hswish": lambda _: "hard_silu",
}


# --- what a search offers ---------------------------------------------------------------------------------------------

#: (bits, integer bits) of grids for functions without an upper bound; the sign is not counted among the integer bits.
_OPEN: Final[tuple[tuple[int, int], ...]] = ((2, 1), (3, 1), (4, 2), (6, 2), (8, 2), (8, 4), (16, 8))
#: Bits of grids for functions whose largest value is finite.
_BOUNDED: Final = (2, 3, 4, 6, 8, 16)


@functools.lru_cache(maxsize=256)
def default_quantizers(function: Function) -> tuple[QuantizerSpec, ...]:
    """The quantizers that a search offers for a function unless a job names others: all of them compute it."""
    own = {
        "tanh": "quantized_tanh({},use_real_tanh=1)",
        "sigmoid": "quantized_sigmoid({},use_real_sigmoid=1)",
    }
    if function.name in own:
        return tuple(parse_quantizer(own[function.name].format(bits)) for bits in _BOUNDED)
    signed = function.low < 0.0
    reach = max(function.high, -function.low)
    widths = _OPEN
    if not math.isinf(reach):
        integer = max(math.ceil(math.log2(reach)), 0) if reach > 0.0 else 0
        widths = tuple((bits, integer) for bits in _BOUNDED if bits > integer)
    sign = "" if signed else ",keep_negative=0"
    return tuple(parse_quantizer(f"quantized_bits({bits},{integer},0{sign})") for bits, integer in widths)
