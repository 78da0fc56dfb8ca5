"""ONNX, with QONNX' nodes or with integer types: layers and quantizers that can be written. Plain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from quantization.export.legality.base import Graph, Legality, QuantizedTensor, SlotRule, function_of
from quantization.export.legality.rules import whole
from quantization.specs.parse import QuantizerSpec

_RANKS: Final = (1, 2, 3)
#: Layers that are a function themselves.
FUNCTION_CLASSES: Final = frozenset({"ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax"})
LAYERS: Final = FUNCTION_CLASSES | {
    *(f"{name}{rank}D" for name in ("Conv", "MaxPooling", "AveragePooling") for rank in _RANKS),
    *(f"{name}{rank}D" for name in ("GlobalMaxPooling", "GlobalAveragePooling") for rank in _RANKS),
    *(f"{name}{rank}D" for name in ("ZeroPadding", "Cropping", "UpSampling") for rank in _RANKS),
    *(f"{name}{rank}D" for name in ("DepthwiseConv", "SeparableConv") for rank in (1, 2)),
    *("Activation", "Add", "Average", "BatchNormalization", "Concatenate", "Dense", "Flatten", "Maximum"),
    *("Minimum", "Multiply", "Permute", "RepeatVector", "Reshape", "Subtract"),
}
#: Keras' names of functions.
FUNCTIONS: Final = frozenset(
    {
        *(
            "linear",
            "relu",
            "relu6",
            "leaky_relu",
            "elu",
            "selu",
            "celu",
            "silu",
            "sigmoid",
            "tanh",
            "softplus",
        ),
        *("softsign", "softmax", "log_softmax", "exponential", "hard_sigmoid"),
    }
)
#: Kinds whose levels lie in equal distances.
GRIDS: Final = frozenset(
    {
        *("quantized_bits", "quantized_linear", "quantized_relu", "quantized_tanh", "quantized_sigmoid"),
        *("quantized_hswish", "discrete_relu", "binary", "stochastic_binary", "bernoulli"),
    }
)
#: Kinds that are written as thresholds and a table of levels, which may have so many bits.
STEPS: Final = frozenset(
    {"ternary", "stochastic_ternary", "quantized_po2", "quantized_relu_po2", "quantized_ulaw"}
)
MOST_STEP_BITS: Final = 8


def activation_fault(spec: Any) -> str | None:
    """Why a quantizer of activations cannot be written, and what to use; None: it can."""
    alpha = getattr(spec, "alpha", None)
    if getattr(spec, "qnoise_factor", 1.0) != 1.0:
        return "it lets part of the float values pass; use qnoise_factor=1.0"
    if isinstance(alpha, str):
        return f"alpha={alpha!r} depends on the data; give a number"
    if isinstance(alpha, tuple):
        return f"one alpha for all activations is needed, not {len(alpha)}"
    if spec.compat:
        return "it reproduces the faults of another library; leave compat out"
    if spec.kind in STEPS and spec.bits > MOST_STEP_BITS:
        return f"its levels are written one by one; use at most {MOST_STEP_BITS} bits"
    return None


def _activation(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    return activation_fault(quantizer)


def _functions(graph: Graph) -> Iterator[tuple[str, str]]:
    listed = ", ".join(sorted(FUNCTIONS))
    for layer in graph.layers:
        function = function_of(layer)
        if layer.class_name not in FUNCTION_CLASSES and function not in FUNCTIONS:
            yield layer.name, f"activation {function!r}; {listed} are written, and quantizers of activations"


def _options(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        config: dict[str, Any] = dict(layer.config)
        if config.get("data_format") == "channels_first":
            yield layer.name, "channels_first; use channels_last"
        if layer.class_name.startswith("UpSampling") and config.get("interpolation", "nearest") != "nearest":
            yield layer.name, f"interpolation={config['interpolation']!r}; use 'nearest'"
        if layer.class_name == "Softmax" and not isinstance(config.get("axis", -1), int):
            yield layer.name, f"axis={config['axis']}; a softmax along one axis is written"


def _normalizations(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.class_name == "BatchNormalization" and layer.config.get("renorm"):
            yield layer.name, "renorm=True; use renorm=False"


_WEIGHTS: Final = SlotRule(None, None, (whole,))

ONNX: Final = Legality(
    layers=LAYERS,
    slots={
        "kernel": _WEIGHTS,
        "bias": _WEIGHTS,
        "normalization": _WEIGHTS,
        "activation": SlotRule(GRIDS | STEPS, None, (_activation,)),
    },
    rules=(_functions, _options, _normalizations),
)
