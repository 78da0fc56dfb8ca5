// Where to spend bits: what one more bit in a layer gains, against the share of the energy that the layer has.

import { html } from "../lib/html.js";
import { axis, axisOption } from "../lib/axis.js";
import * as format from "../lib/format.js";
import { Chart } from "./chart.js";

const perBit = (value, isShare) => (isShare ? `${value >= 0 ? "+" : "−"}${format.significant(Math.abs(100 * value), 2)} points` : `${value >= 0 ? "+" : "−"}${format.significant(Math.abs(value), 2)}`);

/** Layer -> its share of the energy of a trial, or of the reference. */
const shares = (layers) => {
  const total = layers.reduce((sum, layer) => sum + (layer.included_pj ?? 0), 0) || 1;
  return new Map(layers.map((layer) => [layer.name, (layer.included_pj ?? 0) / total]));
};

export function sensitivityText(analysis, job) {
  const known = (analysis?.layers ?? []).filter((layer) => layer.sensitivity !== null);
  if (known.length === 0) return "Too few trials differ to tell: effects of layers are estimated from trials with different bits.";
  const top = known.reduce((most, layer) => (layer.sensitivity > most.sensitivity ? layer : most));
  const least = known.reduce((most, layer) => (layer.sensitivity < most.sensitivity ? layer : most));
  const rest = least === top ? "" : ` Least sensitive is ${least.name} (${perBit(least.sensitivity, job.metric_is_share)}): cut there first.`;
  return `${top.name} is most sensitive to bits: one more bit gains ${perBit(top.sensitivity, job.metric_is_share)} of ${format.metricName(job)}.${rest}`;
}

export function Sensitivity({ job, analysis, layers, name }) {
  const byName = shares(layers);
  const rows = (analysis?.layers ?? []).filter((layer) => layer.sensitivity !== null && byName.has(layer.name)).map((layer) => ({ ...layer, share: byName.get(layer.name) }));
  const option = (colours) => {
    const xAxis = axis([0, ...rows.map((row) => row.share)], { name: `share of the energy of ${name}`, label: (value) => format.tidyPercent(value), floor: 0, count: 6 });
    const yAxis = axis([0, ...rows.map((row) => row.sensitivity)], { name: `gain of ${format.metricName(job)} by one more bit`, label: (value) => (job.metric_is_share ? format.tidyPercent(value) : format.plain(value)), count: 5 });
    return {
      grid: { left: 70, right: 24, top: 20, bottom: 48 },
      xAxis: axisOption(xAxis, colours),
      yAxis: axisOption(yAxis, colours, { isX: false, nameGap: 52 }),
      series: [{
        type: "scatter", silent: true, symbolSize: 11, itemStyle: { color: colours.operations, borderColor: colours.card, borderWidth: 1 },
        data: rows.map((row) => ({ value: [row.share, row.sensitivity], name: row.name })),
        label: { show: true, position: "top", formatter: ({ name: layer }) => layer, color: colours.text, fontSize: 11 }, labelLayout: { hideOverlap: true, moveOverlap: "shiftY" },
        markLine: { silent: true, symbol: "none", data: [{ yAxis: 0, label: { show: false }, lineStyle: { color: colours.muted, type: "dotted" } }] },
      }],
    };
  };
  const text = sensitivityText(analysis, job);
  return html`<${Chart} id="sensitivity" title="Where to spend bits" hint="top left: bits are cheap and help; bottom right: cut here" height=${300} option=${option} label=${text}
    empty=${rows.length === 0 ? text : null} table=${() => ({ columns: ["layer", "share of energy", "gain per bit", "importance"], rows: rows.map((row) => [row.name, row.share, row.sensitivity, row.importance]) })}>
    <p class="small answer" data-answer="sensitive">${text}</p><//>`;
}

/** What matters: how much of the variance of metric and cost each choice explains. */
export function Importance({ job, analysis }) {
  const rows = [...(analysis?.choices ?? [])].filter((choice) => choice.importance > 0.001 || choice.cost_importance > 0.001).sort((a, b) => b.importance - a.importance).slice(0, 16);
  const option = (colours) => ({
    legend: { top: 0, textStyle: { color: colours.text } },
    grid: { left: 150, right: 120, top: 30, bottom: 24 },
    xAxis: { type: "value", splitNumber: 3, axisLabel: { color: colours.muted, formatter: (value) => format.tidyPercent(value) }, splitLine: { lineStyle: { color: colours.line } } },
    yAxis: { type: "category", inverse: true, data: rows.map((row) => row.name), axisLabel: { color: colours.text, width: 140, overflow: "truncate" }, axisTick: { show: false }, axisLine: { onZero: false, lineStyle: { color: colours.muted } } },
    series: [
      { name: `share of ${format.metricName(job)}`, type: "bar", silent: true, itemStyle: { color: colours.operations }, data: rows.map((row) => row.importance), label: { show: true, position: "right", color: colours.muted, fontSize: 11, formatter: ({ dataIndex }) => (rows[dataIndex].sensitivity === null ? "" : `${perBit(rows[dataIndex].sensitivity, job.metric_is_share)}/${rows[dataIndex].slot === "width" ? "doubling" : "bit"}`) } },
      { name: "share of cost", type: "bar", silent: true, itemStyle: { color: colours.parameters, decal: { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: -Math.PI / 4, color: colours.card } }, data: rows.map((row) => row.cost_importance) },
    ],
  });
  const explained = analysis?.explained === null || analysis?.explained === undefined ? "" : `The choices explain ${format.percent(Math.max(0, analysis.explained), 0)} of the differences in ${format.metricName(job)}.`;
  return html`<${Chart} id="importance" title="What matters" hint="how much of the differences each choice explains" height=${Math.max(180, 60 + rows.length * 30)} option=${option}
    label=${`importance of choices. ${explained}`} empty=${rows.length === 0 ? "Too few trials differ to tell." : null}
    table=${() => ({ columns: ["choice", "importance", "importance for cost", "gain per bit", "log2 cost per bit"], rows: (analysis?.choices ?? []).map((row) => [row.name, row.importance, row.cost_importance, row.sensitivity, row.cost_sensitivity]) })}>
    <p class="small muted">${explained}</p><//>`;
}
