// What the job is: its specification, warnings, blocks and stages, and the reference layer by layer.

import { html } from "../lib/html.js";
import { dump } from "../vendor/js-yaml.js";
import * as format from "../lib/format.js";
import { PARTS, isIncluded } from "../charts/energy.js";
import { save } from "../charts/chart.js";
import { blockRows, layersLeft } from "../lib/blocks.js";
import { build } from "../lib/route.js";
import { pruned } from "./spec.js";

export function Definition({ job, points, numbers, pick, select }) {
  const text = dump(pruned(job.spec), { lineWidth: 110, noRefs: true });
  return html`
    ${job.warnings.length > 0 && html`<section class="card notes"><h2>${job.warnings.length} ${job.warnings.length === 1 ? "warning" : "warnings"}</h2><ul>${job.warnings.map((warning) => html`<li key=${warning}>${warning}</li>`)}</ul></section>`}
    <${Stages} job=${job} points=${points} numbers=${numbers} pick=${pick} select=${select} />
    <section class="card"><div class="row"><h2>Definition</h2><div class="actions"><button type="button" onClick=${() => save(`${job.name || job.id}.yaml`, new Blob([text], { type: "application/yaml" }))}>Save YAML</button>
      <a class="button" href=${build(["new"], { from: job.id })}>Clone & edit…</a></div></div>
      <pre class="small spec" tabindex="0">${text}</pre></section>
    <${ReferenceTable} layers=${job.reference.layers} />`;
}

/** Blocks of a schedule, and what trains by stages. */
function Stages({ job, points, numbers, pick, select }) {
  const { schedule, oracle } = job.spec;
  const facts = [["Schedule", schedule?.kind ?? "whole_model"], ["Oracle", oracle?.kind ?? ""], ["Stages of a training", oracle?.stages], ["Target", job.spec.target], ["Normalizations", job.spec.normalization], ["Start of training", job.spec.training?.start], ["Executions", job.spec.training?.executions]].filter(([, value]) => value !== undefined && value !== null && value !== "");
  return html`<section class="card"><h2>How it searches</h2><dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${String(value)}</dd></div>`)}</dl>
    ${oracle?.stages && html`<p class="small">Each trial trains on from the one before and is cheaper: ${oracle.stages} trials are one training, from precise to cheap${job.spec.parallel_trials > 1 ? `; ${job.spec.parallel_trials} trainings run beside each other` : ""}. Stage by stage:</p>
      <${StageTable} job=${job} points=${points} />`}
    ${schedule?.kind === "per_block" && html`<${Blocks} job=${job} points=${points} numbers=${numbers} pick=${pick} select=${select} />`}</section>`;
}

/** Which trials search which layers, and what each block has reached. */
function Blocks({ job, points, numbers, pick, select }) {
  if (job.blocks.length === 0) return html`<h3>Blocks, one after another</h3><p class="small muted">${job.spec.schedule.blocks.join(", ")}. The job was stored before version 0.2, which did not note their trials.</p>`;
  const left = layersLeft(job);
  const last = ({ first, trials }) => (trials === 1 ? `${first}` : `${first} to ${first + trials - 1}`);
  return html`<h3>Blocks, one after another</h3>
    <div class="scroll" tabindex="0" role="region" aria-label="blocks"><table class="rows small" data-answer="blocks"><thead><tr><th scope="col">Block</th><th scope="col">Layers</th><th scope="col" class="number">Of reference</th><th scope="col">Trials</th><th scope="col" class="number">Measured</th><th scope="col" class="number">Best score</th><th scope="col"></th></tr></thead>
      <tbody>${blockRows(job, points, numbers).map(({ block, share, ended, rows, best }) => html`<tr key=${block.first}><th scope="row"><code>${block.name}</code></th><td class="wrap">${block.layers.join(", ")}</td><td class="number">${share === null ? "–" : format.percent(share, 0)}</td>
        <td>${last(block)}</td><td class="number">${rows.length}${ended > rows.length ? html`<span class="muted"> of ${ended}</span>` : ""}</td><td class="number">${best === null ? "–" : html`${format.score(best.score)} <button type="button" class="plain link" onClick=${() => pick(best.number, false)}>trial ${best.number}</button>`}</td>
        <td>${rows.length > 0 && html`<button type="button" onClick=${() => select(rows.map((row) => points.number[row]))} aria-label=${`Rank the trials of ${block.name} only`}>Only these</button>`}</td></tr>`)}</tbody></table></div>
    ${left.length > 0 && html`<p class="small muted">In no block, and so as the model has them: ${left.join(", ")}.</p>`}`;
}

/** Trials of trainings in stages, in their order, with what each one changed. */
function StageTable({ job, points }) {
  const rows = Array.from(points.done()).slice(0, MOST_STAGES);
  if (rows.length === 0) return html`<p class="muted small">No stage has ended yet.</p>`;
  return html`<div class="scroll tall" tabindex="0" role="region" aria-label="stages"><table class="rows small" data-answer="stages"><thead><tr><th scope="col" class="number">Trial</th><th scope="col" class="number">${format.title(format.metricName(job))}</th><th scope="col" class="number">Cost</th><th scope="col" class="number">Of the first</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row}><th scope="row" class="number">${points.number[row]}</th><td class="number">${format.metric(points.metric[row], job)}</td><td class="number">${format.cost(points.cost[row], job.cost_unit)}</td><td class="number">${format.percent(points.cost[row] / points.cost[rows[0]], 1)}</td></tr>`)}</tbody></table></div>`;
}

const MOST_STAGES = 500;

/** Energies by layer, in the parts that count. */
export function ReferenceTable({ layers, title = "Reference, layer by layer" }) {
  if (layers.length === 0) return null;
  const total = layers.reduce((sum, layer) => sum + layer.included_pj, 0) || 1;
  return html`<section class="card"><h2>${title}</h2><div class="scroll" tabindex="0" role="region" aria-label=${title}><table class="rows small"><thead><tr><th scope="col">Layer</th><th scope="col">Class</th>${PARTS.map(([, name]) => html`<th scope="col" class="number" key=${name}>${name}</th>`)}<th scope="col" class="number">counts</th><th scope="col" class="number">share</th></tr></thead>
    <tbody>${layers.map((layer) => html`<tr key=${layer.name}><th scope="row">${layer.name}</th><td>${layer.class_name}</td>${PARTS.map(([part]) => html`<td key=${part} class=${isIncluded(layer, part) ? "number" : "number muted struck"} title=${isIncluded(layer, part) ? null : "does not count"}>${format.energy(layer[part])}</td>`)}
      <td class="number">${format.energy(layer.included_pj)}</td><td class="number">${format.percent(layer.included_pj / total, 1)}</td></tr>`)}</tbody></table></div></section>`;
}
