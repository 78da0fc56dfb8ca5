// Weights and activations of a trial, tensor by tensor: their values with the quantizer's levels drawn in, and how much noise
// quantization adds; of trials without such a file, how often each integer weight occurs.

import { html, memo, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { useAnswer } from "../parts/ui.js";
import { Chart } from "./chart.js";

const MOST_LINES = 64; // levels up to which each has a line

/** The file that says what quantization does to each tensor; the one of the further training first. */
export const tensorsFile = (trial) => ["final-tensors.json", "tensors.json"].find((name) => trial.artifacts.some((file) => file.name === name)) ?? null;

/** What quantization does to each tensor of a trial, null where no file says it. */
export function useTensors(job, trial) {
  const name = trial === null ? null : tensorsFile(trial);
  const key = name === null ? null : `${job.id} ${trial.number} ${name}`;
  const [answer] = useAnswer(() => api.document(job.id, trial.number, name).then((document) => ({ key, document })), key);
  return answer !== null && answer.key === key ? answer.document : null; // not that of the trial before
}

/** Drawn when it is opened. */
export const Histograms = memo(({ job, trial, tensors }) => {
  const [isOpen, setOpen] = useState(false);
  if (!trial.artifacts.some((file) => file.name === "weights.npz") && tensors === null) return null;
  return html`<details class="weights" onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>${tensors === null ? "Histograms of weights" : "Histograms of weights and activations"}</summary>
    ${isOpen && (tensors === null ? html`<${Integers} job=${job} trial=${trial} /><p class="muted small">Values before quantization, activations and noise are reported for the job's best trial, when the search ends, and for trials that are trained further.</p>` : html`<${Values} tensors=${tensors.tensors} examples=${tensors.examples} />`)}</details>`;
});

const keyOf = (tensor) => `${tensor.layer} ${tensor.slot}`;

const Choice = ({ tensors, tensor, choose }) => html`<label class="small"><span class="visually-hidden">tensor</span><select value=${keyOf(tensor)} onChange=${(event) => choose(event.currentTarget.value)}>${tensors.map((item) => html`<option key=${keyOf(item)} value=${keyOf(item)} selected=${item === tensor}>${keyOf(item)}</option>`)}</select></label>`;

/** A tensor in a sentence. */
export function tensorText(tensor, examples) {
  const count = `${format.whole(tensor.size)} ${tensor.kind}${tensor.kind === "weights" ? "" : ` of ${examples} validation examples`}`;
  const noise = tensor.sqnr_db === null ? "nothing is lost" : `signal to noise ${format.significant(tensor.sqnr_db)} dB`;
  const levels = tensor.levels === null ? "more than 256 levels" : `${tensor.levels.length} ${tensor.levels.length === 1 ? "level" : "levels"} used`;
  return `${keyOf(tensor)}: ${count}, ${tensor.quantizer}; ${levels}, ${noise}, ${format.percent(tensor.clipped, 1)} clipped, ${format.percent(tensor.zeros, 0)} zero.`;
}

function Values({ tensors, examples }) {
  const [name, setName] = useState(null);
  const tensor = tensors.find((item) => keyOf(item) === name) ?? tensors[0];
  if (tensor === undefined) return html`<p class="muted small">No tensor of this trial is quantized.</p>`;
  const width = (tensor.edges_high - tensor.edges_low) / tensor.counts.length;
  const text = tensorText(tensor, examples);
  const option = (colours) => {
    const levels = tensor.levels !== null && tensor.levels.length <= MOST_LINES ? tensor.levels : [];
    const [low, high] = [Math.min(tensor.edges_low, ...levels), Math.max(tensor.edges_high, ...levels)];
    const margin = (high - low) * 0.03 || 1;
    return {
      grid: { left: 52, right: 12, top: 12, bottom: 34 },
      xAxis: { type: "value", min: low - margin, max: high + margin, name: "value before quantization", nameLocation: "middle", nameGap: 22, nameTextStyle: { color: colours.text }, axisLabel: { color: colours.muted, hideOverlap: true, formatter: (value) => (value === low - margin || value === high + margin ? "" : format.plain(value)) }, axisLine: { lineStyle: { color: colours.muted } }, splitLine: { show: false } },
      yAxis: { type: "value", axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: colours.muted, formatter: format.short }, splitLine: { lineStyle: { color: colours.line } } },
      series: [{
        type: "custom", silent: true, encode: { x: [0, 1], y: 2 }, data: tensor.counts.map((count, index) => [tensor.edges_low + index * width, tensor.edges_low + (index + 1) * width, count]),
        renderItem: (_, chart) => {
          const [x0, y] = chart.coord([chart.value(0), chart.value(2)]);
          const [x1, ground] = chart.coord([chart.value(1), 0]);
          return { type: "rect", shape: { x: x0, y, width: Math.max(1, x1 - x0 - 0.5), height: ground - y }, style: { fill: colours.operations } };
        },
        markLine: { silent: true, symbol: "none", animation: false, label: { show: false }, lineStyle: { color: colours.front, type: "solid", width: 1, opacity: 0.85 }, data: levels.map((level) => ({ xAxis: level })) },
      }],
    };
  };
  return html`<${Chart} id="tensor" title="Values and levels" height=${190} option=${option} stamp=${[tensor]} label=${text} controls=${html`<${Choice} tensors=${tensors} tensor=${tensor} choose=${setName} />`}
    table=${() => ({ columns: ["from", "to", "values"], rows: tensor.counts.map((count, index) => [tensor.edges_low + index * width, tensor.edges_low + (index + 1) * width, count]) })}>
    <p class="legend small"><span class="key"><i class="swatch operations_pj"></i>values</span><span class="key"><i class="swatch line-level"></i>levels of the quantizer</span></p>
    <p class="small muted" data-answer="tensor">${text}</p><//>`;
}

function Integers({ job, trial }) {
  const [answer, error] = useAnswer(() => api.weights(job.id, trial.number), `${job.id} ${trial.number}`);
  const [name, setName] = useState(null);
  if (error) return html`<p class="muted small">${error.message}</p>`;
  if (answer === null || answer.number !== trial.number) return html`<p class="muted small">Loading…</p>`;
  if (answer.tensors.length === 0) return html`<p class="muted small">No tensor of this trial has integer weights.</p>`;
  const tensor = answer.tensors.find((item) => keyOf(item) === name) ?? answer.tensors[0];
  const quantizer = trial.layers.find((layer) => layer.name === tensor.layer)?.slots[tensor.slot]?.quantizer ?? "";
  const zero = tensor.counts[tensor.levels.indexOf(0)] ?? 0;
  const scale = tensor.smallest_scale === tensor.largest_scale ? `scale ${format.plain(tensor.smallest_scale)}` : `scales ${format.plain(tensor.smallest_scale)} to ${format.plain(tensor.largest_scale)}`;
  const text = `${keyOf(tensor)}: ${format.whole(tensor.size)} weights at ${tensor.distinct} levels${quantizer ? ` of ${quantizer}` : ""}, ${scale}; ${format.percent(zero / tensor.size, 0)} are zero.`;
  const option = (colours) => ({
    grid: { left: 52, right: 10, top: 12, bottom: 34 },
    xAxis: { type: "category", data: tensor.levels, name: "integer", nameLocation: "middle", nameGap: 22, nameTextStyle: { color: colours.text }, axisLabel: { color: colours.muted, hideOverlap: true }, axisTick: { show: false }, axisLine: { lineStyle: { color: colours.muted } } },
    yAxis: { type: "value", axisLabel: { color: colours.muted, formatter: format.short }, splitLine: { lineStyle: { color: colours.line } } },
    series: [{ type: "bar", silent: true, barCategoryGap: "12%", itemStyle: { color: colours.operations }, data: tensor.counts }],
  });
  return html`<${Chart} id="weights" title="Weights" height=${190} option=${option} stamp=${[tensor]} label=${text} controls=${html`<${Choice} tensors=${answer.tensors} tensor=${tensor} choose=${setName} />`}
    table=${() => ({ columns: ["integer", "weights"], rows: tensor.levels.map((level, index) => [level, tensor.counts[index]]) })}>
    <p class="small muted">${text}</p><//>`;
}
