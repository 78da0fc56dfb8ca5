"""The proof of an export: what it computes in a fresh process, held against the quantized model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import keras
import numpy as np
from keras import ops

from costmodel.layer_classes import TRAINING_ONLY
from quantization.export.comparison import Proof, compare_outputs
from quantization.export.context import Examples, Floats, OutputStage, batches
from quantization.export.run import Outputs, run_export
from quantization.export.written import Export

#: Functions that an output may end in and a format may leave out: none changes which score is the largest.
_ENDS: Final = ("softmax", "sigmoid")
_PASSED: Final = {"Flatten", "Reshape"} | TRAINING_ONLY


def prove(model: keras.Model, export: Export, inputs: Examples, classifies: Sequence[bool]) -> Proof:
    """Run an export in a fresh process on inputs as the model reads them, and compare it with the model.

    Raises `RunFailed`, and `NotExact` where the format promises equality and no layer says why there is none.
    """
    return compare(model, export, inputs, run_export(export.format, export.folder, inputs), classifies)


def compare(
    model: keras.Model, export: Export, inputs: Examples, outputs: Outputs, classifies: Sequence[bool]
) -> Proof:
    """The proof of what an export computed from these inputs; as `prove`."""
    expected = model_outputs(model, inputs, export.written.stage)
    return compare_outputs(export, inputs, expected, outputs, classifies)


def model_outputs(model: keras.Model, inputs: Examples, stage: OutputStage) -> list[Floats]:
    """The outputs of the quantized model; for "logits" those before a last softmax or sigmoid."""
    inner = model if stage == "outputs" else before_ends(model)
    parts = [inner(batch, training=False) for batch in batches(inputs)]
    flat = [[ops.convert_to_numpy(part) for part in keras.tree.flatten(outputs)] for outputs in parts]
    return [np.concatenate(column) for column in zip(*flat, strict=True)]


def before_ends(model: keras.Model) -> Any:
    """What computes the model's outputs before a last softmax or sigmoid that no quantizer follows."""
    ends = [_end(tensor) for tensor in model.outputs]
    swapped = [layer for _, layer in ends if layer is not None]
    inner = keras.Model(
        model.inputs[0] if len(model.inputs) == 1 else model.inputs, [tensor for tensor, _ in ends]
    )

    def call(inputs: Examples, training: bool = False) -> Any:
        functions = [(layer, layer.activation) for layer in swapped]
        try:
            for layer in swapped:
                layer.activation = keras.activations.linear
            return inner(inputs, training=training)
        finally:
            for layer, function in functions:
                layer.activation = function

    return call


def _end(tensor: Any) -> tuple[Any, Any]:
    """The tensor to take in place of an output, and the layer whose function is left out, where it has one.

    Past layers that only give the output another shape, or only act in training.
    """
    history = tensor._keras_history
    layer = history.operation
    name = type(layer).__name__
    if name in _PASSED:
        [source] = layer._inbound_nodes[history.node_index].input_tensors
        inner, swapped = _end(source)
        # A layer of its own: the model's must not remember another call.
        return (
            (tensor, swapped)
            if inner is source
            else (type(layer).from_config(layer.get_config())(inner), swapped)
        )
    function = getattr(getattr(layer, "activation", None), "__name__", "")
    is_softmax = name in ("Softmax", "QuantizedSoftmax")
    quantized = getattr(layer, "specs", {}).get("activation") is not None
    if quantized or (function not in _ENDS and not is_softmax):
        return tensor, None
    if is_softmax or name in ("Activation", "QuantizedActivation"):
        return layer._inbound_nodes[history.node_index].input_tensors[0], None
    return tensor, layer
