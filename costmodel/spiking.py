"""The energy of one inference of a spiking network: a model of ours, not a measurement of a chip.

A population of neurons is priced by the work of its simulation, with the prices of an energy profile
(`costmodel.technology`; the default is the 45 nm table of Horowitz, ISSCC 2014):

- a synaptic operation, one event that reaches one synapse, reads the synapse's weight and adds it to a current;
- in every step every neuron reads and writes its currents and its membrane, subtracts a decay from each of them, adds
  each current and its bias to the membrane, and reads its threshold and its bias and compares.

Weights, states and constants are in separate memories just large enough for them, priced by the bit. Weights of zero
are not stored and cost nothing. Sending events, clocks and leakage are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from costmodel.layer_energy import LayerEnergy
from costmodel.technology import Technology


@dataclass(frozen=True, slots=True)
class PopulationWork:
    """The work of a population in one inference, on average, and the widths of its numbers in bits."""

    name: str
    neurons: int
    currents: int  #: of each neuron
    steps: int
    synapses: int  #: with a weight other than zero
    synaptic_operations: float
    weight_bits: int
    threshold_bits: int
    state_bits: int
    has_bias: bool

    @property
    def weight_memory_bits(self) -> int:
        """Size of the memory of the weights."""
        return self.synapses * self.weight_bits

    @property
    def constant_memory_bits(self) -> int:
        """Size of the memory of thresholds and biases."""
        return self.neurons * (self.threshold_bits + self.weight_bits * self.has_bias)


#: The class under which a population stands among the layers of other networks.
POPULATION: Final = "SpikingNeurons"
#: Parts a population has: states (currents, membranes, thresholds and biases) are what its inputs are there.
_PARTS: Final = ("inputs", "parameters", "operations")


def population_energy(
    work: PopulationWork, technology: Technology, min_sram_size_bits: int = 0
) -> LayerEnergy:
    """The energy of a population in one inference: reading weights (parameters), reading and writing states (inputs),
    and additions (operations). No memory is priced smaller than `min_sram_size_bits`.
    """

    def per_bit(memory_bits: int) -> float:
        return technology.sram(max(memory_bits, min_sram_size_bits, 1)) / technology.sram_access_bits

    updates = work.neurons * work.steps
    states = work.currents + 1
    state_memory_bits = work.neurons * states * work.state_bits
    state_add = technology.operation_pj("add", work.state_bits)
    compare = technology.operation_pj("add", max(work.threshold_bits, work.state_bits))
    constants = work.threshold_bits + work.weight_bits * work.has_bias
    return LayerEnergy(
        name=work.name,
        class_name=POPULATION,
        parameters_pj=work.synaptic_operations * work.weight_bits * per_bit(work.weight_memory_bits),
        inputs_pj=updates
        * (
            2 * states * work.state_bits * per_bit(state_memory_bits)
            + constants * per_bit(work.constant_memory_bits)
        ),
        operations_pj=work.synaptic_operations * state_add
        + updates * ((states + work.currents + work.has_bias) * state_add + compare),
        outputs_pj=0.0,
        included=_PARTS,
    )
