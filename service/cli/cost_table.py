"""Costs as text. Names are user input: they are printed as text, never as markup."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from costmodel.explain import Explanation
from search.cost.answer import LayerPrice, NetworkCost
from search.cost.profiles import Profile
from service.cli.render import energy, percent

#: Part -> what its piece of a bar is drawn with; told apart without colours too.
PARTS: Final = {
    "inputs": ("░", "cyan"),
    "parameters": ("▒", "yellow"),
    "operations": ("█", "blue"),
    "outputs": ("▓", "green"),
}
_BAR_WIDTH: Final = 24


@dataclass(frozen=True, slots=True)
class Bar:
    """The counted parts of a layer side by side, in the width there is; `largest` pJ fill it."""

    layer: LayerPrice
    largest: float

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(6, min(_BAR_WIDTH, options.max_width))

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text(min(_BAR_WIDTH, options.max_width))

    def text(self, width: int) -> Text:
        """The bar, at most `width` characters; rounding the ends, not the pieces, keeps its length right."""
        bar, drawn, reached = Text(), 0, 0.0
        for part, (character, colour) in PARTS.items():
            reached += self.layer.included_part_pj(part)
            end = round(width * reached / self.largest) if self.largest else 0
            bar.append(character * (end - drawn), style=colour)
            drawn = end
        return bar


def network(cost: NetworkCost, width: int = 120) -> RenderableType:
    """The layers with what they cost, and the sums; classes only where `width` characters have room for them."""
    wide = width >= 100
    table = _layer_table(wide)
    table.title = f"{cost.model}: energy of one inference, pJ"
    largest = max((layer.included_pj for layer in cost.layers), default=0.0)
    for layer in cost.layers:
        table.add_row(
            Text(layer.name),
            *([Text(layer.class_name)] if wide else []),
            *(_part(layer, part) for part in PARTS),
            f"{layer.included_pj:,.0f}",
            f"{100 * layer.share:.1f} %",
            Bar(layer, largest),
        )
    table.add_section()
    sums = (f"{getattr(cost, f'{part}_pj'):,.0f}" for part in PARTS)
    table.add_row("counted", *([""] if wide else []), *sums, f"{cost.energy_pj:,.0f}", "", "", style="bold")
    return Group(table, _legend(), *_notes(cost))


def _layer_table(wide: bool) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        header_style="bold",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("layer", overflow="fold", min_width=8)
    if wide:
        table.add_column("class", overflow="fold")
    for name in ("inputs", "params", "ops", "outputs", "counted", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    return table


def _part(layer: LayerPrice, part: str) -> Text:
    """A part of a layer's energy; in brackets where it does not count."""
    text = f"{getattr(layer, f'{part}_pj'):,.0f}"
    return Text(text) if part in layer.included else Text(f"({text})", style="dim")


def _legend() -> Text:
    pieces = (Text.assemble((character, colour), f" {part}") for part, (character, colour) in PARTS.items())
    return Text("   ").join([*pieces, Text("(in brackets: happens on the way, does not count)", style="dim")])


def _notes(cost: NetworkCost) -> Iterable[Text]:
    what = "quantized" if cost.quantized else "reference (nothing quantized)"
    yield Text.assemble((f"{cost.energy_pj:,.0f} pJ", "bold"), f" = {energy(cost.energy_pj)}, {what}")
    if cost.quantized and cost.reference_pj:
        of = percent(cost.energy_pj / cost.reference_pj)
        yield Text(f"{of} of the reference, {cost.reference_pj:,.0f} pJ")
    yield Text(f"profile {cost.profile} ({cost.profile_title}), accounting {cost.accounting}")
    others = [
        f"{name.replace('_', ' ')} {figure.value:,.0f}"
        for name, figure in cost.costs.items()
        if name != "energy"
    ]
    yield Text(", ".join(others))
    if cost.second_hand:
        yield Text(f"second-hand figures: {', '.join(cost.second_hand)}", style="yellow")


def explanation(found: Explanation) -> RenderableType:
    """Where each figure of a layer comes from."""
    types = _table("tensor", "type")
    for role, text in found.types:
        types.add_row(Text(role), Text(text))
    lines = _table("part", "what", "formula", ">pJ", "source")
    for line in found.lines:
        figure = f"{line.energy_pj:,.4g}" if line.energy_pj < 1000 else f"{line.energy_pj:,.0f}"
        source = f"{line.source} (second-hand)" if line.second_hand else line.source
        lines.add_row(
            line.part,
            Text(line.description),
            Text(line.formula),
            figure if line.included else f"({figure})",
            Text(source),
        )
    head = Text.assemble(
        (found.name, "bold"),
        f" ({found.class_name}, {'quantized' if found.quantized else 'not quantized'}): "
        f"{found.included_pj:,.2f} pJ, {percent(found.share)} of the network, "
        f"{found.operation_count:,} operations; profile {found.profile}, accounting {found.accounting}",
    )
    differs = [Text(f"QTools: {found.qtools}", style="dim")] if found.qtools else []
    return Group(head, types, lines, *differs)


def profiles(found: Iterable[Profile]) -> RenderableType:
    """The profiles in one table."""
    table = _table("profile", "what it is", ">nm", "accounting", "second-hand figures")
    for each in found:
        table.add_row(
            Text(each.name),
            Text(each.title),
            f"{each.process_nm:g}",
            each.accounting,
            ", ".join(each.second_hand) or "none",
        )
    return Group(table, Text("fewbits profiles NAME shows every figure with its source", style="dim"))


def profile(found: Profile) -> RenderableType:
    """One profile with the source of every figure."""
    table = _table("table", "what", "pJ", "source")
    for figure in found.figures:
        prices = ", ".join(f"{size} {price:.4g}" for size, price in figure.prices_pj.items())
        source = f"{figure.source} (second-hand)" if figure.second_hand else figure.source
        table.add_row(figure.table, figure.what, prices, Text(source))
    title = f"{found.name}: {found.title}, {found.process_nm:g} nm, accounting {found.accounting}"
    return Group(Text(title, style="bold"), table)


def _table(*columns: str) -> Table:
    """A table; a leading > aligns a column to the right."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", title_justify="left", title_style="bold")
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return table
