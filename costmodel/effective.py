"""What trained weights cost: the bits that their codes use, where a type counts the bits that they could use.

A weight uses the bits from the first to the last one set in the magnitude of its code: 12 = 0b1100 uses two, 0 none
(the constants of HGQ; Sun et al., 2024). Bits to the right cost nothing in hardware that knows the weights, and
bits to the left never change. Codes share their width with all weights of the tensor, of their output channel, or
with none: a `Granularity`. What is not a weight, activations above all, costs what its type says.

- `ebops`: as `costmodel.costs.ebops`, with the mean of the used bits of a layer's weights in place of the type's.
- `bits`: as `costmodel.bits`, with the used bits and a sign, where the type has one, in place of the type's.
- `energy_pj`: the tensors' types narrowed to what they use and priced again. Per channel and per weight, products and
  reads of kernels of dense layers and convolutions are priced by their widths, weight by weight; sums stay as wide as
  the tensor makes them. With `zero_skipping`, products with a weight of 0 are not computed, nor added.

Each is at most what the types cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from costmodel.bits import model_bits
from costmodel.costs import CostSettings, operands
from costmodel.data_type import DataType, NumberFormat, SlotTypes
from costmodel.energy import EnergyReport, Prepared, PricedLayer, gate_pj, price, reprice
from costmodel.layer import elements
from costmodel.lowering import Family

Codes = NDArray[np.int64]

#: Layer -> slot -> integer codes of its trained weight, output channels along the last axis.
LayerCodes = Mapping[str, Mapping[str, Codes]]


class Granularity(StrEnum):
    """Which weights have one width."""

    WEIGHT = "weight"
    CHANNEL = "channel"
    TENSOR = "tensor"


@dataclass(frozen=True, slots=True)
class EffectiveCost:
    """The cost of one inference with trained weights, at one granularity."""

    ebops: float
    bits: int
    energy_pj: float


def used_bits(codes: Codes, granularity: Granularity) -> Codes:
    """Bits from the first to the last one set in the magnitudes of codes that share a width; 0 where all are 0.

    Of the shape of `codes`.
    """
    magnitudes = np.abs(codes.astype(np.int64))
    if granularity is not Granularity.WEIGHT:
        axes = tuple(range(codes.ndim - (granularity is Granularity.CHANNEL and codes.ndim > 0)))
        magnitudes = np.broadcast_to(np.bitwise_or.reduce(magnitudes, axis=axes, keepdims=True), codes.shape)
    lowest = magnitudes & -magnitudes
    return _bit_length(magnitudes // np.maximum(lowest, 1))


def _bit_length(numbers: Codes) -> Codes:
    """Bits of whole numbers of at least 0: 0 of 0, 1 of 1, 2 of 2 and 3. Exact up to 2^62."""
    length = np.zeros(numbers.shape, dtype=np.int64)
    rest = numbers.copy()
    for shift in (32, 16, 8, 4, 2, 1):
        wide = rest >= (1 << shift)
        length += np.where(wide, shift, 0)
        rest = np.where(wide, rest >> shift, rest)
    return length + rest


def effective_costs(
    prepared: Prepared,
    types: Mapping[str, SlotTypes],
    codes: LayerCodes,
    settings: CostSettings,
    *,
    zero_skipping: bool = False,
) -> dict[Granularity, EffectiveCost]:
    """What a network costs with these trained weights. Slots without codes cost what their types say.

    Raises what `price` and `model_bits` raise.
    """
    query = _Query(prepared, types, codes, settings, zero_skipping)
    return {granularity: query.cost(granularity) for granularity in Granularity}


def effective_value(
    prepared: Prepared,
    types: Mapping[str, SlotTypes],
    codes: LayerCodes,
    settings: CostSettings,
    granularity: Granularity,
    unit: str,
    *,
    zero_skipping: bool = False,
) -> float:
    """One of `EFFECTIVE` at one granularity, in a fraction of the time of all. Raises what `effective_costs` raises."""
    query = _Query(prepared, types, codes, settings, zero_skipping)
    return float(getattr(query, unit)(granularity))


@dataclass(frozen=True)
class _Query:
    """A network with its types and trained weights."""

    prepared: Prepared
    types: Mapping[str, SlotTypes]
    codes: LayerCodes
    settings: CostSettings
    zero_skipping: bool

    def cost(self, granularity: Granularity) -> EffectiveCost:
        return EffectiveCost(self.ebops(granularity), self.bits(granularity), self.energy_pj(granularity))

    @cached_property
    def _bound(self) -> EnergyReport:
        """What the types cost."""
        return price(self.prepared, self.types, self.settings.energy)

    @cached_property
    def _narrow(self) -> EnergyReport:
        """What types as narrow as the codes cost."""
        return price(self.prepared, self._narrowed(), self.settings.energy)

    def energy_pj(self, granularity: Granularity) -> float:
        return min(self._energy_pj(self._narrow, granularity), self._bound.energy_pj)

    def ebops(self, granularity: Granularity) -> float:
        total = 0.0
        for node, layer in zip(self.prepared.nodes, self._bound.layers, strict=True):
            if not node.lowering.macs:
                continue
            a, w = operands(node, layer)
            total += node.lowering.macs * a.bits * self._mean_bits(node.layer.name, w, granularity)
            bias = layer.work.types.get("bias")
            if bias is not None:
                mean = self._mean_bits(node.layer.name, bias, granularity, bias=True)
                total += elements(node.layer.output_shape) * mean
        return total

    def _mean_bits(
        self, layer: str, bound: DataType, granularity: Granularity, *, bias: bool = False
    ) -> float:
        """Mean of the used bits of a layer's kernels or biases, at most those of `bound`; these without codes."""
        slots = [codes for slot, codes in self.codes.get(layer, {}).items() if slot.endswith("bias") is bias]
        used = [
            np.minimum(used_bits(codes, granularity), _bits_of(bound)).ravel()
            for codes in slots
            if codes.size
        ]
        channels = max(len(bound.channel_bits), 1)
        return float(np.concatenate(used).mean()) if used else bound.stored_bits(channels) / channels

    def bits(self, granularity: Granularity) -> int:
        report = model_bits(self.prepared.network, self.types, self.settings.bits)
        counted = {layer.name for layer in report.layers if layer.counted_parameters}
        saved = 0
        for layer, slots in self.codes.items():
            for slot, codes in slots.items() if layer in counted else ():
                data_type = (self.types.get(layer) or {}).get(slot)
                if data_type is not None:
                    saved += int((_bits_of(data_type) - _stored_bits(codes, data_type, granularity)).sum())
        return max(report.total - saved, 0)

    def _energy_pj(self, narrow: EnergyReport, granularity: Granularity) -> float:
        energy_pj = narrow.energy_pj
        for index, (node, layer) in enumerate(zip(self.prepared.nodes, narrow.layers, strict=True)):
            kernel = self.codes.get(node.layer.name, {}).get("kernel")
            if kernel is not None and kernel.size and node.lowering.family is Family.MAC:
                energy_pj -= self._saved_pj(index, layer, kernel, granularity)
        return energy_pj

    def _saved_pj(self, index: int, layer: PricedLayer, kernel: Codes, granularity: Granularity) -> float:
        """What a layer with a kernel saves against one whose weights all have the type of the widest."""
        slots = dict(self._narrowed()[layer.name])
        kernel_type = slots["kernel"]
        used = used_bits(kernel, granularity)
        computed = used[np.broadcast_to(self._is_computed(layer.name), used.shape)]
        part = computed.size / kernel.size  # channels that have no bits by their type cost nothing anyway
        bits, counts = np.unique(computed, return_counts=True)
        saved = 0.0
        for width, count in zip(bits.tolist(), counts.tolist(), strict=True):
            share = count / computed.size
            multiply, accumulate = _mac_pj(layer, self.settings)
            if width == 0 and self.zero_skipping:
                saved += share * _included(layer, "operations", multiply + accumulate)
            other = layer
            if kernel_type is not None and kernel_type.format is NumberFormat.FIXED:
                bits_stored = max(width + kernel_type.signed, 1)
                typed = replace(kernel_type, bits=bits_stored, int_bits=0, channel_bits=())
                other = reprice(self.prepared, index, layer, slots | {"kernel": typed}, self.settings.energy)
                saved += share * _included(layer, "parameters", _kernel_pj(layer) - part * _kernel_pj(other))
            if width or not self.zero_skipping:
                product = part * _mac_pj(other, self.settings)[0]
                saved += share * _included(layer, "operations", multiply - product)
        return saved

    def _is_computed(self, layer: str) -> NDArray[np.bool_]:
        """Of a layer's kernel, whether its channels have any bits: one for all, or one for each."""
        kernel = self.types[layer]["kernel"]
        return np.array(True) if kernel is None else _bits_of(kernel) > 0

    def _narrowed(self) -> dict[str, dict[str, DataType | None]]:
        """The types, of tensors with codes as narrow as those are."""
        return {
            layer: {
                slot: _narrowed(data_type, self.codes.get(layer, {}).get(slot))
                for slot, data_type in slots.items()
            }
            for layer, slots in self.types.items()
        }


def _narrowed(data_type: DataType | None, codes: Codes | None) -> DataType | None:
    """The fixed-point type that just holds the codes; other types stay as they are."""
    if data_type is None or codes is None or not codes.size or data_type.format is not NumberFormat.FIXED:
        return data_type
    if data_type.channel_bits:  # whose codes have a point for each channel
        stored = _stored_bits(codes, data_type, Granularity.CHANNEL)
        return replace(data_type, channel_bits=tuple(stored.reshape(-1, stored.shape[-1])[0].tolist()))
    whole = int(np.bitwise_or.reduce(np.abs(codes.astype(np.int64)), axis=None))
    used = int(used_bits(codes, Granularity.TENSOR).max())
    bits = min(max(used + data_type.signed, 1), data_type.bits)
    integer = min(whole.bit_length() - data_type.fraction_bits, data_type.int_bits)
    return replace(data_type, bits=bits, int_bits=integer)


def _stored_bits(codes: Codes, data_type: DataType, granularity: Granularity) -> Codes:
    """Bits that are stored of each weight: those used, and a sign where there is anything."""
    used = used_bits(codes, granularity)
    return np.minimum(used + (used > 0) * int(data_type.signed), _bits_of(data_type))


def _bits_of(data_type: DataType) -> Codes:
    """Bits of a type: of each channel where they differ, as they lie along the last axis."""
    return np.array(data_type.channel_bits or data_type.bits, np.int64)


def _mac_pj(layer: PricedLayer, settings: CostSettings) -> tuple[float, float]:
    """Energy of all products of a layer, and of adding them up."""
    prices: defaultdict[str, float] = defaultdict(float)
    for operation in layer.work.operations:  # of one label for each width of channels
        prices[operation.label] += operation.count * gate_pj(operation, settings.energy)
    return prices["multiply"], prices["accumulate"]


def _kernel_pj(layer: PricedLayer) -> float:
    return sum(access.energy_pj for access in layer.accesses if access.tensor == "parameters:kernel")


def _included(layer: PricedLayer, part: str, energy_pj: float) -> float:
    """An energy if its part counts towards the network's, else 0."""
    return energy_pj if part in layer.energy.included else 0.0


def effective_document(costs: Mapping[Granularity, EffectiveCost]) -> dict[str, dict[str, Any]]:
    """Effective costs as JSON values: granularity -> ebops, bits, energy_pj."""
    return {
        str(granularity): {"ebops": cost.ebops, "bits": cost.bits, "energy_pj": cost.energy_pj}
        for granularity, cost in costs.items()
    }


#: What an effective cost has, in the order in which it is shown.
EFFECTIVE: Final = ("ebops", "bits", "energy_pj")
