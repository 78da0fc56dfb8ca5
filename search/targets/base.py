"""A target of a search: rules of hardware or of a compiler, held against a network and a space. Plain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from costmodel.network import Network
from quantization.export.legality.base import EVERYTHING, Graph, Legality, Refusal
from search.errors import Problem

if TYPE_CHECKING:
    from search.space.choices import Choices

_OTHER_TARGET: Final = "replace the layer, or leave target out, which takes every layer"


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
        graph, legality, candidates = Graph(network), self.legality, space.candidates
        return [
            *self.class_problems(network),
            *(
                self._problem(_pointer(space, refusal), refusal)
                for refusal in legality.candidate_refusals(graph, candidates)
            ),
            *(self._problem("/limits", refusal) for refusal in legality.float_refusals(graph, candidates)),
            *(self._problem("/inputs", refusal) for refusal in legality.input_refusals(graph, candidates)),
            *(
                self._problem("/model", refusal)
                for refusal in legality.rule_refusals(graph, names=named_by_user)
            ),
        ]

    def class_problems(self, network: Network) -> list[Problem]:
        """Layers that it does not take, with whatever quantizer."""
        return [
            self._problem("/model", replace(refusal, reason=f"{refusal.reason}; {_OTHER_TARGET}"))
            for refusal in self.legality.layer_refusals(network)
        ]

    def warnings(self, network: Network, space: Choices) -> list[str]:
        """What converts, and does not fit a chip of the target."""
        refusals = self.legality.chip_warnings(Graph(network), space.candidates)
        return [f"{self.name}: {refusal}" for refusal in refusals]

    def _problem(self, pointer: str, refusal: Refusal) -> Problem:
        return Problem(pointer, f"{self.name}: {refusal}")


def _pointer(space: Choices, refusal: Refusal) -> str:
    """The part of the job that a candidate comes from; `/inputs` where nobody listed it."""
    fields = (
        slot.field for slot in space.slots if refusal.layer in slot.layers and slot.slot == refusal.slot
    )
    listed = next(fields, None)
    return "/inputs" if listed is None else f"/quantizers/{listed}"
