"""The comparison of two trials as tables."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from service.cli.comparison import Comparison, FigurePair, LayerPair
from service.cli.text.numbers import cost, energy
from service.cli.text.tables import new_table

_RELATIVE = ("energy_pj", "bits", "cost")  #: figures whose change is also shown in percent


def comparison_table(comparison: Comparison, cost_unit: str, *, every: bool) -> RenderableType:
    """The comparison; only the layers that differ, unless `every` is true."""
    layers = [layer for layer in comparison.layers if every or layer.differs]
    hidden = len(comparison.layers) - len(layers)
    parts: list[RenderableType] = [_figure_table(comparison, cost_unit), Text("")]
    if layers:
        parts.append(_layer_table(comparison, layers))
    if hidden:
        parts.append(Text(f"{hidden} layers do not differ (--all shows them)", style="dim"))
    return Group(*parts)


def _figure_table(comparison: Comparison, cost_unit: str) -> Table:
    table = new_table("", f">trial {comparison.a}", f">trial {comparison.b}", ">change")
    for figure in comparison.figures:
        if figure.name == "cost" and cost_unit in ("energy_pj", "bits"):
            continue  # it is in the table under its own name
        name = "energy" if figure.name == "energy_pj" else figure.name
        values = [_number(figure.name, value, cost_unit) for value in (figure.a, figure.b)]
        table.add_row(name, *values, _change(figure, cost_unit))
    return table


def _number(name: str, value: float | None, cost_unit: str) -> str:
    if value is None:
        return "-"
    if name == "energy_pj":
        return energy(value)
    if name == "cost":
        return cost(value, cost_unit)
    return f"{value:,.0f}" if name == "bits" else f"{value:.4f}"


def _change(figure: FigurePair, cost_unit: str) -> str:
    if figure.change is None:
        return "-"
    if figure.name not in _RELATIVE:
        return f"{figure.change:+.4f}"
    share = f" ({100 * figure.change / figure.a:+.1f} %)" if figure.a else ""
    sign = "-" if figure.change < 0 else "+"
    return f"{sign}{_number(figure.name, abs(figure.change), cost_unit)}{share}"


def _layer_table(comparison: Comparison, layers: list[LayerPair]) -> Table:
    a, b = comparison.a, comparison.b
    columns = ("layer", "tensor", f"trial {a}", f"trial {b}", f">energy {a}", f">energy {b}", ">change")
    table = new_table(*columns)
    for layer in layers:
        pair = layer.energy_pj
        first = (layer.name, energy(pair.a), energy(pair.b), _change(pair, "energy_pj"))
        rows = list(_rows(layer)) or [("", "", "", False)]
        for index, (slot, left, right, differs) in enumerate(rows):
            name, *energies = first if index == 0 else ("", "", "", "")
            style = "bold" if differs else "dim"
            table.add_row(Text(name), *(Text(cell, style=style) for cell in (slot, left, right)), *energies)
        table.add_section()
    return table


def _rows(layer: LayerPair) -> Iterator[tuple[str, str, str, bool]]:
    """Tensor, its quantizer in both trials, and whether they differ; then the same of the width."""
    for pair in layer.tensors:
        yield pair.slot, pair.a or "float", pair.b or "float", pair.differs
    if layer.a_width or layer.b_width:
        left, right = (str(width or "as in the model") for width in (layer.a_width, layer.b_width))
        yield "width", left, right, layer.a_width != layer.b_width
