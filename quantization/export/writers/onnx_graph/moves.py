"""Layers that move numbers or merge tensors as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from quantization.export.writers.onnx_graph.functions import NotInOnnx
from quantization.export.writers.onnx_graph.graph import OnnxGraph, Shape, Tensor
from quantization.export.writers.reading import pairs
from quantization.graph import Call

#: Writes a call: (graph, call, what it reads) -> what it gives, before its activation.
Builder = Callable[[OnnxGraph, Call, Sequence[Tensor]], Tensor]


def shape_of(call: Call) -> Shape:
    """Of a call's output, as Keras has it."""
    return tuple(call.outputs[0].shape)


# ---- numbers moved ---------------------------------------------------------------------------------------------------


def reshaped(graph: OnnxGraph, call: Call, x: str, shape: Sequence[int]) -> str:
    """Another shape of every example."""
    target = graph.constant(f"{call.name}/shape", [0, *shape], np.int64)
    return graph.add("Reshape", call.name, [x, target])


def reshape(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """Another shape; of a Flatten, too."""
    x = graph.laid(inputs[0], channels_first=False)
    shape = shape_of(call)
    sizes = [-1 if size is None else size for size in shape[1:]]
    return Tensor(reshaped(graph, call, x.name, sizes), shape)


def permutation(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """Axes in another order."""
    x = graph.laid(inputs[0], channels_first=False)
    return Tensor(graph.add("Transpose", call.name, [x.name], perm=[0, *call.layer.dims]), shape_of(call))


def zero_padding(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """Zeros around the places."""
    x = graph.laid(inputs[0], channels_first=False)
    places = [(0, 0), *pairs(call.layer.padding), (0, 0)]
    pads = [low for low, _ in places] + [high for _, high in places]
    name = graph.add("Pad", call.name, [x.name, graph.constant(f"{call.name}/pads", pads, np.int64)])
    return Tensor(name, shape_of(call))


def cropping(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """Without the outermost places."""
    x = graph.laid(inputs[0], channels_first=False)
    cuts = pairs(call.layer.cropping)
    ends = [-high if high else np.iinfo(np.int64).max for _, high in cuts]
    bounds = ([low for low, _ in cuts], ends, range(1, len(cuts) + 1))
    parts = [graph.constant(f"{call.name}/bounds", list(bound), np.int64) for bound in bounds]
    return Tensor(graph.add("Slice", call.name, [x.name, *parts]), shape_of(call))


def up_sampling(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """Each place several times. Raises `NotInOnnx` unless the nearest is taken."""
    layer = call.layer
    if getattr(layer, "interpolation", "nearest") != "nearest":
        raise NotInOnnx(call.name, f"interpolation={layer.interpolation!r}; use 'nearest'")
    x = graph.laid(inputs[0], channels_first=True)
    size = layer.size if isinstance(layer.size, list | tuple) else (layer.size,)
    scales = graph.constant(f"{call.name}/scales", [1.0, 1.0, *map(float, size)])
    name = graph.add(
        "Resize",
        call.name,
        [x.name, "", scales],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return Tensor(name, shape_of(call), channels_first=True)


def repetition(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """A vector as a sequence of itself."""
    axis = graph.constant(call.name, [1], np.int64)
    wide = graph.add("Unsqueeze", call.name, [inputs[0].name, axis])
    times = graph.constant(f"{call.name}/times", [1, int(call.layer.n), 1], np.int64)
    return Tensor(graph.add("Tile", call.name, [wide, times]), shape_of(call))


# ---- several inputs --------------------------------------------------------------------------------------------------


def merge(op_type: str) -> Builder:
    """One after the other, as Keras does."""

    def write(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
        first, *others = _of_one_rank(graph, call, inputs)
        name = first.name
        for other in others:
            name = graph.add(op_type, call.name, [name, other.name])
        return Tensor(name, shape_of(call), first.channels_first)

    return write


def _of_one_rank(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Axes of length 1 are put in behind the batch where ranks differ, as Keras' merges do."""
    rank = max(tensor.rank for tensor in inputs)
    if all(tensor.rank == rank for tensor in inputs):
        return graph.alike(inputs)
    wide = []
    for tensor in (graph.laid(tensor, channels_first=False) for tensor in inputs):
        missing = rank - tensor.rank
        if missing:
            axes = graph.constant(f"{call.name}/axes", list(range(1, 1 + missing)), np.int64)
            name = graph.add("Unsqueeze", call.name, [tensor.name, axes])
            tensor = Tensor(name, (tensor.shape[0], *(1,) * missing, *tensor.shape[1:]))
        wide.append(tensor)
    return wide


def average(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """The mean of several tensors."""
    total = merge("Add")(graph, call, inputs)
    count = graph.constant(call.name, float(len(inputs)))
    return replace(total, name=graph.add("Div", call.name, [total.name, count]))


def concatenate(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """Tensors one after the other along an axis."""
    tensors = graph.alike(inputs)
    axis = tensors[0].axis(call.layer.axis)
    name = graph.add("Concat", call.name, [tensor.name for tensor in tensors], axis=axis)
    return Tensor(name, shape_of(call), tensors[0].channels_first)
