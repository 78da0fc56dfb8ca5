"""Which formats the candidates of a search can leave in, before it has begun. Plain."""

from __future__ import annotations

from costmodel.fold import unfolded
from quantization.export import spiking
from quantization.export.formats import FORMATS
from quantization.export.legality.base import Graph, Legality, Refusal
from search.plan import Plan
from search.plans.spiking import SpikingPlan


def search_refusals(plan: Plan) -> dict[str, list[Refusal]]:
    """Format -> what it cannot express of some assignment of the space; empty where it takes every trial."""
    if isinstance(plan, SpikingPlan):
        return spiking.refusals(plan.float_network)
    return {name: _refusals(plan, entry.legality) for name, entry in FORMATS.items()}


def _refusals(plan: Plan, legality: Legality) -> list[Refusal]:
    network = unfolded(plan.network)
    graph = Graph(network)
    chosen = {(name, slot.slot) for slot in plan.choices.slots for name in slot.layers}
    candidates = [
        Refusal(name, fault, slot.slot)
        for slot in plan.choices.slots
        for name in slot.layers
        for quantizer in slot.candidates
        for fault in legality.faults(graph.tensor(slot.slot, name), quantizer)
    ]
    return [
        *legality.layer_refusals(network),
        *candidates,
        *legality.float_refusals(graph, chosen),
        *legality.rule_refusals(graph),
    ]
