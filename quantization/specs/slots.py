"""Which slots of a layer may hold a quantizer, and from which part of a search space it comes. Plain."""

from __future__ import annotations

from typing import Final

from costmodel.layer import Layer
from costmodel.layer_classes import (
    FUNCTION_SLOTS,
    LAYER_CLASSES,
    OUTPUT_SLOT,
    LayerSlot,
    slots_of,
    unwrapped,
)
from quantization.specs.functions import LINEAR, PROBABILITIES, Function, layer_function
from quantization.specs.parse import QuantizerSpec

#: Slots besides the kernels whose scale is computed from the data if the specification has no alpha.
AUTOMATIC_SLOTS: Final = frozenset({"embeddings", "gamma", "variance"})


def runs_automatic(slot: str, spec: QuantizerSpec) -> bool:
    """Whether a quantizer without an alpha gets an automatic one in a slot, as all kernels do."""
    automatic = slot.endswith("kernel") or slot in AUTOMATIC_SLOTS
    return automatic and "alpha" in type(spec).model_fields and getattr(spec, "alpha") is None  # noqa: B009


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
