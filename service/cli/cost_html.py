"""The cost of a network as one HTML file: table, stacked bars, and where each figure comes from.

It loads nothing and runs nothing; every text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from costmodel.explain import Explanation, Line
from search.cost.answer import LayerPrice, NetworkCost, Priced
from search.cost.profiles import described
from service.cli.text.numbers import energy, percent

PARTS: Final = ("inputs", "parameters", "operations", "outputs")

#: Okabe and Ito's colours, told apart without red-green vision.
_STYLE: Final = """
:root { --ground: #fff; --text: #1b2430; --muted: #5c6773; --line: #dfe3e8; --shade: #f0f4f8;
  --inputs: #56b4e9; --parameters: #e69f00; --operations: #0072b2; --outputs: #5f9e77; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161c; --text: #e6eaf0; --muted: #9aa7b5;
  --line: #323c49; --shade: #1d242e; --operations: #4aa3df; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1300px; padding: 1.2rem; background: var(--ground); color: var(--text);
  font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.4rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
p { margin: .3rem 0; } .muted, .off { color: var(--muted); } .small { font-size: .85rem; }
td.small { overflow-wrap: anywhere; min-width: 9rem; }
.big { font-size: 1.6rem; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .55rem; border-bottom: 1px solid var(--line); vertical-align: top; }
table.narrow { width: auto; }
thead th { font-size: .82rem; color: var(--muted); white-space: nowrap; }
tbody th { font-weight: 500; overflow-wrap: anywhere; min-width: 8rem; }
tfoot td, tfoot th { font-weight: 600; border-top: 2px solid var(--line); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { display: flex; height: .95rem; min-width: 9rem; background: var(--shade); }
.whole { height: 1.4rem; margin: .6rem 0; }
.bar span { display: block; } .legend span { margin-right: 1.1rem; white-space: nowrap; }
.legend i { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; vertical-align: -1px; }
.inputs { background: var(--inputs); } .parameters { background: var(--parameters); }
.operations { background: var(--operations); } .outputs { background: var(--outputs); }
details { border-bottom: 1px solid var(--line); padding: .35rem 0; } summary { cursor: pointer; }
details table { font-size: .88rem; margin: .4rem 0; }
"""


def page(priced: Priced, cost: NetworkCost) -> str:
    """The whole file."""
    title = escape(f"{cost.model}: energy of one inference")
    parts = [_head(cost), _layers(cost), _others(cost), _explanations(priced), _profile(priced)]
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>{title}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _head(cost: NetworkCost) -> str:
    what = "quantized" if cost.quantized else "reference (nothing quantized)"
    lines = [
        f'<p class="big">{escape(energy(cost.energy_pj))} <span class="small muted">'
        f"{cost.energy_pj:,.0f} pJ, {what}</span></p>",
        f'<p class="muted">profile {escape(cost.profile)} ({escape(cost.profile_title)}), '
        f"accounting {escape(cost.accounting)}</p>",
    ]
    if cost.quantized and cost.reference_pj:
        share = percent(cost.energy_pj / cost.reference_pj)
        lines.insert(1, f"<p>{share} of the reference, {cost.reference_pj:,.0f} pJ</p>")
    if cost.second_hand:
        lines.append(f'<p class="muted">second-hand figures: {escape(", ".join(cost.second_hand))}</p>')
    sums = [getattr(cost, f"{part}_pj") for part in PARTS]
    lines += [_legend(cost), _bar(sums, sum(sums), "bar whole")]
    return "\n".join(lines)


def _legend(cost: NetworkCost) -> str:
    whole = sum(getattr(cost, f"{part}_pj") for part in PARTS)
    keys = (
        f'<span><i class="{part}"></i>{part} '
        f"{percent(getattr(cost, f'{part}_pj') / whole if whole else 0.0)}</span>"
        for part in PARTS
    )
    return f'<p class="legend">{"".join(keys)}</p>'


def _bar(parts: Iterable[float], full: float, name: str = "bar") -> str:
    """Parts side by side; `full` is what fills the bar."""
    pieces = (
        f'<span class="{part}" style="width:{100 * value / full:.3f}%" title="{part} {value:,.0f} pJ"></span>'
        for part, value in zip(PARTS, parts, strict=True)
        if full and value
    )
    return f'<div class="{name}">{"".join(pieces)}</div>'


def _layers(cost: NetworkCost) -> str:
    largest = max((layer.included_pj for layer in cost.layers), default=0.0)
    head = "".join(f'<th class="number">{part}</th>' for part in (*PARTS, "counted", "share"))
    sums = "".join(_number(getattr(cost, f"{part}_pj")) for part in PARTS)
    return (
        '<h2>Layers</h2><div class="scroll"><table><thead><tr><th>layer</th><th>class</th><th>quantizers</th>'
        f"{head}<th>counted parts</th></tr></thead>\n<tbody>\n"
        + "\n".join(_layer(layer, largest) for layer in cost.layers)
        + f"\n</tbody><tfoot><tr><th>counted</th><td></td><td></td>{sums}{_number(cost.energy_pj)}<td></td><td></td>"
        '</tr></tfoot></table></div><p class="small muted">pJ; in brackets: happens on the way, does not count</p>'
    )


def _layer(layer: LayerPrice, largest: float) -> str:
    quantizers = "<br>".join(f"{escape(slot)} {escape(text)}" for slot, text in layer.quantizers.items())
    parts = "".join(_number(getattr(layer, f"{part}_pj"), part in layer.included) for part in PARTS)
    bar = _bar([layer.included_part_pj(part) for part in PARTS], largest)
    return (
        f'<tr><th>{escape(layer.name)}</th><td>{escape(layer.class_name)}</td><td class="small">{quantizers}</td>'
        f'{parts}{_number(layer.included_pj)}<td class="number">{percent(layer.share)}</td><td>{bar}</td></tr>'
    )


def _number(value: float, counts: bool = True) -> str:
    text = f"{value:,.0f}"
    return f'<td class="number">{text}</td>' if counts else f'<td class="number off">({text})</td>'


def _others(cost: NetworkCost) -> str:
    rows = "".join(
        f'<tr><th>{escape(name)}</th><td class="number">{figure.value:,.0f}</td><td>{escape(figure.unit)}</td></tr>'
        for name, figure in cost.costs.items()
    )
    return f'<h2>Other costs</h2><table class="narrow"><tbody>{rows}</tbody></table>'


def _explanations(priced: Priced) -> str:
    layers = "\n".join(_explanation(priced.explanation(layer.name)) for layer in priced.report.layers)
    return f"<h2>Where each figure comes from</h2>\n{layers}"


def _explanation(found: Explanation) -> str:
    types = "; ".join(f"{escape(role)}: {escape(text)}" for role, text in found.types)
    qtools = f"<p>QTools: {escape(found.qtools)}</p>" if found.qtools else ""
    lines = "".join(_line(line) for line in found.lines)
    return (
        f"<details><summary>{escape(found.name)} ({escape(found.class_name)}), {found.included_pj:,.0f} pJ, "
        f"{found.operation_count:,} operations</summary>"
        f'<p class="small">{types}</p>{qtools}<div class="scroll"><table><thead><tr><th>part</th><th>what</th>'
        f'<th>formula</th><th class="number">pJ</th><th>source</th></tr></thead><tbody>{lines}</tbody></table></div>'
        "</details>"
    )


def _line(line: Line) -> str:
    source = escape(line.source) + (" (second-hand)" if line.second_hand else "")
    return (
        f"<tr><td>{escape(line.part)}</td><td>{escape(line.description)}</td><td>{escape(line.formula)}</td>"
        f"{_number(line.energy_pj, line.included)}<td>{source}</td></tr>"
    )


def _profile(priced: Priced) -> str:
    found = described(priced.report.settings.technology)
    rows = "".join(
        f"<tr><th>{escape(figure.table)}</th><td>{escape(figure.what)}</td><td>"
        + escape(", ".join(f"{size} {price:.4g}" for size, price in figure.prices_pj.items()))
        + f"</td><td>{escape(figure.source)}{' (second-hand)' if figure.second_hand else ''}</td></tr>"
        for figure in found.figures
    )
    return (
        f"<h2>Profile {escape(found.name)}</h2><p>{escape(found.title)}, {found.process_nm:g} nm</p>"
        '<div class="scroll"><table><thead><tr><th>table</th><th>what</th><th>pJ</th><th>source</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
