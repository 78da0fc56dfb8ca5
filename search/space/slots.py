"""Which slots of a layer a search chooses a quantizer for, and from which part of the space. Plain."""

from __future__ import annotations

from costmodel.layer import Layer
from costmodel.layer_classes import (
    FUNCTION_SLOTS,
    LAYER_CLASSES,
    OUTPUT_LAYERS,
    OUTPUT_SLOT,
    LayerSlot,
    slots_of,
    unwrapped,
)
from quantization.specs.functions import LINEAR, PROBABILITIES, Function, layer_function
from quantization.specs.parse import QuantizerSpec


def function_in(layer: Layer, slot: str) -> Function:
    """The function in a slot of a layer, that of the inner layer of a Bidirectional."""
    class_name, config = unwrapped(layer.class_name, layer.config)
    return layer_function(class_name, config, slot)


def searched_slots(layer: Layer) -> tuple[tuple[str, str], ...]:
    """(slot, field of the space) of everything in the layer that gets a quantizer wherever limits cover the layer.

    Left out are a bias that does not exist, softmax, and outputs without a function (`has_output`).
    """
    if layer.class_name == "Activation":
        return ((OUTPUT_SLOT, "linear" if function_in(layer, OUTPUT_SLOT) == LINEAR else "activation"),)
    if not LAYER_CLASSES[layer.class_name].searched:
        return ()
    return tuple(
        (slot.name, slot.field)
        for slot in slots_of(layer.class_name, layer.config)
        if slot.field is not None and _is_quantized(layer, slot)
    )


def _is_quantized(layer: Layer, slot: LayerSlot) -> bool:
    """False for a function that is linear or whose values are probabilities, unless linear values are meant."""
    if slot.name not in FUNCTION_SLOTS or slot.field == "linear":
        return True
    function = function_in(layer, slot.name)
    return function != LINEAR and function.name not in PROBABILITIES


def is_searched(layer: Layer) -> bool:
    """Whether limits that cover the layer quantize something in it."""
    if layer.class_name == "Activation":
        return function_in(layer, OUTPUT_SLOT).name not in PROBABILITIES
    return LAYER_CLASSES[layer.class_name].searched


def has_output(layer: Layer) -> bool:
    """Whether the layer's output, which no function has changed, can be quantized: linear sums, merges, poolings."""
    if layer.class_name in OUTPUT_LAYERS:
        return True
    return LAYER_CLASSES[layer.class_name].linear and function_in(layer, OUTPUT_SLOT) == LINEAR


def allows(layer: Layer, slot: str, quantizer: QuantizerSpec) -> bool:
    """False for a quantizer that draws random numbers where none can be drawn."""
    in_loop = any(entry.in_loop for entry in LAYER_CLASSES[layer.class_name].slots if entry.name == slot)
    return not (in_loop and is_random(quantizer))


def is_random(quantizer: QuantizerSpec) -> bool:
    """True if training with the quantizer draws random numbers."""
    return quantizer.data_type().stochastic or bool(getattr(quantizer, "use_stochastic_rounding", False))
