"""What stays float in the trials of a search, what that costs, and quantizers that cost more than float. Plain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import PricedLayer, price
from costmodel.propagation import FLOAT32
from costmodel.settings import EnergySettings
from search.cost.pricing import Pricer, data_types
from search.history import Assignment, Cost, SlotQuantizers
from search.space.choices import Choices

#: Types as they are in the built model: what has no quantizer is float.
_AS_BUILT: Final = EnergySettings(source=FLOAT32, internal=FLOAT32, accumulator=FLOAT32)
#: Layers and candidates that a warning names.
_NAMED: Final = 5
#: Layers priced for a comparison of candidates with float: about a second.
_PRICED_LAYERS: Final = 50_000


@dataclass(frozen=True, slots=True)
class FloatLayer:
    """A layer with tensors that stay float: "input", "output", and parameters by slot.

    `energy_pj`: of the layer in the trial, whatever makes it; `share`: of the energy of the network, 0 to 1.
    """

    name: str
    class_name: str
    tensors: tuple[str, ...]
    energy_pj: float
    share: float


def float_layers(pricer: Pricer, assignment: Assignment, cost: Cost) -> tuple[FloatLayer, ...]:
    """The layers of a trial with float tensors. `cost`: the trial's."""
    prepared = pricer.prepared(assignment)
    report = price(prepared, data_types(assignment), _AS_BUILT)
    energies = {layer.name: layer.included_pj for layer in cost.layers}
    whole = sum(energies.values())
    return tuple(
        FloatLayer(
            name=layer.name,
            class_name=layer.class_name,
            tensors=tensors,
            energy_pj=energies.get(layer.name, 0.0),
            share=energies.get(layer.name, 0.0) / whole if whole else 0.0,
        )
        for layer in report.layers
        if (tensors := tuple(_float_tensors(layer)))
    )


def _float_tensors(layer: PricedLayer) -> Iterator[str]:
    if any(map(_is_float, layer.input_types)):
        yield "input"
    yield from (parameter.slot for parameter, data_type in layer.work.parameters if _is_float(data_type))
    if _is_float(layer.output_type):
        yield "output"


def _is_float(data_type: DataType) -> bool:
    return data_type.format is NumberFormat.FLOAT


def cost_warnings(
    choices: Choices, pricer: Pricer, cheapest: Assignment, cost: Cost, reference: Cost
) -> tuple[str, ...]:
    """Of a space whose cheapest network costs more than the reference, and of quantizers that cost more than float."""
    warnings = []
    if cost.value > reference.value:
        layers = float_layers(pricer, cheapest, cost)
        dear = sorted(layers, key=lambda layer: -layer.energy_pj)
        float_part = f"; float tensors are in {_listed(layer.name for layer in dear)}" if dear else ""
        warnings.append(
            f"the cheapest network of the search costs {cost.value:,.0f}, more than the reference with"
            f" {reference.value:,.0f}{float_part}"
        )
    if dear_slots := _dearer_than_float(choices, pricer, cheapest):
        warnings.append(f"candidates that cost more than leaving the tensor float: {_listed(dear_slots)}")
    if dear_names := _layers_dearer_than_float(pricer, cheapest, cost):
        warnings.append(f"layers that cost more quantized than float: {_listed(dear_names)}")
    return tuple(warnings)


def _dearer_than_float(choices: Choices, pricer: Pricer, cheapest: Assignment) -> list[str]:
    """Slots and candidates with which the cheapest network costs more than with a float tensor in their place."""
    dear = []
    costs_of = [len(slot.candidates) + 1 for slot in choices.slots]
    kinds = [(slot.slot, slot.field, len(slot.candidates)) for slot in choices.slots]
    for index in _affordable(kinds, costs_of, len(pricer.prepared(cheapest).network.layers)):
        slot = choices.slots[index]
        options = [_with(cheapest, slot.layers, slot.slot, quantizer) for quantizer in slot.candidates]
        as_float = _with(cheapest, slot.layers, slot.slot, None)
        limit, *costs = pricer.price_many([as_float, *options])
        dear += [
            f"{slot.name}: {quantizer}"
            for quantizer, cost in zip(slot.candidates, costs, strict=True)
            if limit is not None and cost is not None and cost > limit
        ]
    return dear


def _affordable(kinds: Sequence[Hashable], prices: Sequence[int], layers: int) -> list[int]:
    """The indexes of what is compared: all of a small network, of a deep one as many of each kind as time allows.

    Each comparison prices the whole network `prices[i]` times: all of them would take the square of the layers.
    """
    rank_in_kind: Counter[Hashable] = Counter()
    order = []
    for index, kind in enumerate(kinds):
        order.append((rank_in_kind[kind], index))
        rank_in_kind[kind] += 1
    compared, left = [], _PRICED_LAYERS // max(1, layers)
    for rank, index in sorted(order):
        if left < prices[index] and rank > 0:
            break
        left -= prices[index]
        compared.append(index)
    return sorted(compared)


def _with(assignment: Assignment, layers: Iterable[str], slot: str, quantizer: object) -> Assignment:
    quantizers: dict[str, SlotQuantizers] = dict(assignment.quantizers)
    for layer in layers:
        quantizers[layer] = {**quantizers[layer], slot: quantizer}  # type: ignore[dict-item]
    return replace(assignment, quantizers=quantizers)


def _layers_dearer_than_float(pricer: Pricer, cheapest: Assignment, cost: Cost) -> list[str]:
    """Layers without whose quantizers the cheapest network would be cheaper."""
    network = pricer.prepared(cheapest).network
    names = [name for name, slots in cheapest.quantizers.items() if slots and name not in pricer.inputs]
    kinds = [network.layer(name).class_name for name in names]
    names = [names[index] for index in _affordable(kinds, [1] * len(names), len(network.layers))]
    without = [
        replace(
            cheapest, quantizers={name: slots for name, slots in cheapest.quantizers.items() if name != left}
        )
        for left in names
    ]
    costs = pricer.price_many(without)
    return [
        name for name, other in zip(names, costs, strict=True) if other is not None and other < cost.value
    ]


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    rest = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + rest
