"""The style sheet of `fewbits report`."""

from __future__ import annotations

from typing import Final

#: Okabe and Ito's colours, told apart without red-green vision.
STYLE: Final = """
:root { --ground: #fff; --text: #1b2430; --muted: #5c6773; --line: #dfe3e8; --shade: #f0f4f8;
  --dot: #56a0d3; --kept: #c94f00; --best: #007a5a; --bar: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161c; --text: #e6eaf0; --muted: #9aa7b5;
  --line: #323c49; --shade: #1d242e; --dot: #4a93c9; --kept: #f08c3a; --best: #2fc79a; --bar: #4aa3df; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1100px; padding: 1.2rem; background: var(--ground); color: var(--text);
  font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.4rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
p { margin: .3rem 0; } .muted { color: var(--muted); } .small { font-size: .85rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem 1rem; margin: 1rem 0; }
dt { color: var(--muted); font-size: .82rem; } dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
svg { display: block; width: 100%; max-width: 860px; height: auto; }
svg text { fill: var(--muted); font-size: 12px; font-variant-numeric: tabular-nums; }
svg .name { fill: var(--text); } svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
.grid { stroke: var(--line); } .axis { stroke: var(--muted); }
svg .mark { stroke: var(--muted); stroke-width: 1.5; stroke-dasharray: 5 4; }
svg .dot { fill: var(--dot); fill-opacity: .7; } svg .kept { fill: var(--kept); }
svg .best { fill: var(--best); stroke: var(--ground); stroke-width: 1.5; }
svg .front { fill: none; stroke: var(--kept); stroke-width: 1.6; }
svg .step { fill: none; stroke: var(--bar); stroke-width: 2; }
.legend span { margin-right: 1.2rem; white-space: nowrap; color: var(--muted); }
.legend i { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; margin-right: .35rem; }
i.dot { background: var(--dot); } i.kept { background: var(--kept); } i.best { background: var(--best); }
i.mark { width: 2px; border-radius: 0; background: var(--muted); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } table.narrow { width: auto; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { font-size: .82rem; color: var(--muted); white-space: nowrap; }
tbody th { font-weight: 500; overflow-wrap: anywhere; min-width: 7rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { height: .85rem; min-width: 8rem; background: var(--shade); }
.bar i { display: block; height: 100%; background: var(--bar); }
pre { background: var(--shade); padding: .8rem; overflow-x: auto; font-size: .85rem; }
details { margin: 1.8rem 0; } summary { cursor: pointer; font-weight: 600; }
@media print { .scroll { overflow: visible; } }
"""
