"""Which program a trial runs on: one for all trials of a network, kept in the process.

The first trial of a network builds it: the model, its switched quantizers with all candidates of the job, and which
dimensions vary because widths are searched. What cannot be switched or left open gets a separate program.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import keras
from cachetools import LRUCache, cached
from numpy.typing import NDArray

from quantization.graph import input_shape
from quantization.models.convert import quantize, width_of
from quantization.specs.parse import QuantizerSpec
from quantization.switching.quantizer import can_switch, switch
from search.data import Dataset
from search.history import Assignment
from search.task import Task
from search.training.losses import TrainingTargets
from search.training.program.options import PLAIN, StepOptions
from search.training.program.program import Program
from search.training.program.state import DeviceData
from search.training.program.variables import model_variables

Specs = Mapping[str, Mapping[str, Sequence[QuantizerSpec | None]]]

#: Programs kept in a process; one of a small network takes some 20 MB, most of it the traced graph.
MAX_PROGRAMS: Final = 8

#: Data sets kept on the device.
_MAX_DATA_SETS: Final = 2

_programs: LRUCache[str, Program] = LRUCache(MAX_PROGRAMS)
_weighted_parts: LRUCache[tuple[Dataset, str], DeviceData] = LRUCache(_MAX_DATA_SETS)

#: Of each output.
Arrays = tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class ProgramSpec:
    """What the trials of one job have in common, and so what their program is built from."""

    architecture: Mapping[str, Any]  #: of the float network, as Keras writes it
    task: Task
    optimizer: str
    candidates: Specs  #: layer -> slot -> what may stand there
    tuned: tuple[str, ...] = ()  #: layers whose width is searched
    widths: tuple[tuple[str, int], ...] = ()  #: those that all trials of the program have
    options: StepOptions = PLAIN  #: of the training step


def program_for(spec: ProgramSpec, assignment: Assignment) -> Program:
    """The program that trains this assignment; built if it is not cached."""
    candidates = _with_assigned(spec.candidates, assignment)
    switchable = all(
        can_switch(quantizer)
        for slots in candidates.values()
        for quantizers in slots.values()
        for quantizer in quantizers
    )
    if keras.backend.backend() == "jax":  # which compiles for fixed shapes: other widths need another program
        spec = replace(spec, tuned=(), widths=tuple(sorted(assignment.widths.items())))
    key = _key(spec, candidates, assignment, switchable)
    return cached_program(key, lambda: _build(spec, candidates, assignment, switchable))


def cached_program(key: str, build: Callable[[], Program]) -> Program:
    """The program of a key; built if it is not cached."""
    program = _programs.get(key)
    if program is None:
        program = _programs[key] = build()
    return program


def traces() -> int:
    """How often the cached programs were traced."""
    return sum(program.traces for program in _programs.values())


def on_device(data: Dataset, part: str) -> DeviceData:
    """A part ("train", "validation") of the data on the device; copied once."""
    return _parts_on_device(data)[part]


@cached(
    LRUCache[Any, dict[str, DeviceData]](_MAX_DATA_SETS)
)  # by the object: a data set is equal to itself alone
def _parts_on_device(data: Dataset) -> dict[str, DeviceData]:
    return {
        "train": DeviceData.from_arrays(data.x_train, data.y_train),
        "validation": DeviceData.from_arrays(data.x_validation, data.y_validation),
    }


def training_part(
    data: Dataset, key: str, weights: Callable[[], Arrays], teacher: Callable[[], Arrays]
) -> DeviceData:
    """The training part on the device with weights and the teacher's scores, one array an output; made once a key."""
    parts = _weighted_parts.get((data, key))
    if parts is None:
        plain = on_device(data, "train")
        more = [tuple(map(keras.ops.convert_to_tensor, arrays())) for arrays in (weights, teacher)]
        parts = replace(plain, y=TrainingTargets(plain.y, *more)) if any(more) else plain
        _weighted_parts[data, key] = parts
    return parts


def clear() -> None:
    """Drop all programs and all data."""
    _programs.clear()
    _weighted_parts.clear()
    _parts_on_device.cache_clear()


def _with_assigned(
    candidates: Specs, assignment: Assignment
) -> dict[str, dict[str, list[QuantizerSpec | None]]]:
    """The candidates of the slots that the assignment names, and what it puts there."""
    return {
        layer: {
            slot: list(dict.fromkeys([*candidates.get(layer, {}).get(slot, ()), spec]))
            for slot, spec in slots.items()
        }
        for layer, slots in assignment.quantizers.items()
    }


def _key(spec: ProgramSpec, candidates: Any, assignment: Assignment, switchable: bool) -> str:
    if switchable:
        quantizers: Any = {
            layer: {slot: [_text(spec) for spec in specs] for slot, specs in slots.items()}
            for layer, slots in candidates.items()
        }
    else:
        quantizers = replace(assignment, learning_rate=None).key
    parts = [
        spec.architecture,
        str(spec.task),
        spec.optimizer,
        quantizers,
        list(spec.tuned),
        spec.widths,
        str(spec.options),
    ]
    return json.dumps(parts, sort_keys=True)


@functools.lru_cache(maxsize=1024)
def _text(spec: QuantizerSpec | None) -> str:
    return str(spec)


def _build(spec: ProgramSpec, candidates: Any, assignment: Assignment, switchable: bool) -> Program:
    model = quantize(spec.architecture, assignment.quantizers, assignment.widths)
    slots = switch(model, candidates) if switchable else {}
    shapes = _open_shapes(spec, model, assignment) if spec.tuned else None
    return _program_class()(model, spec.task, spec.optimizer, slots, shapes, spec.options)


@functools.cache
def mixed_in(part: type[Program]) -> type[Any]:
    """A class of programs on the backend that runs: `part`, as a subclass of the backend's own."""
    own = _program_class()
    return part if own is Program else type(part.__name__, (part, own), {})


def _program_class() -> type[Program]:
    if keras.backend.backend() != "jax":
        return Program
    from search.training.program.jax import JaxProgram

    return JaxProgram


def _open_shapes(
    spec: ProgramSpec, model: keras.Model, assignment: Assignment
) -> list[tuple[int | None, ...]] | None:
    """Shapes of the floating-point variables, None where they depend on a width that is searched."""
    layers = {layer.name: layer for layer in model.layers}
    widths = {name: width_of(layers[name]) or 0 for name in spec.tuned}
    other = quantize(
        spec.architecture,
        assignment.quantizers,
        {**assignment.widths, **{name: width + 1 for name, width in widths.items()}},
    )
    _leave_open(model, spec.tuned)
    return [
        tuple(size if size == changed else None for size, changed in zip(one.shape, two.shape, strict=True))
        for one, two in zip(model_variables(model).floats, model_variables(other).floats, strict=True)
    ]


def _leave_open(model: keras.Model, tuned: Sequence[str]) -> None:
    """Let layers take any number of channels: they only use the one they were built with to reshape."""
    for layer in model.layers:
        if layer.name in tuned and hasattr(layer, "filters"):
            layer.filters = -1
        axis = getattr(layer, "axis", None)
        if isinstance(layer, keras.layers.BatchNormalization) and axis == len(input_shape(model, layer)) - 1:
            layer.axis = -1
