"""A spiking network of a job: its files, its quantization, its simulation and its cost. Plain NumPy.

A trial quantizes a float network to integers and simulates it. Nothing is trained, so the cost is known before a trial
is measured: it follows from the events that the network fires on examples of the training part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
from cachetools import LRUCache, cachedmethod
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
    DASHES,
    SpecificationError,
    XyloParameters,
    XyloSpecification,
    with_synapses,
)
from search.cost.pricing import Pricer
from search.data import spiking_digits
from search.data.files import DataFault, inside, read_array, read_headers
from search.data.sources import part_files, pointer
from search.data.stored_parts import stored_parts
from search.errors import Infeasible, InvalidSpec, Problem
from search.history import Assignment, Cost
from search.space.choices import Label
from search.spec.goals import BitsGoal, EnergyGoal, Goal
from search.spec.job import NpzData, SpikingDigitsData
from search.spec.resolved import DataFile, ResolvedData
from search.spec.spiking import XyloModel

#: Examples of the training part that are simulated to price an assignment.
PRICED_EXAMPLES: Final = 64

#: Examples simulated at once.
BATCH: Final = 256

#: The settings of the reference: Rockpool's defaults.
REFERENCE: Final[Mapping[str, Label]] = {"method": "global", "bits_per_weight": 8, "bits_per_threshold": 16}

_LIMITS: Final = XyloLimits()
#: Costs kept per pricer.
_CACHED_COSTS: Final = 512


# --- model and data ------------------------------------------------------------------------------------------------


def specification(model: XyloModel, data_dir: Path) -> XyloSpecification:
    """The float network of a job. Raises `InvalidSpec`, with the array, for a file that is not a specification."""
    pointer = "/model/name" if model.file is None else "/model/file"
    try:
        path = spiking_digits.NETWORK_FILE if model.file is None else inside(data_dir, model.file)
        return XyloSpecification.from_arrays(_arrays(path))
    except (DataFault, SpecificationError) as error:
        raise InvalidSpec([Problem(pointer, str(error))]) from error


#: Arrays that a specification may leave out.
_OPTIONAL: Final = ("dash_syn_2", "bias", "bias_out")
_REQUIRED: Final = (
    *("weights_in", "weights_rec", "weights_out", "threshold", "threshold_out"),
    *("dash_mem", "dash_mem_out", "dash_syn", "dash_syn_out"),
)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    arrays = {name: read_array(path, name) for name in _REQUIRED}
    for name in _OPTIONAL:
        try:
            arrays[name] = read_array(path, name)
        except DataFault as error:
            if "lacks" not in str(error):
                raise
    return arrays


def event_shape(data: ResolvedData, data_dir: Path) -> tuple[int, int]:
    """Steps and inputs of one example. Raises `InvalidSpec` for data that are not events."""
    if isinstance(data, SpikingDigitsData):
        return data.steps, spiking_digits.INPUTS
    if not isinstance(data, NpzData | DataFile):
        raise InvalidSpec(
            [Problem("/data/kind", "a spiking network needs events: spiking_digits or a .npz file")]
        )
    try:
        [x] = stored_parts(data, part_files(data, data_dir), ())["train"].x
        shape = read_headers(x.path, (x.name,))[x.name].shape[1:]
    except DataFault as error:
        raise InvalidSpec([Problem(pointer(data), str(error))]) from error
    if len(shape) != 2:
        raise InvalidSpec(
            [Problem(pointer(data), f"events need the shape (steps, inputs) per example, got {shape}")]
        )
    return shape[0], shape[1]


def network_outline(float_network: XyloSpecification, shape: tuple[int, int]) -> Network:
    """The inputs and outputs of a spiking network as a network of the cost model, for the other parts of a plan."""
    readouts = (float_network.weights_out.shape[1],)
    events = Layer("events", INPUT, {}, (), (), shape)
    neurons = Layer("neurons", "SpikingNeurons", {}, ("events",), (shape,), readouts)
    return Network((events, neurons), ("events",), ("neurons",))


# --- quantization --------------------------------------------------------------------------------------------------


def quantize(float_network: XyloSpecification, settings: Mapping[str, Any]) -> XyloParameters:
    """The integer network under the settings of an assignment. Raises `SpecificationError` where there is none."""
    method = str(settings["method"])
    widths = {name: int(settings[name]) for name in ("bits_per_weight", "bits_per_threshold")}
    if method == "global_fuzzy":
        return METHODS["global"](float_network, fuzzy_scaling=True, **widths)
    return METHODS[method](float_network, **widths)


# --- simulation and cost -------------------------------------------------------------------------------------------


def counts(network: XyloParameters, events: NDArray[Any]) -> NDArray[np.int64]:
    """Events of every readout (examples, readouts)."""
    return simulate(network, events, _LIMITS).counts


def lost_states(float_network: XyloSpecification) -> list[str]:
    """Shifts that become 0 when they are rounded, in words: a state with one is gone within its step."""
    lost = []
    for name in DASHES:
        shifts = getattr(float_network, name)
        if shifts is not None and (zeros := int(np.count_nonzero(np.round(shifts) == 0))):
            lost.append(f"{name} is rounded to a shift of 0 for {zeros} of {shifts.size} neurons")
    return lost


def works(
    network: XyloParameters, settings: Mapping[str, Any], events: NDArray[Any]
) -> tuple[PopulationWork, ...]:
    """The work of the hidden neurons and of the readouts for one example, averaged over these examples."""
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
    """Events times the synapses that they reach, in the hidden population and in the readout; means over examples."""
    fan_in, fan_rec = (
        np.count_nonzero(with_synapses(weights), axis=(1, 2))
        for weights in (network.weights_in, network.weights_rec)
    )
    fan_out = np.count_nonzero(network.weights_out, axis=1)
    received = events.sum(axis=1, dtype=np.int64)
    fired = activity.hidden.sum(axis=1)
    sent = fired - activity.hidden[:, -1]  # events of the last step reach no synapse
    read_out = sent[:, sent.shape[1] - len(fan_out) :]
    return float((received @ fan_in + sent @ fan_rec).mean()), float((read_out @ fan_out).mean())


class SpikingPricer(Pricer):
    """Prices assignments of one spiking network by the events that it fires on some examples.

    `Cost.value` is the energy of one inference (`costmodel.spiking`), or the bits of its parameters.
    """

    def __init__(self, goal: Goal, float_network: XyloSpecification, events: NDArray[Any]) -> None:
        if not isinstance(goal, EnergyGoal | BitsGoal):
            raise InvalidSpec([Problem("/goal/kind", "a spiking network is priced in energy or bits")])
        self._goal, self._float_network, self._events = goal, float_network, events[:PRICED_EXAMPLES]
        energy = goal if isinstance(goal, EnergyGoal) else EnergyGoal()
        self._min_sram_size_bits = energy.min_sram_size[1]
        try:
            self._technology: Technology = load_profile(energy.profile)
        except CostError as error:
            raise InvalidSpec([Problem("/goal/profile", str(error))]) from error
        self._costs: LRUCache[str, Cost] = LRUCache(_CACHED_COSTS)
        self._lock = Lock()

    def wide_outputs(self, assignment: Assignment) -> dict[str, str]:
        """None: what leaves a neuron is a spike."""
        return {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the network may answer nothing."""
        lost = lost_states(self._float_network)
        warnings = [f"{text}: what they hold is lost within a step" for text in lost]
        reference = quantize(self._float_network, REFERENCE)
        if not counts(reference, self._events).any():
            warnings.append(
                f"no readout fires on any of {len(self._events)} training examples with 8 bits per weight and 16 per"
                f" threshold, so that every answer is class 0; {'; '.join(lost) or 'thresholds may be too high'}"
            )
        return tuple(warnings)

    def reference(self) -> Cost:
        """The cost of the network under Rockpool's defaults: global, 8-bit weights, 16-bit thresholds."""
        return self.price(Assignment(values={}, quantizers={}, settings=REFERENCE))

    def reference_values(self) -> dict[str, float]:
        """None: a spiking network has no float form to compare with."""
        return {}

    def price(self, assignment: Assignment) -> Cost:
        """The cost of a trial. Raises `Infeasible` where its integers do not form a network (a threshold of 0)."""
        return self._cost(assignment)

    def price_many(self, assignments: Sequence[Assignment]) -> list[float | None]:
        """`price(...).value` of each; None where `price` raises Infeasible."""
        costs: list[float | None] = []
        for assignment in assignments:
            try:
                costs.append(self.price(assignment).value)
            except Infeasible:
                costs.append(None)
        return costs

    def check(self, *parts: NDArray[Any]) -> None:
        """Raise `SpecificationError` for events that are not integers, or more than an input may fire per step."""
        for events in parts:
            if events.size and not (
                np.array_equal(events, np.round(events))
                and events.min() >= 0
                and events.max() <= _LIMITS.max_input_events
            ):
                reason = f"must be whole numbers from 0 to {_LIMITS.max_input_events}"
                raise SpecificationError("events", reason)

    @cachedmethod(attrgetter("_costs"), key=lambda _, assignment: assignment.key, lock=attrgetter("_lock"))
    def _cost(self, assignment: Assignment) -> Cost:
        settings = assignment.settings
        try:
            populations = works(quantize(self._float_network, settings), settings, self._events)
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
