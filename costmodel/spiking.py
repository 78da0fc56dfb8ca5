"""What one inference of a spiking network costs: an assumption of our own, not a measurement of a chip.

A population of neurons is priced by what its simulation does, with the figures of an energy profile
(`costmodel.technology`; the default is the 45 nm table of Horowitz, ISSCC 2014):

- a synaptic operation, one event that reaches one synapse, reads the synapse's weight and adds it to a current;
- in every step every neuron reads and writes its currents and its membrane, takes a decay off each of them, adds each
  current and its bias to the membrane, and reads its threshold and its bias and compares.

Weights, states and constants lie in memories of their own size, priced by the bit. Weights of zero are not stored and
cost nothing. Sending events, clocks and leakage are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from costmodel.layer_energy import LayerEnergy
from costmodel.technology import Technology


@dataclass(frozen=True, slots=True)
class PopulationWork:
    """What a population does in one inference, on average, and how wide its numbers are (bits)."""

    name: str
    neurons: int
    currents: int  #: of a neuron
    steps: int
    synapses: int  #: those with a weight that is not zero
    synaptic_operations: float
    weight_bits: int
    threshold_bits: int
    state_bits: int
    has_bias: bool

    @property
    def weights_held_bits(self) -> int:
        """The memory of the weights."""
        return self.synapses * self.weight_bits

    @property
    def constants_held_bits(self) -> int:
        """The memory of thresholds and biases."""
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

    def per_bit(held_bits: int) -> float:
        return technology.sram(max(held_bits, min_sram_size_bits, 1)) / technology.sram_access_bits

    updates = work.neurons * work.steps
    states = work.currents + 1
    held = work.neurons * states * work.state_bits
    state_add = technology.operation_pj("add", work.state_bits)
    compare = technology.operation_pj("add", max(work.threshold_bits, work.state_bits))
    constants = work.threshold_bits + work.weight_bits * work.has_bias
    return LayerEnergy(
        name=work.name,
        class_name=POPULATION,
        parameters_pj=work.synaptic_operations * work.weight_bits * per_bit(work.weights_held_bits),
        inputs_pj=updates
        * (2 * states * work.state_bits * per_bit(held) + constants * per_bit(work.constants_held_bits)),
        operations_pj=work.synaptic_operations * state_add
        + updates * ((states + work.currents + work.has_bias) * state_add + compare),
        outputs_pj=0.0,
        included=_PARTS,
    )
