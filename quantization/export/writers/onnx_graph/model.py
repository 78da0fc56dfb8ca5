"""A quantized Keras model as an ONNX model."""

from __future__ import annotations

from pathlib import Path

import keras
import onnx

from quantization.export.context import ExportContext, Written
from quantization.export.errors import ExportRefused
from quantization.export.legality.base import Refusal
from quantization.export.writers.onnx_graph.equality import inexact
from quantization.export.writers.onnx_graph.functions import NotInOnnx
from quantization.export.writers.onnx_graph.graph import OnnxGraph, Tensor
from quantization.export.writers.onnx_graph.layers import written
from quantization.export.writers.reading import is_end
from quantization.graph import ModelGraph, NoGraph
from quantization.models.convert import caching_weights


def write_onnx(
    model: keras.Model, graph: OnnxGraph, path: Path, name: str, context: ExportContext
) -> Written:
    """Write a model into a file. Raises `ExportRefused` in the name of the format."""
    is_logits = context.options["end"] == "logits"
    batch = int(context.options["batch"]) or None
    try:
        document = onnx_model(model, graph, batch=batch, logits=is_logits)
    except NotInOnnx as error:
        raise ExportRefused(name, [Refusal(error.layer, error.reason)]) from error
    onnx.save(document, path)
    calls = ModelGraph(model)
    reasons = {
        call.name: reason
        for call in calls
        if not call.is_input and (reason := inexact(call, linear=is_logits and is_end(call, calls)))
    }
    return Written(stage="logits" if is_logits else "outputs", inexact=reasons)


def onnx_model(
    model: keras.Model, graph: OnnxGraph, *, batch: int | None = None, logits: bool = False
) -> onnx.ModelProto:
    """The built model written into a new graph of either kind.

    Inputs are float32 with Keras' names and axes; outputs are `output`, or `output_0` ... where there are several.
    `batch`: examples at a time, None for any number. `logits`: a last softmax or sigmoid is left out. Raises
    `NotInOnnx`, naming the layer.
    """
    try:
        calls = ModelGraph(model)
    except NoGraph as error:
        raise NotInOnnx(model.name, str(error)) from error
    tensors: dict[str, Tensor] = {}
    with caching_weights(model):
        for call in calls:
            if call.is_input:
                tensors[call.name] = Tensor(graph.name(call.name), tuple(call.outputs[0].shape))
            else:
                sources = [tensors[name] for name in call.sources]
                tensors[call.name] = written(graph, call, sources, linear=logits and is_end(call, calls))
    inputs = [tensors[name] for name in calls.inputs]
    ends = [tensors[name] for name in calls.outputs]
    labels = ["output"] if len(ends) == 1 else [f"output_{index}" for index in range(len(ends))]
    outputs = [(graph.name(label), end) for label, end in zip(labels, ends, strict=True)]
    return graph.model(model.name, inputs, outputs, batch)
