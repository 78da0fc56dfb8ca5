"""Widths for each output channel of a weight: which layers have them, and whether a type fits its layer."""

from __future__ import annotations

from typing import Final

from costmodel.data_type import SlotTypes
from costmodel.errors import InvalidTypes
from costmodel.layer import Layer
from costmodel.layer_classes import LAYER_CLASSES

#: Slots whose channels may have widths of their own.
CHANNEL_SLOTS: Final = frozenset({"kernel", "bias"})
#: Classes whose every channel has equally many weights and products: dense layers and convolutions of one kernel.
CHANNEL_CLASSES: Final = frozenset(
    name
    for name, row in LAYER_CLASSES.items()
    if row.linear and {slot.name for slot in row.slots} == {"kernel", "bias", "activation"}
)


def channel_widths_fault(class_name: str, slot: str, widths: int, channels: int | None) -> str | None:
    """Why a slot of a layer cannot have these many widths, and what to do; None: it can.

    `channels`: of the layer's output; None where it is not known yet.
    """
    if widths < 2:
        return None
    if class_name not in CHANNEL_CLASSES or slot not in CHANNEL_SLOTS:
        return (
            f"a width for each channel is for kernel and bias of {', '.join(sorted(CHANNEL_CLASSES))}; give the {slot} "
            f"of {class_name} one width"
        )
    if channels not in (None, widths):
        return f"{slot} lists {widths} widths, the layer has {channels} channels: list {channels}, or one for all"
    return None


def check_channel_widths(layer: Layer, slots: SlotTypes) -> None:
    """Raises `InvalidTypes` for a type with widths for each channel that does not fit the layer."""
    for slot, data_type in slots.items():
        if data_type is None or not data_type.channel_bits:
            continue
        channels = layer.output_shape[-1] if layer.output_shape else 1
        fault = channel_widths_fault(layer.class_name, slot, len(data_type.channel_bits), channels)
        if fault is not None:
            raise InvalidTypes(layer.name, fault)
