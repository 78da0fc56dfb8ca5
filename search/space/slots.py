"""Which tensors of a layer get a quantizer, and from which part of the space. Plain; a test holds it to the layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costmodel.network import Layer
from quantization.specs.parse import QuantizerSpec

#: Functions that are never quantized: their output is read as probabilities.
NEVER_QUANTIZED: Final = frozenset({"softmax"})

_RECURRENT: Final = {
    "kernel": "kernel",
    "recurrent_kernel": "recurrent_kernel",
    "bias": "bias",
    "activation": "activation",
    "state": "state",
}
_GATED: Final = _RECURRENT | {"recurrent_activation": "recurrent_activation"}
_DENSE: Final = {"kernel": "kernel", "bias": "bias", "activation": "activation"}
_DEPTHWISE: Final = _DENSE | {"kernel": "depthwise_kernel"}
_SEPARABLE: Final = _DEPTHWISE | {"pointwise_kernel": "pointwise_kernel"}
_PROJECTIONS: Final = ("query", "key", "value", "output")

#: Class of layer -> slot -> field of the space. What a layer's configuration leaves out is taken off by `slots_of`.
SLOTS: Final[Mapping[str, Mapping[str, str]]] = {
    "Activation": {"activation": "activation"},
    "BatchNormalization": {},
    "Bidirectional": _GATED,
    "Conv1D": _DENSE,
    "Conv1DTranspose": _DENSE,
    "Conv2D": _DENSE,
    "Conv2DTranspose": _DENSE,
    "Dense": _DENSE,
    "DepthwiseConv1D": _DEPTHWISE,
    "DepthwiseConv2D": _DEPTHWISE,
    "Embedding": {"embeddings": "embeddings"},
    "GRU": _GATED,
    "LSTM": _GATED,
    "MultiHeadAttention": {f"{name}_kernel": "kernel" for name in _PROJECTIONS}
    | {f"{name}_bias": "bias" for name in _PROJECTIONS},
    "SeparableConv1D": _SEPARABLE,
    "SeparableConv2D": _SEPARABLE,
    "SimpleRNN": _RECURRENT,
}

#: Classes whose tensors can be quantized.
QUANTIZABLE: Final = tuple(SLOTS)

#: Slots that act inside a loop over time, where no random number can be drawn.
_INSIDE_A_LOOP: Final = frozenset({"activation", "recurrent_activation", "state"})
_LOOPS: Final = frozenset({"Bidirectional", "GRU", "LSTM", "SimpleRNN"})


def slots_of(layer: Layer) -> tuple[tuple[str, str], ...]:
    """(slot, field) of every tensor of the layer that gets a quantizer.

    Nothing is said of a bias that is not there, of linear functions inside layers (there is nothing to quantize but the
    accumulator) and of softmax.
    """
    class_name, config = layer.class_name, layer.config
    if class_name == "Bidirectional":
        class_name, config = _inner(config)
    function = config.get("activation")
    if class_name == "Activation":
        return (("activation", "linear" if function in (None, "linear") else "activation"),)
    return tuple((slot, field) for slot, field in SLOTS[class_name].items() if _has(slot, config))


def _inner(config: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The layer that a Bidirectional runs in both directions."""
    inner = config["layer"]
    return inner["class_name"], inner["config"]


def _has(slot: str, config: Mapping[str, Any]) -> bool:
    if slot.endswith("bias"):
        return bool(config.get("use_bias", True))
    if slot in ("activation", "recurrent_activation"):
        return config.get(slot) not in (None, "linear", *NEVER_QUANTIZED)
    return True


def allows(layer: Layer, slot: str, quantizer: QuantizerSpec) -> bool:
    """False for a quantizer that draws random numbers where none can be drawn."""
    if layer.class_name not in _LOOPS or slot not in _INSIDE_A_LOOP:
        return True
    return not is_random(quantizer)


def is_random(quantizer: QuantizerSpec) -> bool:
    """True if training with the quantizer draws random numbers."""
    return quantizer.data_type().stochastic or bool(getattr(quantizer, "use_stochastic_rounding", False))
