// Exports of a trial: which formats take it, what was made, how it compares with the model, and the way to have it.

import { html, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { Chip, Dialog, Fault, notify, notifyError, useAnswer } from "./ui.js";
import { allows } from "./verbs.js";

const ASK_MS = 2000;
const OPEN = new Set(["queued", "running"]);

export function Exports({ job, trial, session, stamp }) {
  const [isOpen, setOpen] = useState(false);
  const [isWaiting, setWaiting] = useState(false);
  const isPossible = trial.status === "done" && trial.artifacts.some((file) => file.name === "quantizers.json" || file.name === "network.npz");
  const [list, error, again] = useAnswer(() => api.exportsOf(job.id, trial.number).then((answer) => { setWaiting(answer.items.some((item) => OPEN.has(item.status))); return answer; }), isPossible ? `${job.id} ${trial.number} ${stamp}` : null, isWaiting ? ASK_MS : null);
  if (!isPossible) return null;
  const create = async (body) => {
    try {
      await api.createExport(job.id, trial.number, body);
      notify(`Trial ${trial.number} is exported as ${body.format}.`);
      setWaiting(true);
      again();
    } catch (fault) {
      notifyError(fault);
    }
  };
  return html`<section><div class="row"><h3>Exports</h3><button type="button" onClick=${() => setOpen(true)}>${allows(session, "submit") ? "Export…" : "Formats…"}</button></div>
    <${Fault} error=${error} />
    ${list && list.items.length === 0 && html`<p class="muted small">None yet: “Export…” shows which formats can express this trial.</p>`}
    ${list && list.items.length > 0 && html`<ul class="exports small" data-answer="exports">${list.items.map((item) => html`<li key=${item.name}><${Export} job=${job} trial=${trial} item=${item} /></li>`)}</ul>`}
    ${isOpen && html`<${Formats} job=${job} trial=${trial} session=${session} create=${create} close=${() => setOpen(false)} />`}</section>`;
}

/** One export in words: what it is, how large, whether it computes what the model does. */
function Export({ job, trial, item }) {
  const { proof, figures } = item;
  const options = Object.entries(item.options).map(([name, value]) => `${name} ${value}`).join(", ");
  const needs = figures ? [figures.flash_bytes !== null && `${format.bytes(figures.flash_bytes)} flash`, figures.ram_bytes !== null && `${format.bytes(figures.ram_bytes)} RAM`, figures.packed_bytes !== null && `${format.bytes(figures.packed_bytes)} of weights in their own bits`].filter(Boolean).join(", ") : "";
  return html`<strong>${item.status === "done" ? html`<a href=${api.exportFile(job.id, trial.number, item.name)} download title=${`SHA-256 ${item.sha256}`}>${item.format}</a>` : item.format}</strong>
    ${item.status === "done" ? ` ${format.bytes(item.size_bytes)}` : html` <${Chip} status=${item.status} />`}${item.model === "final" ? " · of the final training" : ""}${options ? html` <span class="muted">${options}</span>` : ""}
    ${item.reason && html`<div class="fault">${item.reason}</div>`}
    ${proof && html`<div>${proof.exact ? `exactly the model's numbers on ${proof.examples} test inputs` : `${proof.equal_classes === null ? "" : `${format.percent(proof.equal_classes, 1)} of ${proof.examples} test inputs have the same class; `}largest difference ${format.significant(proof.largest_difference, 2)} of ${format.significant(proof.largest_output, 2)}`}${proof.metric === null ? "" : `; ${format.metricName(job)} ${format.metric(proof.metric, job)} on validation data (the model: ${format.metric(proof.model_metric, job)})`}</div>`}
    ${needs && html`<div class="muted">needs ${needs}</div>`}
    ${item.notes.map((note) => html`<div class="muted" key=${note}>${note}</div>`)}`;
}

/** All formats: those that take the trial can be chosen, of the others it is said which layer is in the way. */
function Formats({ job, trial, session, create, close }) {
  const [formats, error] = useAnswer(() => api.formatsOf(job.id, trial.number), `${job.id} ${trial.number}`);
  const [chosen, setChosen] = useState(null);
  const [options, setOptions] = useState({});
  const current = formats?.items.find((item) => item.name === chosen) ?? null;
  const submit = (event) => {
    event.preventDefault();
    close();
    create({ format: chosen, options });
  };
  return html`<${Dialog} title=${`Export trial ${trial.number}`} close=${close}><form onSubmit=${submit}><${Fault} error=${error} />
    ${formats === null && !error && html`<p class="muted">Loading…</p>`}
    ${formats && html`<div class="scroll tall" tabindex="0" role="region" aria-label="formats"><table class="rows small"><tbody>${formats.items.map((item) => html`<tr key=${item.name} class=${item.possible ? null : "muted"}>
      <td><input type="radio" name="format" id=${`format-${item.name}`} value=${item.name} disabled=${!item.possible} checked=${chosen === item.name} onChange=${() => { setChosen(item.name); setOptions({}); }} /></td>
      <th scope="row"><label for=${`format-${item.name}`}>${item.name}</label></th>
      <td>${item.title}${item.exact ? " · exact" : ""}${item.refusals.length > 0 && html`<ul class="fault-list">${item.refusals.slice(0, 4).map((refusal) => html`<li key=${refusal.layer + refusal.reason}><code>${refusal.layer}${refusal.slot ? `.${refusal.slot}` : ""}</code> ${refusal.reason}</li>`)}</ul>`}</td></tr>`)}</tbody></table></div>`}
    ${current && Object.entries(current.options).map(([name, option]) => html`<p key=${name}><label>${name}: <${Option} option=${option} value=${options[name] ?? option.default} set=${(value) => setOptions({ ...options, [name]: value })} /></label> <span class="muted small">${option.description}</span></p>`)}
    <div class="actions">${allows(session, "submit") && html`<button class="primary" value="go" disabled=${chosen === null}>Export</button>`}<button type="button" value="no" onClick=${close}>Back</button></div></form><//>`;
}

function Option({ option, value, set }) {
  if (typeof option.default === "boolean") return html`<input type="checkbox" checked=${value} onChange=${(event) => set(event.currentTarget.checked)} />`;
  if (option.allowed.length > 0) return html`<select value=${String(value)} onChange=${(event) => set(option.allowed[event.currentTarget.selectedIndex])}>${option.allowed.map((item) => html`<option key=${item} value=${String(item)} selected=${item === value}>${String(item)}</option>`)}</select>`;
  const isNumber = typeof option.default === "number";
  return html`<input type=${isNumber ? "number" : "text"} step="any" value=${value} onInput=${(event) => set(isNumber ? Number(event.currentTarget.value) : event.currentTarget.value)} />`;
}
