"""A quantized Keras model as the layers of an hls4ml project."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import keras
import numpy as np

from quantization.export.context import Floats
from quantization.export.writers.hls4ml_project.functions import NotInHls4ml, activated, grid_of
from quantization.export.writers.hls4ml_project.layers import LAYERS
from quantization.export.writers.hls4ml_project.products import shape_of
from quantization.export.writers.hls4ml_project.project import Project, Signal
from quantization.export.writers.hls4ml_project.types import FLOAT_FRACTION, Span
from quantization.export.writers.reading import class_of, is_end, passed_float, specs_of
from quantization.graph import Call, ModelGraph, NoGraph
from quantization.models.convert import caching_weights

#: Bits of an input's fraction that are looked for in examples.
_FINEST: Final = 24


def hls4ml_project(
    model: keras.Model, samples: Sequence[Floats]
) -> tuple[Project, list[Signal], list[Signal]]:
    """The layers, its inputs and its outputs. Last softmaxes and sigmoids are left out.

    `samples`: of each input, whose grid the type of one without a quantizer has. Raises `NotInHls4ml`.
    """
    try:
        calls = ModelGraph(model)
    except NoGraph as error:
        raise NotInHls4ml(model.name, str(error)) from error
    project = Project()
    signals: dict[str, Signal] = {}
    with caching_weights(model):
        for call in calls:
            if call.is_input:
                signals[call.name] = _input(project, call, calls, samples[calls.inputs.index(call.name)])
            else:
                sources = [signals[name] for name in call.sources]
                signals[call.name] = _written(project, call, sources, end=is_end(call, calls))
    return project, [signals[name] for name in calls.inputs], [signals[name] for name in calls.outputs]


def _written(project: Project, call: Call, sources: list[Signal], *, end: bool) -> Signal:
    make = LAYERS.get(class_of(call.layer)) if isinstance(call.layer, keras.layers.Layer) else None
    if make is None:
        raise NotInHls4ml(
            call.name, f"{class_of(call.layer)} has no form here; there are {', '.join(LAYERS)}"
        )
    slot = passed_float(call.layer)
    if slot is not None:
        raise NotInHls4ml(call.name, f"the quantizer of {slot} lets part of the float values pass")
    y = make(project, call, sources)
    return y if end else activated(project, call, y)


def _input(project: Project, call: Call, calls: ModelGraph, samples: Floats) -> Signal:
    """An input has the type of the quantizer that all its readers begin with, or one that holds the examples."""
    shape = shape_of(call)
    specs = {_input_spec(reader) for reader in calls.readers(call.name)}
    grid = grid_of(next(iter(specs))) if len(specs) == 1 and None not in specs else None
    if grid is not None:
        span, mode = grid
        return project.add(
            "InputLayer", call.name, [], shape, span, precision=span.precision(mode), input_shape=list(shape)
        )
    span, is_exact = _span_of(samples)
    if not is_exact:
        project.inexact[call.name] = (
            f"its numbers are rounded to {FLOAT_FRACTION} fraction bits; quantize the input"
        )
    mode = ",RND_CONV,SAT"
    return project.add(
        "InputLayer", call.name, [], shape, span, precision=span.precision(mode), input_shape=list(shape)
    )


def _input_spec(call: Call) -> Any:
    spec = specs_of(call.layer).get("activation")
    return spec if class_of(call.layer) in ("InputLayer", "Activation") else None


def _span_of(samples: Floats) -> tuple[Span, bool]:
    """Numbers of the finest grid that examples need, with a bit of room, and whether it is fine enough."""
    values = np.asarray(samples, np.float64)
    fraction = next(
        (
            bits
            for bits in range(_FINEST + 1)
            if np.array_equal(np.ldexp(values, bits), np.rint(np.ldexp(values, bits)))
        ),
        None,
    )
    places = FLOAT_FRACTION if fraction is None else fraction
    reach = 2 ** (math.frexp(float(np.abs(values).max(initial=1.0)))[1] + places)
    low = -reach if values.min(initial=0.0) < 0 else 0
    return Span(low, reach - 1, -places), fraction is not None
