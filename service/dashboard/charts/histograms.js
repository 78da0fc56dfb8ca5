// Weights of a trial, tensor by tensor: how often each level of the quantizer occurs.

import { html, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { useAnswer } from "../parts/ui.js";
import { Chart } from "./chart.js";

/** Drawn when it is opened. */
export function Weights({ job, trial }) {
  const [isOpen, setOpen] = useState(false);
  if (!trial.artifacts.some((file) => file.name === "weights.npz")) return null;
  return html`<details class="weights" onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>Histograms of weights</summary>
    ${isOpen && html`<${Histograms} job=${job} trial=${trial} />`}</details>`;
}

function Histograms({ job, trial }) {
  const [answer, error] = useAnswer(() => api.weights(job.id, trial.number), `${job.id} ${trial.number}`);
  const [name, setName] = useState(null);
  if (error) return html`<p class="muted small">${error.message}</p>`;
  if (answer === null) return html`<p class="muted small">Loading…</p>`;
  if (answer.tensors.length === 0) return html`<p class="muted small">No tensor of this trial has integer weights.</p>`;
  const tensor = answer.tensors.find((item) => `${item.layer} ${item.slot}` === name) ?? answer.tensors[0];
  const quantizer = trial.layers.find((layer) => layer.name === tensor.layer)?.slots[tensor.slot]?.quantizer ?? "";
  const zero = tensor.counts[tensor.levels.indexOf(0)] ?? 0;
  const scale = tensor.smallest_scale === tensor.largest_scale ? `scale ${format.plain(tensor.smallest_scale)}` : `scales ${format.plain(tensor.smallest_scale)} to ${format.plain(tensor.largest_scale)}`;
  const text = `${tensor.layer} ${tensor.slot}: ${format.whole(tensor.size)} weights at ${tensor.distinct} levels${quantizer ? ` of ${quantizer}` : ""}, ${scale}; ${format.percent(zero / tensor.size, 0)} are zero.`;
  const option = (colours) => ({
    grid: { left: 52, right: 10, top: 12, bottom: 34 },
    xAxis: { type: "category", data: tensor.levels, name: "integer", nameLocation: "middle", nameGap: 22, nameTextStyle: { color: colours.text }, axisLabel: { color: colours.muted, hideOverlap: true }, axisTick: { show: false }, axisLine: { lineStyle: { color: colours.muted } } },
    yAxis: { type: "value", axisLabel: { color: colours.muted, formatter: format.short }, splitLine: { lineStyle: { color: colours.line } } },
    series: [{ type: "bar", silent: true, barCategoryGap: "12%", itemStyle: { color: colours.operations }, data: tensor.counts }],
  });
  return html`<${Chart} id="weights" title="Weights" height=${190} option=${option} label=${text}
    controls=${html`<label class="small"><span class="visually-hidden">tensor</span><select value=${`${tensor.layer} ${tensor.slot}`} onChange=${(event) => setName(event.currentTarget.value)}>${answer.tensors.map((item) => html`<option key=${`${item.layer} ${item.slot}`} value=${`${item.layer} ${item.slot}`} selected=${item === tensor}>${item.layer} ${item.slot}</option>`)}</select></label>`}
    table=${() => ({ columns: ["integer", "weights"], rows: tensor.levels.map((level, index) => [level, tensor.counts[index]]) })}>
    <p class="small muted">${text}</p><//>`;
}
