"""Costs of networks, explanations and energy profiles as text."""

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
from service.cli.text.numbers import energy, percent
from service.cli.text.tables import new_table

#: Part of an energy -> character and color of its bar; the characters differ for those who see no colors.
PARTS: Final = {
    "inputs": ("░", "cyan"),
    "parameters": ("▒", "yellow"),
    "operations": ("█", "blue"),
    "outputs": ("▓", "green"),
}
_BAR_WIDTH: Final = 24
_WIDE: Final = 100  #: characters from which there is room for the classes of the layers


@dataclass(frozen=True, slots=True)
class Bar:
    """The counted parts of a layer side by side, in the available width; `largest` pJ fill it."""

    layer: LayerPrice
    largest: float

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(6, min(_BAR_WIDTH, options.max_width))

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text(min(_BAR_WIDTH, options.max_width))

    def text(self, width: int) -> Text:
        """The bar, at most `width` characters. Rounds ends rather than lengths: errors do not add up."""
        bar, start, total_pj = Text(), 0, 0.0
        for part, (character, color) in PARTS.items():
            total_pj += self.layer.included_part_pj(part)
            end = round(width * total_pj / self.largest) if self.largest else 0
            bar.append(character * (end - start), style=color)
            start = end
        return bar


def network_table(cost: NetworkCost, width: int = 120) -> RenderableType:
    """The energy of each layer and the sums; classes of layers only where `width` characters have room for them."""
    is_wide = width >= _WIDE
    table = _layer_table(is_wide)
    table.title = f"{cost.model}: energy of one inference, pJ"
    largest = max((layer.included_pj for layer in cost.layers), default=0.0)
    for layer in cost.layers:
        table.add_row(
            Text(layer.name),
            *([Text(layer.class_name)] if is_wide else []),
            *(_part(layer, part) for part in PARTS),
            f"{layer.included_pj:,.0f}",
            f"{100 * layer.share:.1f} %",
            Bar(layer, largest),
        )
    table.add_section()
    sums = (f"{getattr(cost, f'{part}_pj'):,.0f}" for part in PARTS)
    table.add_row(
        "counted", *([""] if is_wide else []), *sums, f"{cost.energy_pj:,.0f}", "", "", style="bold"
    )
    return Group(table, _legend(), *_notes(cost))


def _layer_table(is_wide: bool) -> Table:
    table = new_table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("layer", overflow="fold", min_width=8)
    if is_wide:
        table.add_column("class", overflow="fold")
    for name in ("inputs", "params", "ops", "outputs", "counted", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    return table


def _part(layer: LayerPrice, part: str) -> Text:
    """A part of the energy of a layer; in brackets where it is not counted."""
    text = f"{getattr(layer, f'{part}_pj'):,.0f}"
    return Text(text) if part in layer.included else Text(f"({text})", style="dim")


def _legend() -> Text:
    parts = (Text.assemble((character, color), f" {part}") for part, (character, color) in PARTS.items())
    return Text("   ").join([*parts, Text("(in brackets: not counted)", style="dim")])


def _notes(cost: NetworkCost) -> Iterable[Text]:
    kind = "quantized" if cost.quantized else "reference (nothing quantized)"
    yield Text.assemble((f"{cost.energy_pj:,.0f} pJ", "bold"), f" = {energy(cost.energy_pj)}, {kind}")
    if cost.quantized and cost.reference_pj:
        share = percent(cost.energy_pj / cost.reference_pj)
        yield Text(f"{share} of the reference, {cost.reference_pj:,.0f} pJ")
    yield Text(f"profile {cost.profile} ({cost.profile_title}), accounting {cost.accounting}")
    other_costs = [
        f"{name.replace('_', ' ')} {figure.value:,.0f}"
        for name, figure in cost.costs.items()
        if name != "energy"
    ]
    yield Text(", ".join(other_costs))
    if cost.second_hand:
        yield Text(f"second-hand figures: {', '.join(cost.second_hand)}", style="yellow")


def explanation_table(explanation: Explanation) -> RenderableType:
    """How each figure of a layer is computed."""
    types = _table("tensor", "type")
    for role, name in explanation.types:
        types.add_row(Text(role), Text(name))
    lines = _table("part", "what", "formula", ">pJ", "source")
    for line in explanation.lines:
        figure = f"{line.energy_pj:,.4g}" if line.energy_pj < 1000 else f"{line.energy_pj:,.0f}"
        lines.add_row(
            line.part,
            Text(line.description),
            Text(line.formula),
            figure if line.included else f"({figure})",
            _source(line.source, line.second_hand),
        )
    head = Text.assemble(
        (explanation.name, "bold"),
        f" ({explanation.class_name}, {'quantized' if explanation.quantized else 'not quantized'}): "
        f"{explanation.included_pj:,.2f} pJ, {percent(explanation.share)} of the network, "
        f"{explanation.operation_count:,} operations; "
        f"profile {explanation.profile}, accounting {explanation.accounting}",
    )
    difference = [Text(f"QTools: {explanation.qtools}", style="dim")] if explanation.qtools else []
    return Group(head, types, lines, *difference)


def profile_list(profiles: Iterable[Profile]) -> RenderableType:
    """Profiles, one in a row."""
    table = _table("profile", "description", ">nm", "accounting", "second-hand figures")
    for profile in profiles:
        table.add_row(
            Text(profile.name),
            Text(profile.title),
            f"{profile.process_nm:g}",
            profile.accounting,
            ", ".join(profile.second_hand) or "none",
        )
    return Group(table, Text("fewbits profiles NAME shows every figure with its source", style="dim"))


def profile_table(profile: Profile) -> RenderableType:
    """A profile with the source of every figure."""
    table = _table("table", "what", "pJ", "source")
    for figure in profile.figures:
        prices = ", ".join(f"{size} {price:.4g}" for size, price in figure.prices_pj.items())
        table.add_row(figure.table, figure.what, prices, _source(figure.source, figure.second_hand))
    title = f"{profile.name}: {profile.title}, {profile.process_nm:g} nm, accounting {profile.accounting}"
    return Group(Text(title, style="bold"), table)


def _source(source: str, second_hand: bool) -> Text:
    return Text(f"{source} (second-hand)" if second_hand else source)


def _table(*columns: str) -> Table:
    return new_table(*columns, box=box.SIMPLE_HEAD)
