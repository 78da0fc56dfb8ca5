// What is known of a trial without asking anything: its numbers, its layers, its other choices.

import { cls, html, useState } from "../lib/html.js";
import { blockOf } from "../lib/blocks.js";
import * as format from "../lib/format.js";
import { PARTS, costliest, isIncluded, partsText } from "../charts/energy.js";

/** A trial's numbers. `score`: under the goal of the sliders. */
export function Facts({ job, trial, score }) {
  if (trial.metric === null) {
    return html`<p class="muted small">${trial.status === "queued" ? "It waits for a worker." : `${trial.epochs_done} of ${job.spec.training.epochs * (job.spec.training.executions ?? 1)} epochs done, attempt ${trial.attempt}`}</p>`;
  }
  const block = blockOf(job, trial.number);
  const looks = (job.test_looks ?? []).filter((look) => look.trial === trial.number);
  const facts = [
    ["Score", format.score(score ?? trial.score)],
    [format.title(format.metricName(job)), format.metric(trial.metric, job)],
    ...(trial.spread ? [[`Of ${trial.executions.length} executions`, `mean; deviation ${format.metric(trial.spread.std, job)}, from ${format.metric(trial.spread.min, job)} to ${format.metric(trial.spread.max, job)}`]] : []),
    ["Energy", format.energy(trial.energy_pj)],
    ...(job.cost_unit === "energy_pj" || job.cost_unit === "bits" ? [] : [["Cost", format.cost(trial.cost, job.cost_unit)]]),
    ["Of reference", job.reference_cost ? format.percent(trial.cost / job.reference_cost, 1) : "–"],
    ["Size", `${format.whole(trial.bits)} bits`],
    ...(block === null ? [] : [["Block", html`<code>${block.name}</code>`]]),
    ...(trial.learning_rate === null || trial.learning_rate === undefined ? [] : [["Learning rate", format.plain(trial.learning_rate)]]),
    ...(trial.post_training_metric === null || trial.post_training_metric === undefined ? [] : [["Before training", format.metric(trial.post_training_metric, job)]]),
    ...looks.map((look) => [look.kind === "report" ? "On test data" : "Trained further, on test data",
      html`${look.metric === null ? "" : `${format.metric(look.metric, job)} `}<span class=${look.optimistic ? "fault small" : "muted small"}>${look.note}</span>`]),
  ];
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** What the oracle chose that no layer shows: settings of a whole network, widths, a learning rate. */
function Choices({ trial }) {
  const shown = new Set(trial.layers.flatMap((layer) => Object.values(layer.slots).map((tensor) => tensor.quantizer)));
  const others = Object.entries(trial.choices).filter(([, value]) => !shown.has(value));
  if (others.length === 0) return null;
  return html`<section><h3>Other choices</h3><dl class="facts choices">${others.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${typeof value === "number" ? format.plain(value) : String(value)}</dd></div>`)}</dl></section>`;
}

/** Layers with their quantizers and the parts of their energy. `tensors`: of tensors.json; `Why`: explains a layer's energy, where a service can be asked. */
export function LayerTable({ job, trial, tensors = null, Why = null }) {
  const noise = new Map((tensors?.tensors ?? []).map((tensor) => [`${tensor.layer} ${tensor.slot}`, tensor.sqnr_db]));
  const [explained, setExplained] = useState(null);
  const isPriced = trial.layers.some((layer) => layer.included_pj !== null);
  const largest = Math.max(...trial.layers.map((layer) => layer.included_pj ?? 0), 1e-12);
  const top = costliest(trial.layers);
  return html`${trial.layers.length > 0 && html`<section><h3>Layers</h3>
    ${isPriced && html`<p class="legend small">${PARTS.map(([part, name]) => html`<span class="key" key=${part}><i class=${`swatch ${part}`}></i>${name}</span>`)}</p>`}
    <div class="scroll" tabindex="0" role="region" aria-label="layers"><table class="rows layers small">
      <thead><tr><th scope="col">Layer</th><th scope="col">Quantizers</th>${isPriced && html`<th scope="col">Energy</th>`}</tr></thead>
      <tbody>${trial.layers.map((layer) => html`<tr key=${layer.name}>
        <th scope="row">${layer.name}<div class="muted">${[layer.class_name?.replace(/([a-z])([A-Z])/g, "$1\u200b$2"), layer.width ? `${layer.width} wide` : null].filter(Boolean).join(", ")}</div></th>
        <td>${Object.entries(layer.slots).length === 0 ? html`<span class="muted">–</span>` : Object.entries(layer.slots).map(([slot, tensor]) => html`<${Tensor} key=${slot} slot=${slot} tensor=${tensor} noise=${noise.get(`${layer.name} ${slot}`)} />`)}</td>
        ${isPriced && html`<td class="energy">${layer.included_pj === null ? "–" : html`<${Bar} layer=${layer} largest=${largest} />
          ${Why === null ? format.energy(layer.included_pj) : html`<button type="button" class="plain link" aria-expanded=${String(explained === layer.name)} title=${partsText(layer)} onClick=${() => setExplained(explained === layer.name ? null : layer.name)}>${format.energy(layer.included_pj)}</button>`}
          ${top && top.total > 0 && html` <span class="muted">${format.percent(layer.included_pj / top.total, 0)}</span>`}`}</td>`}</tr>
        ${explained === layer.name && html`<tr key=${`${layer.name}-why`} class="why"><td colspan="3"><${Why} job=${job} trial=${trial} layer=${layer} /></td></tr>`}`)}</tbody></table></div></section>`}
    <${Choices} trial=${trial} />`;
}

/** `noise`: its signal to noise in dB, null without noise, undefined where it was not reported. */
function Tensor({ slot, tensor, noise }) {
  const bits = tensor.bits === null ? "float" : `${tensor.bits} bit`;
  const size = tensor.bits === null ? "" : tensor.bits <= 2 ? "few" : tensor.bits <= 4 ? "some" : "many";
  return html`<div class="tensor"><span class="muted">${slot} </span><span class=${cls("bits", size)}>${bits}</span> ${tensor.quantizer ?? ""}${noise === undefined ? "" : html` <span class="muted noise" title="power of the values over that of their rounding error">${noise === null ? "exact" : `${format.significant(noise, 2)} dB`}</span>`}</div>`;
}

function Bar({ layer, largest }) {
  const text = partsText(layer);
  const parts = layer.included ? PARTS.map(([name]) => name).filter((name) => isIncluded(layer, name)) : ["included_pj"];
  return html`<div class="stack" role="img" aria-label=${text} title=${text}>${parts.map((part) => html`<i key=${part} class=${part} style=${{ width: `${(100 * layer[part]) / largest}%` }}></i>`)}</div>`;
}
