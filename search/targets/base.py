"""A target of a search: rules of hardware or of a compiler, held against a network and a space. Plain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from costmodel.network import Network
from quantization.export.legality.base import EVERYTHING, Graph, Legality, Refusal
from search.errors import Problem

if TYPE_CHECKING:
    from search.space.choices import Choices


@dataclass(frozen=True)
class Target:
    """A piece of hardware or a compiler, and what it takes."""

    name: str
    description: str
    legality: Legality = EVERYTHING

    def check(self, network: Network, space: Choices, *, named_by_user: bool = True) -> list[Problem]:
        """Every layer that breaks a rule of the target, and every candidate of the space that is not legal.

        Empty: any assignment of the space may run on the target. `named_by_user`: whether names are checked, too.
        """
        graph, legality = Graph(network), self.legality
        chosen = {(name, slot.slot) for slot in space.slots for name in slot.layers}
        return [
            *(self._problem("/model", refusal) for refusal in legality.layer_refusals(network)),
            *self._candidate_problems(graph, space),
            *(self._problem("/limits", refusal) for refusal in legality.float_refusals(graph, chosen)),
            *(
                self._problem("/model", refusal)
                for refusal in legality.rule_refusals(graph, names=named_by_user)
            ),
        ]

    def _candidate_problems(self, graph: Graph, space: Choices) -> list[Problem]:
        return [
            self._problem(f"/quantizers/{slot.field}", Refusal(name, fault, slot.slot))
            for slot in space.slots
            for name in slot.layers
            for quantizer in slot.candidates
            for fault in self.legality.faults(graph.tensor(slot.field, name), quantizer)
        ]

    def _problem(self, pointer: str, refusal: Refusal) -> Problem:
        return Problem(pointer, f"{self.name}: {refusal}")
