"""Plain Keras layers: any quantizer of weights, and those of activations that Keras' own operations compute. Plain."""

from __future__ import annotations

from typing import Final

from costmodel.layer_classes import LAYER_CLASSES
from quantization.export.legality.base import Legality, QuantizedTensor, SlotRule
from quantization.export.legality.onnx import GRIDS, STEPS, activation_fault
from quantization.export.legality.qkeras import own_layers
from quantization.specs.parse import QuantizerSpec

_LOOPS: Final = frozenset({"SimpleRNN", "LSTM", "GRU", "Bidirectional"})


def _activation(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    if tensor.field == "average":  # a number, the factor of a mean
        return None
    if tensor.layer.class_name in _LOOPS:
        return "Keras' recurrent layers round nothing inside their loop; leave the slot out, or use the format keras"
    if quantizer.kind not in GRIDS | STEPS:
        return f"its range follows the data; use {', '.join(sorted(GRIDS | STEPS))}, or the format keras"
    return activation_fault(quantizer)


KERAS_PLAIN: Final = Legality(
    layers=frozenset(name for name, row in LAYER_CLASSES.items() if row.keras),
    slots={"activation": SlotRule(None, None, (_activation,))},
    rules=(own_layers,),
)
