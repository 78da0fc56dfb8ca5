"""The energy of one layer, by part: the value that trials, answers and reports carry on. Plain data, JSON-able."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

#: Parts of a layer's energy.
PARTS: Final = ("inputs", "parameters", "operations", "outputs")
_FIELDS: Final = {part: f"{part}_pj" for part in PARTS}


@dataclass(frozen=True, slots=True)
class LayerEnergy:
    """Energy of one layer in picojoules, by part.

    `included`: the parts that count towards the network's energy; their sum is `included_pj`. The others are shown but
    assumed to happen on the way (an output handed on to the layer behind it, for one).
    """

    name: str
    class_name: str
    inputs_pj: float
    outputs_pj: float
    parameters_pj: float
    operations_pj: float
    included: tuple[str, ...]
    included_pj: float = field(init=False)

    def __post_init__(self) -> None:
        # Summed once: pricing adds up hundreds of thousands of layers.
        object.__setattr__(self, "included_pj", sum([getattr(self, _FIELDS[part]) for part in self.included]))

    @property
    def total_pj(self) -> float:
        """The sum of all parts."""
        return self.inputs_pj + self.outputs_pj + self.parameters_pj + self.operations_pj

    def part_pj(self, part: str) -> float:
        """A part by its name, whether it counts or not. Raises `KeyError` for a name not in `PARTS`."""
        energy_pj: float = getattr(self, _FIELDS[part])
        return energy_pj
