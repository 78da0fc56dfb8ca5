"""Which program a trial runs on: one for all trials of a network, kept in the process.

The first trial of a network builds it: the model, its switched quantizers with all candidates of the job, and which
dimensions vary because widths are searched. What cannot be switched or left open gets a program of its own.
"""

from __future__ import annotations

import functools
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import keras

from quantization.models.convert import quantize, width_of
from quantization.specs.parse import QuantizerSpec
from quantization.switching.quantizer import can_switch, switch
from search.data import Dataset
from search.history import Assignment
from search.task import Task
from search.training.program.program import Program
from search.training.program.state import DeviceData
from search.training.program.variables import variables_of

Specs = Mapping[str, Mapping[str, Sequence[QuantizerSpec | None]]]

#: Programs kept in a process; one of a small network takes some 20 MB, most of it the traced graph.
_KEPT: Final = 8

#: Data sets kept on the device.
_DATA_KEPT: Final = 2

_programs: OrderedDict[str, Program] = OrderedDict()
_data: OrderedDict[int, tuple[Dataset, dict[str, DeviceData]]] = OrderedDict()


@dataclass(frozen=True)
class Network:
    """What trials of one job have in common."""

    architecture: Mapping[str, Any]
    task: Task
    optimizer: str
    candidates: Specs  #: layer -> slot -> what may stand there
    tuned: tuple[str, ...] = ()  #: layers whose width is searched
    widths: tuple[tuple[str, int], ...] = ()  #: those that all trials of the program have


def program_for(network: Network, assignment: Assignment) -> Program:
    """The program that trains this assignment; built if there is none yet."""
    candidates = _with_assigned(network.candidates, assignment)
    switchable = all(
        can_switch(spec) for slots in candidates.values() for specs in slots.values() for spec in specs
    )
    if keras.backend.backend() == "jax":  # which compiles for fixed shapes: widths make other programs
        network = replace(network, tuned=(), widths=tuple(sorted(assignment.widths.items())))
    key = _key(network, candidates, assignment, switchable)
    if key not in _programs:
        _programs[key] = _built(network, candidates, assignment, switchable)
        while len(_programs) > _KEPT:
            _programs.popitem(last=False)
    _programs.move_to_end(key)
    return _programs[key]


def on_device(data: Dataset, part: str) -> DeviceData:
    """A part ("train", "validation") of the data where programs run; copied once."""
    key = id(data)
    if key not in _data:
        parts = {
            name: DeviceData.of(getattr(data, f"x_{name}"), getattr(data, f"y_{name}"))
            for name in ("train", "validation")
        }
        _data[key] = (data, parts)
        while len(_data) > _DATA_KEPT:
            _data.popitem(last=False)
    return _data[key][1][part]


def forget() -> None:
    """Drop all programs and all data."""
    _programs.clear()
    _data.clear()


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


def _key(network: Network, candidates: Any, assignment: Assignment, switchable: bool) -> str:
    if switchable:
        named: Any = {
            layer: {slot: [_text(spec) for spec in specs] for slot, specs in slots.items()}
            for layer, slots in candidates.items()
        }
    else:
        named = replace(assignment, learning_rate=None).key
    parts = [
        network.architecture,
        str(network.task),
        network.optimizer,
        named,
        list(network.tuned),
        network.widths,
    ]
    return json.dumps(parts, sort_keys=True)


@functools.lru_cache(maxsize=1024)
def _text(spec: QuantizerSpec | None) -> str:
    return str(spec)


def _built(network: Network, candidates: Any, assignment: Assignment, switchable: bool) -> Program:
    model = quantize(network.architecture, assignment.quantizers, assignment.widths)
    slots = switch(model, candidates) if switchable else {}
    shapes = _open_shapes(network, model, assignment) if network.tuned else None
    return _program_class()(model, network.task, network.optimizer, slots, shapes)


def _program_class() -> type[Program]:
    if keras.backend.backend() != "jax":
        return Program
    from search.training.program.jax import JaxProgram

    return JaxProgram


def _open_shapes(
    network: Network, model: keras.Model, assignment: Assignment
) -> list[tuple[int | None, ...]] | None:
    """Shapes of the floating variables, None where they depend on a width that is searched."""
    layers = {layer.name: layer for layer in model.layers}
    now = {name: width_of(layers[name]) or 0 for name in network.tuned}
    other = quantize(
        network.architecture,
        assignment.quantizers,
        {**assignment.widths, **{name: width + 1 for name, width in now.items()}},
    )
    _loosen(model, network.tuned)
    return [
        tuple(size if size == changed else None for size, changed in zip(one.shape, two.shape, strict=True))
        for one, two in zip(_floats(model), _floats(other), strict=True)
    ]


def _floats(model: keras.Model) -> list[Any]:
    found = variables_of(model)
    return [*found["trainable"], *found["statistics"]]


def _loosen(model: keras.Model, tuned: Sequence[str]) -> None:
    """Let layers take channels of any number: what they remember of their first widths is only used to reshape."""
    for layer in model.layers:
        if layer.name in tuned and hasattr(layer, "filters"):
            layer.filters = -1
        axis = getattr(layer, "axis", None)
        if isinstance(layer, keras.layers.BatchNormalization) and axis == len(layer.input.shape) - 1:
            layer.axis = -1
