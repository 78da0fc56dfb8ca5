"""Two trials side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from service.cli import render
from service.schemas.jobs import TensorView, TrialLayerView, TrialView

_FIGURES: Final = ("score", "metric", "loss", "cost", "energy_pj", "bits")


@dataclass(frozen=True)
class Figure:
    """A number of each; `change` is b - a, None if one of them is not known."""

    name: str
    a: float | None
    b: float | None
    change: float | None = field(init=False)

    def __post_init__(self) -> None:
        known = self.a is not None and self.b is not None
        object.__setattr__(self, "change", self.b - self.a if known else None)  # type: ignore[operator]


@dataclass(frozen=True)
class TensorPair:
    """The quantizers of one tensor."""

    slot: str
    a: str | None
    b: str | None
    a_bits: int | None
    b_bits: int | None

    @property
    def differs(self) -> bool:
        """True if they are not the same."""
        return self.a != self.b


@dataclass(frozen=True)
class LayerPair:
    """A layer of both; widths are None where they are the model's."""

    name: str
    class_name: str | None
    tensors: tuple[TensorPair, ...]
    a_width: int | None
    b_width: int | None
    energy_pj: Figure

    @property
    def differs(self) -> bool:
        """True if it is quantized or sized differently, or costs another energy."""
        return (
            any(pair.differs for pair in self.tensors)
            or self.a_width != self.b_width
            or bool(self.energy_pj.change)
        )


@dataclass(frozen=True)
class Comparison:
    """Two trials of a job."""

    job_id: str
    a: int
    b: int
    figures: tuple[Figure, ...]
    layers: tuple[LayerPair, ...]


def compare(first: TrialView, second: TrialView) -> Comparison:
    """The trials, figure by figure and layer by layer, in the first one's order."""
    figures = tuple(Figure(name, getattr(first, name), getattr(second, name)) for name in _FIGURES)
    a, b = ({layer.name: layer for layer in trial.layers} for trial in (first, second))
    layers = tuple(_layer(name, a.get(name), b.get(name)) for name in dict.fromkeys([*a, *b]))
    return Comparison(first.job_id, first.number, second.number, figures, layers)


def _layer(name: str, a: TrialLayerView | None, b: TrialLayerView | None) -> LayerPair:
    a_slots, b_slots = (layer.slots if layer else {} for layer in (a, b))
    nothing = TensorView(quantizer=None, bits=None)
    tensors = []
    for slot in dict.fromkeys([*a_slots, *b_slots]):
        left, right = a_slots.get(slot, nothing), b_slots.get(slot, nothing)
        tensors.append(TensorPair(slot, left.quantizer, right.quantizer, left.bits, right.bits))
    return LayerPair(
        name=name,
        class_name=next((layer.class_name for layer in (a, b) if layer), None),
        tensors=tuple(tensors),
        a_width=a.width if a else None,
        b_width=b.width if b else None,
        energy_pj=Figure("energy_pj", a.included_pj if a else None, b.included_pj if b else None),
    )


# --- shown ---------------------------------------------------------------------------------------------------------


def table(found: Comparison, cost_unit: str, *, every: bool) -> RenderableType:
    """The comparison; without `every`, only the layers that differ."""
    shown = [layer for layer in found.layers if every or layer.differs]
    left_out = len(found.layers) - len(shown)
    parts: list[RenderableType] = [_figures(found, cost_unit), Text("")]
    if shown:
        parts.append(_layers(found, shown))
    if left_out:
        parts.append(Text(f"{left_out} layers do not differ (--all shows them)", style="dim"))
    return Group(*parts)


def _figures(found: Comparison, cost_unit: str) -> Table:
    made = Table(header_style="bold")
    for column in ("", f"trial {found.a}", f"trial {found.b}", "change"):
        made.add_column(column, justify="right" if column else "left")
    for figure in found.figures:
        if figure.name == "cost" and cost_unit in ("energy_pj", "bits"):
            continue  # it stands there under its own name
        texts = [_number(figure.name, value, cost_unit) for value in (figure.a, figure.b)]
        made.add_row(_name(figure.name), *texts, _change(figure, cost_unit))
    return made


def _name(name: str) -> str:
    return {"energy_pj": "energy"}.get(name, name)


def _number(name: str, value: float | None, cost_unit: str) -> str:
    if value is None:
        return "-"
    if name == "energy_pj":
        return render.energy(value)
    if name == "cost":
        return render.cost(value, cost_unit)
    return f"{value:,.0f}" if name == "bits" else f"{value:.4f}"


def _change(figure: Figure, cost_unit: str) -> str:
    if figure.change is None:
        return "-"
    if figure.name in ("energy_pj", "bits", "cost"):
        share = f" ({100 * figure.change / figure.a:+.1f} %)" if figure.a else ""
        sign = "-" if figure.change < 0 else "+"
        return f"{sign}{_number(figure.name, abs(figure.change), cost_unit)}{share}"
    return f"{figure.change:+.4f}"


def _layers(found: Comparison, layers: list[LayerPair]) -> Table:
    made = Table(header_style="bold")
    heads = ("layer", "tensor", f"trial {found.a}", f"trial {found.b}", f">energy {found.a}")
    for head in (*heads, f">energy {found.b}", ">change"):
        right = head.startswith(">")
        made.add_column(head.lstrip(">"), justify="right" if right else "left", overflow="fold")
    for layer in layers:
        rows = [(pair.slot, pair.a or "float", pair.b or "float", pair.differs) for pair in layer.tensors]
        if layer.a_width or layer.b_width:
            widths = [str(width or "as given") for width in (layer.a_width, layer.b_width)]
            rows.append(("width", widths[0], widths[1], layer.a_width != layer.b_width))
        energy = layer.energy_pj
        figures = [render.energy(energy.a), render.energy(energy.b), _change(energy, "energy_pj")]
        for index, (slot, a, b, differs) in enumerate(rows or [("", "", "", False)]):
            style = "bold" if differs else "dim"
            cells = [Text(cell, style=style) for cell in (slot, a, b)]
            made.add_row(
                Text(layer.name if index == 0 else ""), *cells, *(figures if index == 0 else ["", "", ""])
            )
        made.add_section()
    return made
