"""Which slots of a layer a search chooses a quantizer for, and from which part of the space. Plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costmodel.layer import Layer
from costmodel.layer_classes import FUNCTION_SLOTS, LAYER_CLASSES, OUTPUT_SLOT, slots_of, unwrapped
from quantization.specs.functions import LINEAR, PROBABILITIES, Function, function_named, layer_function
from quantization.specs.parse import QuantizerSpec


def function_in(layer: Layer, slot: str) -> Function:
    """The function in a slot of a layer, that of the inner layer of a Bidirectional."""
    class_name, config = unwrapped(layer.class_name, layer.config)
    return layer_function(class_name, config, slot)


def searched_slots(layer: Layer) -> tuple[tuple[str, str], ...]:
    """(slot, field of the space) of everything in the layer that gets a quantizer.

    Left out are a bias that does not exist, linear functions inside layers (there is nothing to quantize but the
    accumulator) and softmax.
    """
    if layer.class_name == "Activation":
        return ((OUTPUT_SLOT, "linear" if function_in(layer, OUTPUT_SLOT) == LINEAR else "activation"),)
    if not LAYER_CLASSES[layer.class_name].searched:
        return ()
    _, config = unwrapped(layer.class_name, layer.config)
    return tuple(
        (slot.name, slot.field)
        for slot in slots_of(layer.class_name, layer.config)
        if slot.field is not None and (slot.field == "linear" or _has(slot.name, config))
    )


def _has(slot: str, config: Mapping[str, Any]) -> bool:
    """True unless the slot holds a function that is linear or never quantized."""
    if slot not in FUNCTION_SLOTS:
        return True
    function = function_named(config.get(slot))
    return function != LINEAR and function.name not in PROBABILITIES


def allows(layer: Layer, slot: str, quantizer: QuantizerSpec) -> bool:
    """False for a quantizer that draws random numbers where none can be drawn."""
    in_loop = any(entry.in_loop for entry in LAYER_CLASSES[layer.class_name].slots if entry.name == slot)
    return not (in_loop and is_random(quantizer))


def is_random(quantizer: QuantizerSpec) -> bool:
    """True if training with the quantizer draws random numbers."""
    return quantizer.data_type().stochastic or bool(getattr(quantizer, "use_stochastic_rounding", False))
