// The selected trial: its numbers, quantizers and energy by layer, learning curve, files, attempts.

import { cls, html, memo, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { Curves } from "../charts/curves.js";
import { Classes } from "../charts/confusion.js";
import { Histograms, useTensors } from "../charts/histograms.js";
import { PARTS, costliest, isIncluded, partsText } from "../charts/energy.js";
import { Chip, Fault, Prose } from "./ui.js";
import { Exports } from "./exports.js";
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

function Facts({ job, trial, score }) {
  if (trial.metric === null) {
    return html`<p class="muted small">${trial.status === "queued" ? "It waits for a worker." : `${trial.epochs_done} of ${job.spec.training.epochs * (job.spec.training.executions ?? 1)} epochs done, attempt ${trial.attempt}`}</p>`;
  }
  const looks = (job.test_looks ?? []).filter((look) => look.trial === trial.number);
  const facts = [
    ["Score", format.score(score ?? trial.score)],
    [format.title(format.metricName(job)), format.metric(trial.metric, job)],
    ...(trial.spread ? [[`Of ${trial.executions.length} executions`, `mean; deviation ${format.metric(trial.spread.std, job)}, from ${format.metric(trial.spread.min, job)} to ${format.metric(trial.spread.max, job)}`]] : []),
    ["Energy", format.energy(trial.energy_pj)],
    ...(job.cost_unit === "energy_pj" || job.cost_unit === "bits" ? [] : [["Cost", format.cost(trial.cost, job.cost_unit)]]),
    ["Of reference", job.reference_cost ? format.percent(trial.cost / job.reference_cost, 1) : "–"],
    ["Size", `${format.whole(trial.bits)} bits`],
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

function LayerTable({ job, trial, tensors }) {
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
          <button type="button" class="plain link" aria-expanded=${String(explained === layer.name)} title=${partsText(layer)} onClick=${() => setExplained(explained === layer.name ? null : layer.name)}>${format.energy(layer.included_pj)}</button>
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

const Layers = memo(LayerTable);
const Details = memo(DetailList);
const Trained = memo(Curves);
