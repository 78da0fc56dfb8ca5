"""What a search may choose for a slot of a layer. Plain; which slots there are: `quantization.specs.slots`."""

from __future__ import annotations

from costmodel import lowering
from costmodel.layer import Layer
from costmodel.layer_classes import LAYER_CLASSES, OUTPUT_LAYERS, OUTPUT_SLOT
from quantization.specs.functions import LINEAR, PROBABILITIES
from quantization.specs.parse import QuantizerSpec
from quantization.specs.slots import function_in


def is_searched(layer: Layer) -> bool:
    """Whether limits that cover the layer quantize something in it."""
    if layer.class_name == "Activation":
        return function_in(layer, OUTPUT_SLOT).name not in PROBABILITIES
    return LAYER_CLASSES[layer.class_name].searched


def has_output(layer: Layer) -> bool:
    """Whether the layer's output, which no function has changed, can be quantized: linear sums, merges, poolings."""
    if layer.class_name in OUTPUT_LAYERS:
        return True
    row = LAYER_CLASSES[layer.class_name]
    return (row.linear or row.lower is lowering.attention) and function_in(layer, OUTPUT_SLOT) == LINEAR


def allows(layer: Layer, slot: str, quantizer: QuantizerSpec) -> bool:
    """False for a quantizer that draws random numbers where none can be drawn."""
    in_loop = any(entry.in_loop for entry in LAYER_CLASSES[layer.class_name].slots if entry.name == slot)
    return not (in_loop and is_random(quantizer))


def is_random(quantizer: QuantizerSpec) -> bool:
    """True if training with the quantizer draws random numbers."""
    return quantizer.data_type().stochastic or bool(getattr(quantizer, "use_stochastic_rounding", False))
