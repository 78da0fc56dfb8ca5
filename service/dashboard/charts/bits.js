// The bit map: tensors by trials, colour for bits. A cell selects its trial.

import { html, memo, useRef, useState } from "../lib/html.js";
import * as format from "../lib/format.js";
import { Chart } from "./chart.js";

const MOST = 40;
const CELL_PX = 26;
const MOST_NAMED = 32; // columns; of more the names would overlap
const LEAN = 32; // degrees
const NAME_PX = 150;
const NUMBER_PX = 60; // names of trials, on the left

/** How far to the left the name of a column reaches. */
const leaning = (name) => Math.min(NAME_PX, 6.5 * name.length) * Math.cos((LEAN * Math.PI) / 180);

/** `choices`: what /choices answers; `order`: numbers of trials, the first on top; `pick(number)`. */
export const BitMap = memo(BitTable);

function BitTable({ choices, order, pick, selected }) {
  const latest = useRef({});
  const [clicked, setClicked] = useState(null); // {number, name} of a cell
  const columns = (choices?.choices ?? []).filter((choice) => choice.bits.some((bits) => bits !== null));
  const widths = (choices?.choices ?? []).filter((choice) => !columns.includes(choice));
  const rows = choices ? order.filter((number) => choices.number.includes(number)).slice(0, MOST) : [];
  const all = [...columns, ...widths];
  latest.current = {
    click: (x, y) => {
      setClicked({ number: rows[y], name: all[x].name });
      pick(rows[y]);
    },
  };
  const cell = (choice, number) => {
    const code = choice.codes[choices.number.indexOf(number)];
    return code === undefined || code < 0 ? null : { label: choice.labels[code], bits: choice.bits[code] };
  };
  const option = (colours) => {
    const data = [];
    rows.forEach((number, y) => all.forEach((choice, x) => {
      const content = cell(choice, number);
      if (content !== null) data.push([x, y, content.bits ?? -1, String(content.label)]);
    }));
    return {
      grid: { left: Math.max(8, leaning(all[0].name) - NUMBER_PX), right: 8, top: 8, bottom: 8, containLabel: true },
      xAxis: { type: "category", data: all.map((choice) => choice.name), axisTick: { show: false }, axisLine: { show: false }, axisLabel: { color: colours.text, rotate: LEAN, interval: all.length > MOST_NAMED ? "auto" : 0, fontSize: 11, width: NAME_PX, overflow: "truncate" } },
      yAxis: { type: "category", inverse: true, data: rows.map((number) => `trial ${number}`), axisTick: { show: false }, axisLine: { show: false }, axisLabel: { interval: 0, fontSize: 12, color: (name) => (name === `trial ${selected}` ? colours.accent : colours.text), fontWeight: 500 } },
      series: [{ type: "custom", encode: { x: 0, y: 1 }, data, renderItem: (_, api) => renderCell(api, data, colours, selected === null ? -1 : rows.indexOf(selected)) }],
      tooltip: { trigger: "item", confine: true, className: "chart-tip", formatter: ({ data: [x, y, bits, label] }) => tip(all[x], rows[y], bits, label) },
    };
  };
  const chosen = clicked && all.find(({ name }) => name === clicked.name);
  const explained = chosen && rows.includes(clicked.number) ? cellText(clicked, cell(chosen, clicked.number)) : null;
  const text = `bits of ${columns.length} tensors in ${rows.length} trials of the front, by rising cost`;
  return html`<${Chart} id="bit-map" title="Bits by tensor" hint="trials of the front and the selected ones, by rising energy" height=${Math.max(150, 90 + rows.length * CELL_PX)}
    option=${option} label=${text} empty=${rows.length === 0 || all.length === 0 ? "No trial is on the front yet." : null}
    onReady=${(instance) => { instance.on("click", ({ data }) => data && latest.current.click(data[0], data[1])); }}
    table=${() => ({ columns: ["trial", ...all.map((choice) => choice.name)], rows: rows.map((number) => [number, ...all.map((choice) => { const content = cell(choice, number); return content === null ? "" : content.bits === null ? content.label : `${content.label} (${content.bits} bit)`; })]) })}>
    <p class="legend small">${["1 bit", "2", "3–4", "5–8", "more"].map((name, index) => html`<span class="key"><i class=${`swatch ramp-${index}`}></i>${name}</span>`)}<span class="muted">without colour: a width, a rate</span>
      ${KINDS.map(({ mark, name }) => html`<span class="key muted" key=${mark}>${mark} ${name}</span>`)}</p>
    ${explained && html`<p class="small answer" data-answer="cell">${explained}</p>`}
  <//>`;
}

/** Which step of the ramp a number of bits has. */
export const rampOf = (bits) => (bits <= 1 ? 0 : bits <= 2 ? 1 : bits <= 4 ? 2 : bits <= 8 ? 3 : 4);

/** Kinds of quantizers that bits alone do not tell apart: how a cell marks them, and what they are. */
const KINDS = [
  { mark: "²", name: "powers of two", is: /po2/, meaning: "its values are powers of two, so that a multiplication is a shift" },
  { mark: "±", name: "binary, ternary", is: /binary|ternary|bipolar/, meaning: "its values are signs (ternary: or zero), so that a multiplication only changes a sign" },
];

/** The kind of a quantizer's expression; undefined: evenly spaced levels. */
export const kindOf = (label) => KINDS.find(({ is }) => is.test(String(label)));

/** A cell in a sentence. */
function cellText({ number, name }, content) {
  if (content === null) return null;
  const { label, bits } = content;
  const kind = kindOf(label)?.meaning ?? "its levels are evenly spaced";
  const chance = String(label).startsWith("stochastic") ? "; in training it is drawn by chance" : "";
  return bits === null ? `${name} of trial ${number}: ${label}.` : `${name} of trial ${number}: ${label}, ${bits} ${bits === 1 ? "bit" : "bits"}; ${kind}${chance}.`;
}

function renderCell(api, data, colours, selectedRow) {
  const [x, y] = [api.value(0), api.value(1)];
  const bits = api.value(2);
  const [cx, cy] = api.coord([x, y]);
  const [width, height] = api.size([1, 1]);
  const fill = bits < 0 ? colours.shade : colours.ramp[rampOf(bits)];
  const item = data.find((entry) => entry[0] === x && entry[1] === y);
  const text = bits < 0 ? format.shortLabel(item?.[3] ?? "") : `${bits}${kindOf(item?.[3])?.mark ?? ""}`;
  return {
    type: "group",
    children: [
      { type: "rect", shape: { x: cx - width / 2 + 1, y: cy - height / 2 + 1, width: width - 2, height: height - 2, r: 2 }, style: { fill, stroke: y === selectedRow ? colours.ring : "none", lineWidth: 1.5 } },
      { type: "text", style: { x: cx, y: cy, text, align: "center", verticalAlign: "middle", fontSize: 11, fill: bits >= 0 && rampOf(bits) >= 3 ? "#fff" : bits < 0 ? colours.text : "#10202e", width: width - 4, overflow: "truncate" } },
    ],
  };
}

function tip(choice, number, bits, label) {
  const element = document.createElement("div");
  element.textContent = `trial ${number}, ${choice.name}: ${label}${bits < 0 ? "" : ` (${bits} bit)`}`;
  return element;
}
