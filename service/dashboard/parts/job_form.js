// The fields of a job that most people change, as a form over its specification; the YAML beside it has them all.

import { html, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import { fieldsAt, valuesOf } from "./spec.js";
import { Input, Prose, useAnswer } from "./ui.js";
import { Upload } from "./upload.js";
import { allows } from "./verbs.js";

const at = (spec, path) => path.reduce((part, name) => (part !== null && typeof part === "object" ? part[name] : undefined), spec);

/** The specification with a value at a path; undefined takes the field out. */
function withValue(spec, [name, ...rest], value) {
  const next = { ...(spec !== null && typeof spec === "object" ? spec : {}) };
  if (rest.length) next[name] = withValue(next[name], rest, value);
  else if (value === undefined) delete next[name];
  else next[name] = value;
  return next;
}

const kindOf = (value) => (typeof value === "string" ? value : value?.kind === "uploaded" ? `uploaded:${value.id}` : value?.kind === "zoo" ? value.name : value?.kind ?? "");

export function Form({ spec, schema, change, session }) {
  const [models, , readModels] = useAnswer(api.models, "models");
  const [data, , readData] = useAnswer(api.datasets, "datasets");
  const [file, setFile] = useState("");
  if (spec === null) return html`<p class="muted">The YAML cannot be read: mend it first.</p>`;
  const set = (path, value) => change(withValue(spec, path, value));
  const describe = (path) => fieldsAt(path.slice(0, -1), schema).find((field) => field.name === path.at(-1))?.description ?? "";
  const usual = (path) => { const value = fieldsAt(path.slice(0, -1), schema).find((field) => field.name === path.at(-1))?.default; return typeof value === "number" ? `default ${value}` : "default"; };
  const row = (id, label, control, path) => html`<div class="form-row" key=${id}><label for=${`form-${id}`}>${label}</label><div>${control}</div>${path && describe(path) && html`<span class="muted small"><${Prose} text=${describe(path)} /></span>`}</div>`;
  const text = (id, label, path) => row(id, label, html`<${Input} id=${`form-${id}`} type="text" value=${at(spec, path) ?? ""} commit=${(value) => set(path, value)} />`, null);
  const number = (id, label, path, options = {}) => row(id, label, html`<${Input} id=${`form-${id}`} type="number" step="any" ...${options} value=${typeof at(spec, path) === "object" ? "" : at(spec, path) ?? ""} placeholder=${typeof at(spec, path) === "object" && at(spec, path) !== null ? "see YAML" : usual(path)} commit=${(value) => set(path, value === "" ? undefined : Number(value))} />`, path);
  const words = (id, label, path, field = schema.properties[path[0]]) => {
    const present = kindOf(at(spec, path));
    const values = valuesOf(field, schema).filter((value) => typeof value === "string");
    return row(id, label, html`<select id=${`form-${id}`} value=${present} onChange=${(event) => set(path, event.currentTarget.value || undefined)}><option value="">default</option>${[...new Set([...values, ...(present ? [present] : [])])].map((value) => html`<option key=${value} value=${value} selected=${value === present}>${value}</option>`)}</select>`, path);
  };
  const uploads = (items) => (items ?? []).filter((item) => item.id && item.status === "complete");
  const useModel = (value) => set(["model"], value.startsWith("uploaded:") ? { kind: "uploaded", id: value.slice(9) } : value);
  const useData = (value) => set(["data"], value.startsWith("uploaded:") ? { kind: "uploaded", id: value.slice(9) } : value === "npz" ? { kind: "npz", file: file || "NAME.npz" } : value);
  const dataKinds = valuesOf(schema.properties.data, schema).filter((value) => typeof value === "string" && value !== "uploaded");
  const canUpload = allows(session, "submit");
  const zoo = (models?.items ?? []).filter((item) => item.kind === "zoo");
  return html`<form onSubmit=${(event) => event.preventDefault()}>
    ${text("name", "Name", ["name"])}
    ${row("model", "Model", html`<div class="actions"><select id="form-model" value=${kindOf(spec.model)} onChange=${(event) => useModel(event.currentTarget.value)}>
        <optgroup label="ships with fewbits">${zoo.map((item) => html`<option key=${item.name} value=${item.name} selected=${kindOf(spec.model) === item.name}>${item.name}</option>`)}</optgroup>
        ${uploads(models?.items).length > 0 && html`<optgroup label="uploaded">${uploads(models?.items).map((item) => html`<option key=${item.id} value=${`uploaded:${item.id}`} selected=${kindOf(spec.model) === `uploaded:${item.id}`}>${item.name}</option>`)}</optgroup>`}
        ${!zoo.some((item) => item.name === kindOf(spec.model)) && !kindOf(spec.model).startsWith("uploaded:") && html`<option value=${kindOf(spec.model)} selected>${kindOf(spec.model) || "–"}</option>`}</select>
      ${canUpload && html`<${Upload} kind="models" done=${(upload) => { readModels(); useModel(`uploaded:${upload.id}`); }} />`}</div>
      ${zoo.find((item) => item.name === kindOf(spec.model)) && html`<span class="muted small">${zoo.find((item) => item.name === kindOf(spec.model)).description}</span>`}`, null)}
    ${row("data", "Data", html`<div class="actions"><select id="form-data" value=${kindOf(spec.data)} onChange=${(event) => useData(event.currentTarget.value)}>
        <optgroup label="kinds">${dataKinds.concat(dataKinds.includes("npz") ? [] : ["npz"]).map((kind) => html`<option key=${kind} value=${kind} selected=${kind === kindOf(spec.data)}>${kind}</option>`)}</optgroup>
        ${uploads(data?.items).length > 0 && html`<optgroup label="uploaded">${uploads(data?.items).map((item) => html`<option key=${item.id} value=${`uploaded:${item.id}`} selected=${kindOf(spec.data) === `uploaded:${item.id}`}>${item.name}</option>`)}</optgroup>`}</select>
      ${kindOf(spec.data) === "npz" && html`<${Input} type="text" aria-label="file in the server's data folder" value=${spec.data.file ?? ""} commit=${(value) => { setFile(value); set(["data", "file"], value); }} />`}
      ${canUpload && html`<${Upload} kind="datasets" done=${(upload) => { readData(); useData(`uploaded:${upload.id}`); }} />`}</div>`, null)}
    ${words("objective", "Metric", ["objective"])}
    ${words("goal", "Cost", ["goal", "kind"], { enum: ["energy", "bits", "bytes", "macs", "bops", "ebops", "peak_activation_bits"] })}
    ${number("delta_p", "A saving forgives (%)", ["goal", "delta_p"], { min: 0, max: 100 })}
    ${number("delta_n", "An excess demands (%)", ["goal", "delta_n"], { min: 0, max: 100 })}
    ${words("oracle", "How to search", ["oracle"])}
    ${number("trials", "Budget in trials", ["budget", "trials"], { min: 1, step: 1 })}
    ${number("epochs", "Epochs a trial", ["training", "epochs"], { min: 1, step: 1 })}
    ${number("batch_size", "Batch size", ["training", "batch_size"], { min: 1, step: 1 })}
    ${number("learning_rate", "Learning rate", ["training", "learning_rate"], { min: 0 })}
    ${number("max_energy", "At most (pJ)", ["constraints", "max_energy_pj"], { min: 0 })}
    ${words("target", "Hardware", ["target"])}
    ${words("stopping", "Stop hopeless trials", ["stopping"])}
    ${number("parallel", "Trials at once", ["parallel_trials"], { min: 1, step: 1 })}
    ${number("priority", "Priority", ["priority"], { min: -100, max: 100, step: 1 })}
    ${number("seed", "Seed", ["seed"], { step: 1 })}
  </form>`;
}
