"""Trials ranked under another goal, as text."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from service.cli.render import energy, percent
from service.schemas.rescore import RescoreView


def ranking(view: RescoreView) -> RenderableType:
    """The trials, best first, costs beside what the reference costs under the goal."""
    if not view.items:
        return Text("no trial is measured yet")
    table = Table(header_style="bold", title_justify="left", title=f"Best by {view.cost_unit}")
    for column in ("trial", "score", view.metric_name, view.cost_unit, "of reference", "energy"):
        table.add_column(column, justify="right")
    for point in view.items:
        table.add_row(
            str(point.number),
            f"{point.score:.4f}",
            percent(point.metric) if view.metric_is_share else f"{point.metric:.4g}",
            f"{point.cost:,.0f}",
            percent(point.cost / view.reference_cost),
            energy(point.energy_pj),
        )
    return table
