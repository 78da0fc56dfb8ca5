"""What a network needs on a device, in whatever format: counted from its description and quantizers. Plain."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.costs import network_cost
from costmodel.energy import prepare
from costmodel.network import Network
from quantization.export.legality.base import Quantizers

_BYTE = 8


@dataclass(frozen=True, slots=True)
class NetworkFigures:
    """`packed_bytes`: of all parameters in their bits, float ones as 8 bits. `peak_activation_bytes`: of activations
    that are kept at one time, layers run in order, in their bits. `macs`: multiplications and additions an inference.
    """

    packed_bytes: int
    peak_activation_bytes: int
    macs: int


def network_figures(network: Network, quantizers: Quantizers) -> NetworkFigures:
    """The figures of a network with these quantizers. Raises what `costmodel.costs.network_cost` raises."""
    prepared = prepare(network)
    names = {layer.name for layer in network.layers}
    types = {
        layer: {slot: None if spec is None else spec.data_type() for slot, spec in slots.items()}
        for layer, slots in quantizers.items()
        if layer in names
    }
    parameters, peak, macs = (
        network_cost(name, prepared, types) for name in ("parameter_bits", "peak_activation_bits", "macs")
    )
    return NetworkFigures(-int(-parameters // _BYTE), -int(-peak // _BYTE), int(macs))
