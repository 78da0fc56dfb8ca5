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
    graph, candidates = Graph(network), plan.choices.candidates
    return [
        *legality.layer_refusals(network),
        *legality.candidate_refusals(graph, candidates),
        *legality.float_refusals(graph, candidates),
        *legality.input_refusals(graph, candidates),
        *legality.rule_refusals(graph),
    ]
