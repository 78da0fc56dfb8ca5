"""Recurrent layers, embeddings, enlarged images and products of rows for hls4ml.

Recurrent layers compute in numbers of 32 bits, 16 of them a fraction, with functions read from tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from quantization.export.writers.hls4ml_project.products import scaled, shape_of
from quantization.export.writers.hls4ml_project.project import Project, Signal
from quantization.export.writers.hls4ml_project.types import Span, exact_or_rounded
from quantization.export.writers.reading import class_of, coded, float_value, specs_of
from quantization.graph import Call

#: Numbers inside a loop.
_INSIDE: Final = Span(-(2**31), 2**31 - 1, -16)
_TABLE: Final = Span(-(2**17), 2**17 - 1, -16)
_TABLE_SIZE: Final = 4096


def resized(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """Every place several times."""
    x, shape = inputs[0], shape_of(call)
    (in_height, in_width), (out_height, out_width) = (
        (1, sizes[0]) if len(sizes) == 2 else sizes[:2] for sizes in (x.shape, shape)
    )
    return project.add(
        "Resize",
        call.name,
        [x],
        shape,
        x.span,
        in_height=in_height,
        in_width=in_width,
        out_height=out_height,
        out_width=out_width,
        height_factor=out_height // in_height,
        width_factor=out_width // in_width,
        n_chan=shape[-1],
        algorithm="nearest",
        data_format="channels_last",
    )


def dot(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """The sum of the products of two rows."""
    one, two = inputs
    product, count = one.span.times(two.span), one.shape[0]
    span = Span(min(product.low, 0) * count, max(product.high, 0) * count, product.exponent)
    types = {"accum": span.precision()}
    return project.add("Dot", call.name, [one, two], (1,), span, types=types, op="dot1d", axes=[1, 1])


def embedding(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """A row of a table for every number."""
    layer, x = call.layer, inputs[0]
    if "embeddings" in specs_of(layer):
        codes, scale = coded(layer, "embeddings")
        values = np.asarray(codes * scale, np.float64)
    else:
        values = np.asarray(float_value(layer, "embeddings"), np.float64)
    table, is_exact = exact_or_rounded(values)
    if not is_exact:
        project.inexact[call.name] = "its rows have no quantizer, and are rounded to 16 fraction bits"
    return project.add(
        "Embedding",
        call.name,
        [x],
        shape_of(call),
        table.span,
        types={"embeddings": table.span.precision()},
        arrays={"embeddings_data": table.values},
        n_in=x.shape[0],
        vocab_size=values.shape[0],
        n_out=values.shape[1],
    )


def recurrent(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """An LSTM or a GRU."""
    layer = call.layer
    cell = _cell(class_of(layer), layer)
    return _loop(
        project, call, inputs[0], class_of(layer), layer, cell, direction="forward", **_functions(layer)
    )


def both_ways(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """An LSTM or a GRU forwards and one backwards."""
    layer = call.layer
    cells: dict[str, np.ndarray] = {}
    attributes: dict[str, Any] = {"direction": "bidirectional", "merge_mode": layer.merge_mode}
    for way, inner in (("forward", layer.forward_layer), ("backward", layer.backward_layer)):
        name = class_of(inner)
        cells |= {f"{way}_{key}": value for key, value in _cell(name, inner).items()}
        attributes |= {f"{way}_{key}": value for key, value in _functions(inner).items()}
        attributes |= {
            f"{way}_class_name": name,
            f"{way}_name": f"{call.name}_{way}",
            f"{way}_n_states": inner.units,
        }
        attributes |= {f"{way}_data_format": "channels_last", f"{way}_use_bias": True}
    return _loop(project, call, inputs[0], "Bidirectional", layer.forward_layer, cells, **attributes)


def _cell(class_name: str, layer: Any) -> dict[str, np.ndarray]:
    """Kernels and biases of a cell by hls4ml's names."""
    kernel, inner, bias = (float_value(layer, slot) for slot in ("kernel", "recurrent_kernel", "bias"))
    arrays = {"weight_data": kernel, "recurrent_weight_data": inner}
    if class_name == "GRU":
        return arrays | {"bias_data": bias[0], "recurrent_bias_data": bias[1]}
    return arrays | {"bias_data": bias}


def _functions(layer: Any) -> dict[str, Any]:
    functions = {name: getattr(layer, name).__name__ for name in ("activation", "recurrent_activation")}
    return functions | ({"apply_reset_gate": "after"} if class_of(layer) == "GRU" else {})


def _widened(project: Project, call: Call, x: Signal) -> Signal:
    """2 x in the type of the state: hls4ml multiplies both by one function, and leaves out what only changes a type."""
    wide = scaled(project, f"{call.name}_input", x, np.array([2.0]), None, x.shape[-1])
    project.precisions[wide.name]["result"] = _INSIDE.precision()
    return replace(wide, span=_INSIDE)


def _loop(
    project: Project,
    call: Call,
    x: Signal,
    class_name: str,
    layer: Any,
    arrays: dict[str, np.ndarray],
    **attributes: Any,
) -> Signal:
    project.inexact[call.name] = (
        "it computes in numbers of 16 fraction bits, with functions read from a table of 4096 entries"
    )
    shape = shape_of(call)
    if class_name == "LSTM" and x.span != _INSIDE:
        x = _widened(project, call, x)
        arrays = arrays | {"weight_data": arrays["weight_data"] / 2}
    weights = {
        key: exact_or_rounded(np.asarray(value, np.float64))[0].values for key, value in arrays.items()
    }
    types = dict.fromkeys((key.removesuffix("_data") for key in arrays), _INSIDE.precision())
    ways = ("forward_", "backward_") if class_name == "Bidirectional" else ("",)
    types |= {f"{way}recurrent_bias": _INSIDE.precision() for way in ways}
    types |= {"accum": _INSIDE.precision(), "table": _TABLE.precision()}
    return project.add(
        class_name,
        call.name,
        [x],
        shape,
        _INSIDE,
        types=types,
        arrays=weights,
        n_timesteps=x.shape[0],
        n_in=x.shape[-1],
        n_out=shape[-1],
        return_sequences=bool(layer.return_sequences),
        return_state=False,
        time_major=False,
        table_size=_TABLE_SIZE,
        use_bias=True,
        **attributes,
    )
