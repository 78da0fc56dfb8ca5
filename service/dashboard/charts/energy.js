// Where the energy goes: layer by layer, in the parts that count, of the reference and of some trials.

import { html } from "../lib/html.js";
import { axis, axisOption } from "../lib/axis.js";
import * as format from "../lib/format.js";
import { Chart } from "./chart.js";

export const PARTS = [
  ["operations_pj", "operations"],
  ["parameters_pj", "parameters"],
  ["inputs_pj", "inputs"],
  ["outputs_pj", "outputs"],
];

/** Whether a part, such as `inputs_pj`, enters the network's energy; true where an older version stored no parts. */
export const isIncluded = (layer, part) => layer.included?.includes(part.replace("_pj", "")) ?? true;

const WHY_NOT = {
  operations: "this profile counts the operation itself as part of the layer before it or not at all",
  parameters: "its parameters are read once or not from memory",
  inputs: "its inputs come straight from the layer before it",
  outputs: "its outputs are counted where they are read",
};

/** A layer's parts in words: which count, and which do not and why. */
export function partsText(layer) {
  const counted = PARTS.filter(([part]) => isIncluded(layer, part) && layer[part] > 0).map(([part, name]) => `${name} ${format.energy(layer[part])}`);
  const left = PARTS.filter(([part]) => !isIncluded(layer, part) && layer[part] > 0).map(([part, name]) => `${name} ${format.energy(layer[part])} (does not count: ${WHY_NOT[name]})`);
  return [`counts ${format.energy(layer.included_pj)}: ${counted.join(", ") || "nothing"}`, ...left].join("; ");
}

/** The layer with the largest part of a network's energy, and its share. */
export function costliest(layers) {
  const priced = layers.filter((layer) => layer.included_pj !== null);
  const total = priced.reduce((sum, layer) => sum + layer.included_pj, 0);
  if (total <= 0) return null;
  const layer = priced.reduce((top, next) => (next.included_pj > top.included_pj ? next : top));
  return { layer, share: layer.included_pj / total, total };
}

/** What costs most, and why, beside the reference. */
export function costliestText(trial, reference) {
  const top = costliest(trial.layers);
  if (top === null) return null;
  const { layer, share } = top;
  const [, main] = PARTS.filter(([part]) => isIncluded(layer, part)).reduce((largest, next) => (largest === null || layer[next[0]] > layer[largest[0]] ? next : largest), null) ?? ["", "nothing"];
  const types = Object.entries(layer.slots ?? {}).map(([slot, tensor]) => `${slot} ${tensor.bits === null ? "float" : `${tensor.bits} bit`}`).join(", ");
  const before = reference.layers.find((other) => other.name === layer.name);
  const beside = before ? `; in the reference it costs ${format.energy(before.included_pj)}` : "";
  return `${layer.name} costs most: ${format.energy(layer.included_pj)}, ${format.percent(share, 0)} of trial ${trial.number}, mostly ${main === "operations" ? "its operations" : `memory traffic of its ${main}`}${types ? ` (${types})` : ""}${beside}.`;
}

/** `networks`: [{name, layers}], the reference first. */
export function EnergyByLayer({ networks, unitIsEnergy, isLog, set, text }) {
  const names = [...new Set(networks.flatMap(({ layers }) => layers.map((layer) => layer.name)))].filter((name) => networks.some(({ layers }) => (layers.find((layer) => layer.name === name)?.included_pj ?? 0) > 0));
  const shown = names.slice(0, 40);
  const value = (network, name) => network.layers.find((layer) => layer.name === name);
  const option = (colours) => {
    const values = networks.flatMap((network) => shown.map((name) => value(network, name)?.included_pj ?? 0)).filter((energy) => energy > 0);
    const low = Math.min(...values, 1);
    const made = isLog ? axis(values, { isLog: true, label: format.tidyEnergy, count: 6, range: [low / 2, Math.max(...values) * 1.5] }) : axis([0, ...values], { label: format.tidyEnergy, count: 5, floor: 0 });
    return {
      grid: { left: 8, right: 18, top: 8, bottom: 30, containLabel: true },
      xAxis: axisOption(made, colours),
      yAxis: { type: "category", data: shown, inverse: true, axisLine: { onZero: false, lineStyle: { color: colours.muted } }, axisTick: { show: false }, axisLabel: { color: colours.text, fontSize: 12, width: 130, overflow: "truncate" } },
      series: networks.map((network, index) => (isLog ? bars : stacks)(network, index, { shown, value, made, count: networks.length, colours })),
    };
  };
  const height = Math.max(170, 60 + shown.length * (14 + 11 * networks.length));
  return html`<${Chart} id="energy-by-layer" title="Energy by layer" hint=${networks.map(({ name }) => name).join(", ")} height=${height} option=${option}
    label=${text ?? "energy by layer"} empty=${unitIsEnergy && shown.length > 0 ? null : "No layer is priced yet."}
    table=${() => ({ columns: ["layer", ...networks.flatMap(({ name }) => [`${name} (pJ)`, ...PARTS.map(([, part]) => `${name}: ${part}`)])], rows: shown.map((name) => [name, ...networks.flatMap((network) => { const layer = value(network, name); return [layer?.included_pj ?? "", ...PARTS.map(([part]) => (layer && isIncluded(layer, part) ? layer[part] : ""))]; })]) })}
    controls=${html`<label class="small"><input type="checkbox" checked=${isLog} onChange=${(event) => set({ elog: event.currentTarget.checked ? null : "0" })} /> log scale</label>`}>
    ${text && html`<p class="small answer" data-answer="costliest">${text}</p>`}
    <p class="legend small">${isLog
      ? networks.map(({ name }, index) => html`<span class="key"><i class=${`swatch network-${Math.min(index, 4)}`}></i>${name}</span>`)
      : html`${PARTS.map(([part, name]) => html`<span class="key"><i class=${`swatch ${part}`}></i>${name}</span>`)}<span class="muted">from above: ${networks.map(({ name }) => name).join(", ")}</span>`}</p>
  <//>`;
}

const NETWORK_COLOURS = ["reference", "trial", "front", "best", "parameters", "inputs", "outputs", "validation", "operations"];
/** Patterns of the parts, as those of their swatches. */
const stripes = (rotation) => ({ symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 3], rotation, color: "rgba(255,255,255,0.5)" });
const PART_DECALS = { operations_pj: null, parameters_pj: stripes(-Math.PI / 4), inputs_pj: stripes(Math.PI / 2), outputs_pj: stripes(0) };
/** Patterns that tell networks apart without colour. */
const DECALS = [null, { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: -Math.PI / 4 }, { symbol: "circle", symbolSize: 0.6 }, { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [4, 3] }];

/** Where the bar of one of several networks is, in the band of its layer. */
function placeOf(chart, row, index, count) {
  const band = chart.size([0, 1])[1] * 0.78;
  return { top: chart.coord([0, row])[1] - band / 2 + (band / count) * index, height: Math.max(2, band / count - 1) };
}

/** The parts that a layer's energy consists of, one after another: [{part, from, to}] in picojoules. */
export function partsOf(layer) {
  let sum = 0;
  const parts = layer?.included ? PARTS.map(([part]) => part).filter((part) => isIncluded(layer, part) && layer[part] > 0) : [];
  const list = parts.map((part) => ({ part, from: sum, to: (sum += layer[part]) }));
  return list.length || !layer?.included_pj ? list : [{ part: null, from: 0, to: layer.included_pj }]; // stored without its parts
}

/** On a linear axis: of each layer the parts of its energy, one after another. */
function stacks(network, index, { shown, value, count, colours }) {
  return {
    name: network.name,
    type: "custom",
    silent: true,
    data: shown.map((name, place) => [value(network, name)?.included_pj ?? 0, place]),
    renderItem: ({ dataIndex }, chart) => {
      const { top, height } = placeOf(chart, dataIndex, index, count);
      const at = (energy) => chart.coord([energy, dataIndex])[0];
      return {
        type: "group",
        children: partsOf(value(network, shown[dataIndex])).map(({ part, from, to }) => ({
          type: "rect",
          shape: { x: at(from), y: top, width: Math.max(0, at(to) - at(from)), height },
          style: { fill: part === null ? colours.reference : colours[part.replace("_pj", "")], decal: part === null ? null : PART_DECALS[part] },
        })),
      };
    },
  };
}

/** One bar for each layer; on a logarithmic axis a bar starts at the axis' end, which `bar` of ECharts cannot. */
function bars(network, index, { shown, value, made, count, colours }) {
  const decal = DECALS[index % DECALS.length];
  return {
    name: network.name,
    type: "custom",
    silent: true,
    data: shown.map((name, place) => [made.at(Math.max(value(network, name)?.included_pj ?? 0, made.low || 0)), place]),
    renderItem: (_, chart) => {
      const [x0] = chart.coord([made.option.min, chart.value(1)]);
      const [x1] = chart.coord([chart.value(0), chart.value(1)]);
      const { top, height } = placeOf(chart, chart.value(1), index, count);
      return {
        type: "rect",
        shape: { x: x0, y: top, width: Math.max(0, x1 - x0), height },
        style: { fill: colours[NETWORK_COLOURS[index % NETWORK_COLOURS.length]], decal: decal && { ...decal, color: "rgba(255,255,255,0.4)" } },
      };
    },
  };
}
