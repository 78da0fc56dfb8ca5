"""What a dry run says about a plan beyond what a worker needs: its data's numbers, constraints that nothing keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from search.cost.pricing import Pricer
from search.data.examine import examined
from search.data.weights import class_weights
from search.errors import Infeasible
from search.history import Assignment, Cost
from search.plan import Plan
from search.space.extremes import extremes

#: Costs that constraints limit -> their units in words.
_UNITS: Final = {
    "energy_pj": "pJ",
    "bits": "bits",
    "bytes": "bytes",
    "parameter_bits": "bits",
    "peak_activation_bits": "bits",
    "macs": "MACs",
    "bops": "BOPs",
    "ebops": "EBOPs",
}
#: Layers that a warning names.
_NAMED: Final = 5
#: Classes whose weight a note states.
_NAMED_CLASSES: Final = 20


def reviewed(plan: Plan, data_dir: Path) -> Plan:
    """The plan with warnings about data, constraints and widths. Reads the examples; InvalidSpec if unusable."""
    examination = examined(plan.job.data, data_dir, plan.spec.seed, plan.network, plan.task, plan.data)
    notes = (*plan.data.notes, *_class_weight_notes(plan, examination.label_counts))
    warnings = (
        *plan.warnings,
        *examination.warnings,
        *_constraint_warnings(plan),
        *_width_warnings(plan),
    )
    return replace(plan, data=replace(plan.data, notes=notes), warnings=warnings)


def _class_weight_notes(plan: Plan, label_counts: Sequence[int]) -> list[str]:
    """The weights of classes that a job states, as they are used."""
    stated = plan.spec.training.class_weight
    if stated is None or not label_counts:
        return []
    weights = class_weights(stated, np.array(label_counts))
    shown = ", ".join(f"{number}: {weight:.4g}" for number, weight in enumerate(weights[:_NAMED_CLASSES]))
    more = f" and {len(weights) - _NAMED_CLASSES} more" if len(weights) > _NAMED_CLASSES else ""
    return [f"weights of classes in the loss of training examples: {shown}{more}"]


def _width_warnings(plan: Plan) -> list[str]:
    """Layers whose outputs nothing narrows, so that they grow from layer to layer."""
    dimensions = plan.choices.dimensions()
    wide: dict[str, str] = {}
    for end in (0, -1):
        assignment = plan.choices.assignment({name: labels[end] for name, labels in dimensions.items()})
        with contextlib.suppress(Infeasible):
            wide |= plan.pricer.wide_outputs(assignment)
    if not wide:
        return []
    names = ", ".join(f"{name} ({width})" for name, width in [*wide.items()][:_NAMED])
    more = f" and {len(wide) - _NAMED} more" if len(wide) > _NAMED else ""
    return [
        f"no quantizer narrows the outputs of {names}{more}: they hold every bit of the sums before them, which is"
        " stored, read and multiplied at a price, beyond 64 bits in floating point; quantize them by candidates under"
        " `quantizers.output`, or by Activation layers behind these layers that the limits name"
    ]


@dataclass(frozen=True, slots=True)
class _By:
    """Prices assignments by one part of their cost."""

    pricer: Pricer
    part: str

    def price(self, assignment: Assignment) -> Cost:
        """The whole cost."""
        return self.pricer.price(assignment)

    def price_many(self, assignments: Sequence[Assignment]) -> list[float | None]:
        """The part of each; None where no network can be built."""
        return [self._part(assignment) for assignment in assignments]

    def _part(self, assignment: Assignment) -> float | None:
        try:
            return float(self.pricer.part(self.part, assignment, self.pricer.price(assignment)))
        except Infeasible:
            return None


def _constraint_warnings(plan: Plan) -> list[str]:
    """Constraints on the cost that even the cheapest assignment breaks."""
    warnings = []
    for part, limit in plan.spec.constraints.cost_limits.items():
        ends = extremes(plan.choices, _By(plan.pricer, part))
        if ends is None:
            continue
        unit = _UNITS[part]
        cheapest = plan.pricer.part(part, ends.cheapest.assignment, ends.cheapest.cost)
        if cheapest > limit:
            sure = "so no trial will be trained" if ends.cheapest.exact else "as far as was searched"
            warnings.append(
                f"constraints.max_{part} is {limit:,.6g} {unit}, the cheapest assignment takes"
                f" {cheapest:,.6g} {unit}, {sure}"
            )
    return warnings
