// A dry run in tables and pictures: what a job would search, and what it may cost.

import { html, useState } from "../lib/html.js";
import * as format from "../lib/format.js";
import { EnergyByLayer, costliest } from "../charts/energy.js";
import { ReferenceTable } from "./definition.js";

// Of every input, by name where there are several.
const shapes = (data) => (data.inputs.length > 1 ? data.inputs.map((input) => `${input.shape.join(" × ")} (${input.name})`).join(", ") : data.input_shape.join(" × "));
const reason = (text) => (text ? ` (${text})` : "");
const preprocessing = (data) => {
  if (data.inputs.length > 1) return ` Preprocessing: ${data.inputs.map((input) => `${input.name}: ${input.preprocessing}${reason(input.preprocessing_reason)}`).join("; ")}.`;
  return data.preprocessing ? ` Preprocessing: ${data.preprocessing}${reason(data.preprocessing_reason)}.` : "";
};

export function DryRun({ run }) {
  const [isLog, setLog] = useState(true);
  const estimate = run.estimate;
  const networks = [["reference", run.reference], ["cheapest", run.cheapest?.cost], ["most expensive", run.most_expensive?.cost]].filter(([, cost]) => cost?.layers?.length).map(([name, cost]) => ({ name, layers: cost.layers }));
  const top = run.reference.layers.length ? costliest(run.reference.layers) : null;
  const share = (cost) => (cost && run.reference.value ? `${format.percent(cost.value / run.reference.value, 1)} of reference` : "");
  const tile = (label, value, note) => html`<div class="tile" key=${label}><span class="muted small">${label}</span><strong>${value}</strong><span class="muted small">${note}</span></div>`;
  return html`<div class="tiles">
      ${tile("Assignments", format.size(run.space_size), `${format.whole(run.trials)} trials allowed`)}
      ${tile("Reference", format.cost(run.reference.value, run.cost_unit), top ? `${top.layer.name} has ${format.percent(top.share, 0)} of it` : "")}
      ${run.cheapest && tile(`Cheapest${run.cheapest.exact ? "" : " (found)"}`, format.cost(run.cheapest.cost.value, run.cost_unit), share(run.cheapest.cost))}
      ${run.most_expensive && tile(`Most expensive${run.most_expensive.exact ? "" : " (found)"}`, format.cost(run.most_expensive.cost.value, run.cost_unit), share(run.most_expensive.cost))}
      ${tile("Time", estimate ? `about ${format.duration(estimate.job_s)}` : "unknown", estimate ? `${format.duration(estimate.trial_s)} a trial on ${estimate.workers} ${estimate.workers === 1 ? "worker" : "workers"}; from ${estimate.based_on} trials${estimate.same_data ? "" : " on other data"}` : "no trial of this model was measured yet")}
    </div>
    ${run.warnings.length > 0 && html`<section class="card notes"><h2>${run.warnings.length} ${run.warnings.length === 1 ? "warning" : "warnings"}</h2><ul>${run.warnings.map((warning) => html`<li key=${warning}>${warning}</li>`)}</ul></section>`}
    <div class="pair">
      <${EnergyByLayer} networks=${networks} unitIsEnergy=${networks.length > 0} isLog=${isLog} set=${() => setLog(!isLog)} text=${null} />
      <section class="card"><h2>What can be chosen</h2><div class="scroll tall" tabindex="0" role="region" aria-label="candidates"><table class="rows small"><thead><tr><th scope="col">Layers</th><th scope="col">Tensor</th><th scope="col">Candidates</th></tr></thead>
        <tbody>${run.slots.map((slot) => html`<tr key=${slot.name}><th scope="row">${slot.layers.join(", ")}</th><td>${slot.slot}</td><td class="wrap">${slot.candidates.join(", ")}</td></tr>`)}
        ${run.widths.map((width) => html`<tr key=${width.name}><th scope="row">${width.layers.join(", ")}</th><td>width</td><td>× ${width.multipliers.join(", ")}</td></tr>`)}</tbody></table></div>
        ${run.untouched.length > 0 && html`<p class="small muted">Not changed: ${run.untouched.join(", ")}.</p>`}</section>
    </div>
    ${(run.float_layers.length > 0 || run.normalizations.length > 0) && html`<section class="card"><h2>What stays float, and what becomes of normalizations</h2><div class="scroll"><table class="rows small"><thead><tr><th scope="col">Layer</th><th scope="col">What</th><th scope="col" class="number">Energy</th><th scope="col" class="number">Share</th></tr></thead>
      <tbody>${run.float_layers.map((layer) => html`<tr key=${layer.name}><th scope="row">${layer.name}</th><td>${layer.class_name}: ${layer.tensors.join(", ")} float in every trial</td><td class="number">${format.energy(layer.energy_pj)}</td><td class="number">${format.percent(layer.share, 1)}</td></tr>`)}
      ${run.normalizations.map((choice) => html`<tr key=${`n-${choice.layer}`}><th scope="row">${choice.layer}</th><td>${choice.treatment}${choice.into ? ` into ${choice.into}` : ""}${choice.reason ? ` (${choice.reason})` : ""}</td><td class="number">${format.energy(choice.cheapest_pj)}</td><td></td></tr>`)}</tbody></table></div></section>`}
    <section class="card"><h2>Data</h2><p>${format.whole(run.data.train_samples)} examples to train on, ${format.whole(run.data.validation_samples)} to measure trials, ${format.whole(run.data.test_samples)} for the final report; inputs of shape ${shapes(run.data)}${run.data.classes ? `, ${run.data.classes} classes` : ""}.
      ${preprocessing(run.data)}</p></section>
    <${ReferenceTable} layers=${run.reference.layers} />`;
}
