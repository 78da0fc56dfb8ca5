// The selected trial: its numbers, quantizers and energy by layer, learning curve, files, attempts.

import { cls, html, memo, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { Curves } from "../charts/curves.js";
import { Classes } from "../charts/confusion.js";
import { Histograms, useTensors } from "../charts/histograms.js";
import { partsText } from "../charts/energy.js";
import { Chip, Fault, Prose } from "./ui.js";
import { Exports } from "./exports.js";
import { Facts, LayerTable } from "./layers.js";
import { Files } from "./trial_files.js";

/** A trial in full, read again when `version` changes; the one before stays until the next is there. */
export function useTrial(jobId, number, version) {
  const [state, setState] = useState({ trial: null, error: null });
  const timer = useRef(null);
  useEffect(() => {
    if (number === null) {
      setState({ trial: null, error: null });
      return undefined;
    }
    let isCurrent = true;
    const read = async () => {
      try {
        const trial = await api.trial(jobId, number);
        if (isCurrent) setState({ trial, error: null });
      } catch (error) {
        if (isCurrent) setState({ trial: null, error });
      }
    };
    clearTimeout(timer.current);
    if (state.trial?.number === number) timer.current = setTimeout(read, 600);
    else read();
    return () => { isCurrent = false; };
  }, [jobId, number, version]);
  return state;
}

/** `badges`: words, with commas between them; `score`: under the goal of the sliders. */
export const TrialPanel = memo(({ job, number, trial, error, session, isCompared, compare, badges: words, score, stamp }) => {
  const badges = [...words.split(","), trial?.number === number && trial.status !== "done" && trial.status].filter(Boolean);
  const trials = useMemo(() => [trial], [trial]);
  const tensors = useTensors(job, trial);
  const isShown = trial?.number === number;
  if (number === null) {
    return html`<aside class="card trial" id="trial" aria-label="selected trial"><h2>Selected trial</h2><p class="muted">No trial yet. When the first one is measured, its layers, energy and files are here.</p></aside>`;
  }
  return html`<aside class="card trial" id="trial" aria-label="selected trial" aria-busy=${String(!isShown)}>
    <div class="row trial-head"><h2 class="trial-title">Trial ${number} ${badges.map((badge) => html`<span class=${cls("chip", badge)} key=${badge}>${badge}</span>`)}</h2>
      <button type="button" aria-pressed=${String(isCompared)} onClick=${() => compare(number)}>${isCompared ? "Compared ✓" : "Compare"}</button></div>
    <${Fault} error=${error} />
    ${isShown && html`${trial.reason && html`<p class="fault reason"><${Prose} text=${trial.reason} /></p>`}
      <${Facts} job=${job} trial=${trial} score=${score} />
      <${Files} job=${job} trial=${trial} session=${session} />
      <${Exports} job=${job} trial=${trial} session=${session} stamp=${stamp} />
      <${Layers} job=${job} trial=${trial} tensors=${tensors} />
      <${Trained} trials=${trials} job=${job} id="learning-curve" />
      <${Classes} job=${job} trial=${trial} />
      <${Histograms} job=${job} trial=${trial} tensors=${tensors} />
      <${Details} trial=${trial} />`}
  </aside>`;
});

/** Why a layer costs what it costs: types, counts and prices, as the cost model computes them. */
function Why({ job, trial, layer }) {
  const [state, setState] = useState({ terms: null, error: null });
  useEffect(() => {
    let isCurrent = true;
    explain(job, trial, layer).then((terms) => isCurrent && setState({ terms, error: null }), (error) => isCurrent && setState({ terms: null, error }));
    return () => { isCurrent = false; };
  }, [trial.number, layer.name]);
  const { terms, error } = state;
  return html`<p class="small">${layer.name} ${partsText(layer)}.</p>
    ${error && html`<p class="muted small">Its terms cannot be listed: ${error.message}</p>`}
    ${!terms && !error && html`<p class="muted small">Asking the cost model…</p>`}
    ${terms && html`<p class="small">${Object.entries(terms.types).map(([name, type]) => `${name} ${type}`).join(", ")}; ${format.whole(terms.operation_count)} operations.</p>
      <div class="scroll" tabindex="0" role="region" aria-label=${`terms of ${layer.name}`}><table class="rows small terms"><thead><tr><th scope="col">term</th><th scope="col" class="number">count</th><th scope="col" class="number">each</th><th scope="col" class="number">energy</th></tr></thead>
      <tbody>${terms.lines.map((line, index) => html`<tr key=${index} class=${line.included ? null : "muted"}><th scope="row">${line.description}${line.included ? "" : " (does not count)"}<div class="muted">${line.formula}</div></th>
        <td class="number">${format.whole(line.count)}</td><td class="number">${format.energy(line.unit_pj)}</td><td class="number">${format.energy(line.energy_pj)}</td></tr>`)}</tbody></table></div>`}`;
}

const explanations = new Map();

async function explain(job, trial, layer) {
  const key = `${job.id} ${trial.number} ${layer.name}`;
  if (!explanations.has(key)) {
    if (!trial.artifacts.some((file) => file.name === "quantizers.json")) throw new Error("the trial has no file quantizers.json");
    const document = await (await fetch(api.artifact(job.id, trial.number, "quantizers.json"))).json();
    const request = { model: job.spec.model, quantizers: document, explain: layer.name, costs: ["energy"] };
    if (job.spec.normalization === "fold") request.normalization = "fold";
    explanations.set(key, (await api.cost(request)).explanation);
  }
  return explanations.get(key);
}

function DetailList({ trial }) {
  const line = (name, value) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`;
  const durations = Object.entries(trial.durations_s);
  const versions = Object.entries(trial.versions);
  return html`<details><summary>Attempts, seed, versions</summary>
    <div class="scroll"><table class="rows small"><thead><tr><th scope="col">Attempt</th><th scope="col">Worker</th><th scope="col">Outcome</th></tr></thead>
      <tbody>${trial.attempts.map((attempt) => html`<tr key=${attempt.attempt}><th scope="row">${attempt.attempt}</th><td>${attempt.worker}</td><td><${Chip} status=${attempt.outcome ?? "running"} /> ${attempt.reason ?? ""}</td></tr>`)}</tbody></table></div>
    ${trial.executions.length > 0 && html`<div class="scroll"><table class="rows small"><thead><tr><th scope="col">Execution</th><th scope="col" class="number">Seed</th><th scope="col" class="number">Metric</th><th scope="col" class="number">Loss</th><th scope="col"></th></tr></thead>
      <tbody>${trial.executions.map((execution, index) => html`<tr key=${index}><th scope="row">${index + 1}</th><td class="number">${execution.seed}</td><td class="number">${format.significant(execution.metric, 4)}</td><td class="number">${format.significant(execution.loss, 4)}</td><td>${execution.selected ? "its model is stored" : ""}</td></tr>`)}</tbody></table></div>`}
    <dl class="facts small column">${line("Seed", String(trial.seed))}${line("Best epoch", trial.best_epoch === null ? "–" : String(trial.best_epoch + 1))}
      ${durations.length > 0 && line("Durations", durations.map(([name, value]) => `${name} ${format.significant(value)} s`).join(", "))}
      ${versions.length > 0 && line("Versions", versions.map(([name, value]) => `${name} ${value}`).join(", "))}</dl></details>`;
}

const Layers = memo((shown) => html`<${LayerTable} ...${shown} Why=${Why} />`);
const Details = memo(DetailList);
const Trained = memo(Curves);
