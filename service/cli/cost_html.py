"""The cost of a network as one HTML file: table, stacked bars, and the source of each figure."""

from __future__ import annotations

from typing import Final

from search.cost.answer import NetworkCost, Priced
from search.cost.profiles import described
from service.cli.pages import render

PARTS: Final = ("inputs", "parameters", "operations", "outputs")


def page(priced: Priced, cost: NetworkCost) -> str:
    """The page."""
    sums = {part: getattr(cost, f"{part}_pj") for part in PARTS}
    return render(
        "cost.html.j2",
        title=f"{cost.model}: energy of one inference",
        cost=cost,
        parts=PARTS,
        sums=sums,
        whole_pj=sum(sums.values()),
        counted={layer.name: {part: layer.included_part_pj(part) for part in PARTS} for layer in cost.layers},
        largest_pj=max((layer.included_pj for layer in cost.layers), default=0.0),
        explanations=[priced.explanation(layer.name) for layer in priced.report.layers],
        profile=described(priced.report.settings.technology),
    )
