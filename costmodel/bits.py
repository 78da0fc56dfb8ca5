"""The size of a network in bits: its parameters and the activations it writes.

`BitsSettings.config` selects, by class of layer, what counts, as AutoQKeras' "bits" goal does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from costmodel.channel_widths import check_channel_widths
from costmodel.data_type import SlotTypes
from costmodel.errors import InvalidSettings
from costmodel.layer import Layer, elements
from costmodel.layer_classes import INPUT, TRAINING_ONLY, lower
from costmodel.lowering import Family, Lowering, stored_parameters
from costmodel.network import Network
from costmodel.technology import ACCOUNTINGS

#: The parts of a layer that can count.
COUNTED: Final = ("parameters", "activations")
#: Classes whose parameters AutoQKeras counts.
_KERNELS: Final = ("Dense", "Conv1D", "Conv2D", "DepthwiseConv2D")
#: Bits that AutoQKeras assumes for the variance and beta of any quantized batch normalization.
_NORM_BITS: Final = {"variance": 6, "beta": 5}


@dataclass(frozen=True)
class BitsSettings:
    """How bits are counted.

    `input_bits`, `output_bits`: of inputs without a quantizer, and of softmax and sigmoid outputs. `ref_bits`: of all
    that is not quantized. `config`: class -> parts that count, "default" for all other classes, "QDense" for a
    quantized Dense; None counts everything. `accounting`: "corrected" counts every parameter of every class; "qtools"
    counts as AutoQKeras does (no gamma or mean, 6 and 5 bits for a quantized normalization, nothing of unknown
    classes).

    Raises `InvalidSettings` naming the field.
    """

    input_bits: int = 8
    output_bits: int = 8
    ref_bits: int = 8
    config: Mapping[str, tuple[str, ...]] | None = field(default=None, hash=False)
    accounting: str = "corrected"

    def __post_init__(self) -> None:
        for name in ("input_bits", "output_bits", "ref_bits"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 64:
                raise InvalidSettings(name, "must be a whole number of 1 to 64")
        if self.accounting not in ACCOUNTINGS:
            raise InvalidSettings("accounting", f"must be one of {', '.join(ACCOUNTINGS)}")
        if self.config is not None:
            object.__setattr__(self, "config", _checked(self.config))

    def counts(self, class_name: str, quantized: bool) -> tuple[str, ...]:
        """The parts of a layer of this class that count."""
        if self.config is None:
            return COUNTED
        names = (f"Q{class_name}",) if quantized else (class_name,)
        return next((self.config[name] for name in (*names, "default") if name in self.config), ())


def _checked(config: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(config, Mapping):
        raise InvalidSettings("config", "must map classes of layers to the parts that count")
    for name, parts in config.items():
        if not isinstance(name, str) or not isinstance(parts, list | tuple) or not set(parts) <= set(COUNTED):
            raise InvalidSettings(f"config.{str(name)[:40]}", f"must list some of {', '.join(COUNTED)}")
    if not any(config.values()):
        raise InvalidSettings("config", "counts nothing")
    return {name: tuple(parts) for name, parts in config.items()}


@dataclass(frozen=True, slots=True)
class LayerBits:
    """The bits of one layer; `counted` are those that the configuration includes."""

    name: str
    class_name: str
    parameters: int
    activations: int
    counted_parameters: int
    counted_activations: int

    @property
    def counted(self) -> int:
        """Bits that count towards the network's total."""
        return self.counted_parameters + self.counted_activations


@dataclass(frozen=True, slots=True)
class BitsReport:
    """Bits of a network, layer by layer in topological order."""

    layers: tuple[LayerBits, ...]

    @property
    def parameters(self) -> int:
        """Bits of all parameters that count."""
        return sum(layer.counted_parameters for layer in self.layers)

    @property
    def activations(self) -> int:
        """Bits of all activations that count."""
        return sum(layer.counted_activations for layer in self.layers)

    @property
    def total(self) -> int:
        """Bits that count."""
        return self.parameters + self.activations

    @property
    def bytes(self) -> int:
        """The total in bytes, rounded up."""
        return math.ceil(self.total / 8)


def model_bits(network: Network, types: Mapping[str, SlotTypes], settings: BitsSettings) -> BitsReport:
    """The size of a network with these types of quantized layers. Raises `InvalidNetwork`."""
    for name in types:
        network.layer(name)
    layers = [layer for layer in network.layers if layer.class_name not in TRAINING_ONLY]
    return BitsReport(tuple(_layer_bits(layer, types.get(layer.tensors_of), settings) for layer in layers))


def reference_bits(network: Network, settings: BitsSettings) -> BitsReport:
    """The size of the network with nothing quantized."""
    return model_bits(network, {}, settings)


def _layer_bits(layer: Layer, slots: SlotTypes | None, settings: BitsSettings) -> LayerBits:
    check_channel_widths(layer, slots or {})
    lowering = lower(layer)
    parameters = _parameters(layer, lowering, slots, settings) if lowering and not layer.is_repeated else 0
    activations = _activations(layer, lowering, slots, settings)
    counted = settings.counts(layer.class_name, slots is not None and layer.class_name != INPUT)
    return LayerBits(
        layer.name,
        layer.class_name,
        parameters,
        activations,
        parameters if "parameters" in counted else 0,
        activations if "activations" in counted else 0,
    )


def _parameters(layer: Layer, lowering: Lowering, slots: SlotTypes | None, settings: BitsSettings) -> int:
    if settings.accounting == "qtools":
        if lowering.family is Family.BATCH_NORM:
            return _norm_as_qkeras(lowering, slots, settings)
        if layer.class_name not in _KERNELS:
            return 0
    typed = [slot for slot, data_type in (slots or {}).items() if data_type is not None]
    stored = stored_parameters(lowering, typed)
    return sum(_slot_bits(p.slot, p.elements, slots, settings.ref_bits) for p in stored)


def _norm_as_qkeras(lowering: Lowering, slots: SlotTypes | None, settings: BitsSettings) -> int:
    counted = [p for p in lowering.parameters if p.slot in _NORM_BITS]
    if slots is None:
        return sum(p.elements * settings.ref_bits for p in counted)
    return sum(p.elements * _NORM_BITS[p.slot] for p in counted)


#: Slot -> the slot whose type it takes if it has none itself.
_FALLBACKS: Final = {"embeddings": "kernel", "pointwise_kernel": "kernel"}


def _slot_bits(slot: str, count: int, slots: SlotTypes | None, otherwise: int) -> int:
    """Bits of a slot's numbers by its type; attention's kernels and biases may share one slot."""
    if slots is None:
        return count * otherwise
    common = "bias" if slot.endswith("_bias") else "kernel" if slot.endswith("_kernel") else ""
    for name in (slot, _FALLBACKS.get(slot, common)):
        data_type = slots.get(name)
        if data_type is not None and not (slot == "recurrent_kernel" and name == "kernel"):
            return data_type.stored_bits(count)
    return count * otherwise


def _activations(
    layer: Layer, lowering: Lowering | None, slots: SlotTypes | None, settings: BitsSettings
) -> int:
    count = elements(layer.output_shape)
    output = slots.get("activation") if slots else None
    if lowering is None:
        return count * (settings.input_bits if output is None else output.bits)
    function = layer.config.get("activation", "linear")
    if layer.class_name == "Activation" or (
        lowering.family is Family.ACTIVATION and settings.accounting != "qtools"
    ):
        if layer.class_name != "Activation":
            function = "softmax" if layer.class_name in ("Softmax", "Shiftmax") else "function"
        if output is not None:
            return count * output.bits
        ends = function in ("softmax", "sigmoid", "shiftmax")
        return 0 if function == "linear" else count * (settings.output_bits if ends else settings.ref_bits)
    if output is not None:
        return count * output.bits
    if function in (None, "linear") or "activation" not in layer.config:
        return 0
    ends = function == "softmax" and slots is not None
    return count * (settings.output_bits if ends else settings.ref_bits)
