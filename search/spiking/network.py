"""A job on a spiking network: its choices, its data, and what an assignment of it computes and costs. Plain numpy.

A trial makes integers of a float specification and simulates them. Nothing is trained, so what a network does is known
before it is measured: its cost comes from the events it fires on examples of the training part.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from costmodel.errors import CostError
from costmodel.layer import Layer
from costmodel.layer_classes import INPUT
from costmodel.network import Network
from costmodel.spiking import PopulationWork, population_energy
from costmodel.technology import Technology, load_profile
from quantization.spiking import METHODS
from quantization.spiking.simulator import XyloActivity, XyloLimits, simulate
from quantization.spiking.specification import (
    SpecificationError,
    XyloParameters,
    XyloSpecification,
    with_synapses,
)
from search.cost.pricing import Pricer
from search.data import spiking_digits
from search.data.describe import data_file, pointer
from search.data.files import DataFault, inside, read_array, read_headers
from search.errors import Infeasible, InvalidSpec, Problem
from search.history import Assignment, Cost
from search.space.choices import Label
from search.spec.job import BitsGoal, EnergyGoal, Goal, NpzData, SpikingDigitsData
from search.spec.resolved import DataFile, ResolvedData
from search.spec.spiking import XyloModel

#: Examples of the training part that are simulated to price an assignment.
PRICED_EXAMPLES: Final = 64

#: Examples simulated at once.
BATCH: Final = 256

#: What integers are made of if nothing is searched: Rockpool's defaults. The reference of a job.
REFERENCE: Final[Mapping[str, Label]] = {"method": "global", "bits_per_weight": 8, "bits_per_threshold": 16}

_LIMITS: Final = XyloLimits()
_KEPT: Final = 512


# --- model and data ------------------------------------------------------------------------------------------------


def specification(model: XyloModel, data_dir: Path) -> XyloSpecification:
    """The float network of a job. InvalidSpec, with the array, where the file holds none."""
    pointer = "/model/name" if model.file is None else "/model/file"
    try:
        path = spiking_digits.NETWORK_FILE if model.file is None else inside(data_dir, model.file)
        return XyloSpecification.from_arrays(_arrays(path))
    except (DataFault, SpecificationError) as error:
        raise InvalidSpec([Problem(pointer, str(error))]) from error


#: Arrays a specification may leave out.
_OPTIONAL: Final = ("dash_syn_2", "bias", "bias_out")
_REQUIRED: Final = (
    *("weights_in", "weights_rec", "weights_out", "threshold", "threshold_out"),
    *("dash_mem", "dash_mem_out", "dash_syn", "dash_syn_out"),
)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    found = {name: read_array(path, name) for name in _REQUIRED}
    for name in _OPTIONAL:
        try:
            found[name] = read_array(path, name)
        except DataFault as error:
            if "lacks" not in str(error):
                raise
    return found


def event_shape(data: ResolvedData, data_dir: Path) -> tuple[int, int]:
    """Steps and inputs of one example. InvalidSpec for what is no spike data."""
    if isinstance(data, SpikingDigitsData):
        return data.steps, spiking_digits.INPUTS
    if not isinstance(data, NpzData | DataFile):
        raise InvalidSpec(
            [Problem("/data/kind", "a spiking network needs events: spiking_digits, or a .npz")]
        )
    try:
        shape = read_headers(data_file(data, data_dir), ("x_train",))["x_train"].shape[1:]
    except DataFault as error:
        raise InvalidSpec([Problem(pointer(data), str(error))]) from error
    if len(shape) != 2:
        raise InvalidSpec(
            [Problem(pointer(data), f"events have the shape (steps, inputs) of an example, not {shape}")]
        )
    return shape[0], shape[1]


def stand_in(given: XyloSpecification, shape: tuple[int, int]) -> Network:
    """The network as the other parts of a job know one: what comes in, and what goes out."""
    readouts = (given.weights_out.shape[1],)
    events = Layer("events", INPUT, {}, (), (), shape)
    neurons = Layer("neurons", "SpikingNeurons", {}, ("events",), (shape,), readouts)
    return Network((events, neurons), ("events",), ("neurons",))


# --- integers ------------------------------------------------------------------------------------------------------


def quantized(given: XyloSpecification, settings: Mapping[str, Any]) -> XyloParameters:
    """The integers that the settings of an assignment make of a specification."""
    method = str(settings["method"])
    widths = {name: int(settings[name]) for name in ("bits_per_weight", "bits_per_threshold")}
    if method == "global_fuzzy":
        return METHODS["global"](given, fuzzy_scaling=True, **widths)
    return METHODS[method](given, **widths)


# --- what it does and costs ----------------------------------------------------------------------------------------


def accuracy(network: XyloParameters, events: NDArray[Any], labels: NDArray[np.int32]) -> float:
    """Share of the examples whose class is the readout with the most events, the first of equal ones."""
    return float(np.mean(simulate(network, events, _LIMITS).counts.argmax(axis=-1) == labels))


def works(
    network: XyloParameters, settings: Mapping[str, Any], events: NDArray[Any]
) -> tuple[PopulationWork, ...]:
    """What the hidden neurons and the readouts do for one of these examples, on average."""
    activity = simulate(network, events, _LIMITS)
    hidden, readout = _operations(network, np.asarray(events), activity)
    steps = activity.hidden.shape[-2]
    common = {
        "steps": steps,
        "weight_bits": int(settings["bits_per_weight"]),
        "threshold_bits": int(settings["bits_per_threshold"]),
        "state_bits": _LIMITS.state_bits,
    }
    return (
        PopulationWork(
            name="hidden",
            neurons=network.threshold.size,
            currents=network.synapses,
            synapses=int(np.count_nonzero(network.weights_in) + np.count_nonzero(network.weights_rec)),
            synaptic_operations=hidden,
            has_bias=network.bias is not None,
            **common,
        ),
        PopulationWork(
            name="readout",
            neurons=network.threshold_out.size,
            currents=1,
            synapses=int(np.count_nonzero(network.weights_out)),
            synaptic_operations=readout,
            has_bias=network.bias_out is not None,
            **common,
        ),
    )


def _operations(network: XyloParameters, events: NDArray[Any], activity: XyloActivity) -> tuple[float, float]:
    """Events times the synapses they reach, in the hidden population and in the readout; means of the examples."""
    fan_in, fan_rec = (
        np.count_nonzero(with_synapses(weights), axis=(1, 2))
        for weights in (network.weights_in, network.weights_rec)
    )
    fan_out = np.count_nonzero(network.weights_out, axis=1)
    given = events.sum(axis=1, dtype=np.int64)
    fired = activity.hidden.sum(axis=1)
    returned = fired - activity.hidden[:, -1]  # what fires in the last step arrives nowhere
    heard = fired[:, fired.shape[1] - len(fan_out) :]
    return float((given @ fan_in + returned @ fan_rec).mean()), float((heard @ fan_out).mean())


class SpikingPricer(Pricer):
    """Prices assignments of one spiking network by the events it fires on some examples.

    `Cost.value` is the energy of one inference (`costmodel.spiking`), or the bits of its parameters.
    """

    def __init__(self, goal: Goal, given: XyloSpecification, events: NDArray[Any]) -> None:
        if not isinstance(goal, EnergyGoal | BitsGoal):
            raise InvalidSpec([Problem("/goal/kind", "a spiking network is priced in energy or bits")])
        self._goal, self._given, self._events = goal, given, events[:PRICED_EXAMPLES]
        energy = goal if isinstance(goal, EnergyGoal) else EnergyGoal()
        self._min_sram_size_bits = energy.min_sram_size[1]
        try:
            self._technology: Technology = load_profile(energy.profile)
        except CostError as error:
            raise InvalidSpec([Problem("/goal/profile", str(error))]) from error
        self._known: OrderedDict[str, Cost] = OrderedDict()

    @property
    def warnings(self) -> tuple[str, ...]:
        """None."""
        return ()

    def reference(self) -> Cost:
        """What the network costs as Rockpool quantizes it by default: global, 8-bit weights, 16-bit thresholds."""
        return self.price(Assignment(values={}, quantizers={}, settings=REFERENCE))

    def price(self, assignment: Assignment) -> Cost:
        """What a trial costs. Infeasible where its integers are no network (a threshold of 0)."""
        if assignment.key not in self._known:
            self._known[assignment.key] = self._priced(assignment.settings)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return self._known[assignment.key]

    def price_many(self, assignments: Sequence[Assignment]) -> list[float | None]:
        """`price(...).value` of each; None where `price` raises Infeasible."""
        found: list[float | None] = []
        for assignment in assignments:
            try:
                found.append(self.price(assignment).value)
            except Infeasible:
                found.append(None)
        return found

    def check(self, *parts: NDArray[Any]) -> None:
        """SpecificationError for events that are not whole numbers, or more than an input may fire in a step."""
        for events in parts:
            if events.size and not (
                np.array_equal(events, np.round(events))
                and events.min() >= 0
                and events.max() <= _LIMITS.max_input_events
            ):
                reason = f"must be whole numbers from 0 to {_LIMITS.max_input_events}"
                raise SpecificationError("events", reason)

    def _priced(self, settings: Mapping[str, Any]) -> Cost:
        try:
            populations = works(quantized(self._given, settings), settings, self._events)
        except SpecificationError as error:
            raise Infeasible(str(error)) from error
        energies = [
            population_energy(work, self._technology, self._min_sram_size_bits) for work in populations
        ]
        energy_pj = sum(energy.included_pj for energy in energies)
        bits = sum(work.weight_memory_bits + work.constant_memory_bits for work in populations)
        return Cost(
            value=energy_pj if isinstance(self._goal, EnergyGoal) else float(bits),
            energy_pj=energy_pj,
            bits=bits,
            layers=tuple(energies),
        )
