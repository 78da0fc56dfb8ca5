// A new job: a form and its YAML side by side, checked while it is written, tried without being stored, then submitted.

import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { dump, load } from "../vendor/js-yaml.js";
import * as api from "../lib/api.js";
import { build } from "../lib/route.js";
import { DryRun } from "../parts/dry_run.js";
import { Form } from "../parts/job_form.js";
import { around } from "../parts/refine.js";
import { compact, faults as faultsOf, fieldsAt, pruned } from "../parts/spec.js";
import { Fault, Loading, Prose, notify, notifyError, useAnswer } from "../parts/ui.js";
import { allows } from "../parts/verbs.js";

const PAUSE_MS = 250;

const TEMPLATE = {
  name: "",
  model: "digits_cnn",
  data: "digits",
  quantizers: {
    kernel: ["binary", "ternary", "quantized_bits(4,0,1,alpha=1.0)", "quantized_bits(8,0,1,alpha=1.0)"],
    bias: ["quantized_bits(4,0,1)", "quantized_bits(8,3,1)"],
    activation: ["quantized_relu(3,1)", "quantized_relu(4,2)", "quantized_relu(8,4)"],
  },
  limits: { by_class: { Conv2D: { kernel: 8, bias: 8 }, Dense: { kernel: 8, bias: 8 }, Activation: { activation: 8 } } },
  goal: { kind: "energy", delta_p: 8, delta_n: 8, rate: 2 },
  training: { epochs: 10, batch_size: 64, learning_rate: 0.005 },
  budget: { trials: 20 },
  seed: 42,
};

const written = (spec) => dump(spec, { lineWidth: 110, noRefs: true, flowLevel: 3 });

/** What the page starts with: the job that is cloned or searched around, or a template with the chosen model and data. */
async function beginning({ from, around: center, model, data }, schema) {
  if (center) {
    const [jobId, number] = center.split(":");
    return { spec: compact(await around(jobId, Number(number)), schema), note: `Candidates lie around those of trial ${number} of job ${jobId}.`, isWhole: true };
  }
  if (from) {
    const job = await api.job(from);
    return { spec: { ...compact(pruned(job.spec), schema), name: job.name ? `${job.name}, again` : "" }, note: `Like job ${job.name || job.id}: change what should differ.`, isWhole: true };
  }
  const uploaded = (id) => (/^[0-9a-f]{16}$/.test(id) ? { kind: "uploaded", id } : id);
  return { spec: { ...TEMPLATE, ...(model ? { model: uploaded(model) } : {}), ...(data ? { data: uploaded(data) } : {}) }, note: null };
}

export function NewJobPage({ parameters, session }) {
  const [schema, schemaError] = useAnswer(api.jobSchema, "schema");
  const [start, startError] = useAnswer(() => beginning(parameters, schema), schema === null ? null : JSON.stringify(parameters));
  useEffect(() => { document.title = "New job – fewbits"; }, []);
  if (schemaError || startError) return html`<${Fault} error=${schemaError ?? startError} />`;
  if (schema === null || start === null) return html`<${Loading} />`;
  return html`<${Editor} schema=${schema} start=${start} session=${session} />`;
}

/** The YAML read: a specification, or where it cannot be read. */
function read(text, schema) {
  try {
    const spec = load(text);
    if (spec === null || typeof spec !== "object" || Array.isArray(spec)) return { spec: null, faults: [{ pointer: "", detail: "should be a mapping of fields" }] };
    return { spec, faults: faultsOf(spec, schema) };
  } catch (error) {
    return { spec: null, faults: [{ pointer: error.mark ? `line ${error.mark.line + 1}` : "", detail: error.reason ?? error.message }] };
  }
}

function Editor({ schema, start, session }) {
  const [text, setText] = useState(() => written(start.spec));
  const [checked, setChecked] = useState(() => read(text, schema));
  const [trial, setTrial] = useState({ state: "none", answer: null, problem: null, text: "" });
  const [isSending, setSending] = useState(false);
  const key = useRef({ text: null, key: null });
  useEffect(() => {
    const timer = setTimeout(() => setChecked(read(text, schema)), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const change = (spec) => {
    const next = written(spec);
    setText(next);
    setChecked(read(next, schema));
  };
  const dryRun = async () => {
    const { spec, faults } = read(text, schema);
    setChecked({ spec, faults });
    if (spec === null) return;
    setTrial({ state: "asking", answer: null, problem: null, text });
    try {
      setTrial({ state: "done", answer: await api.dryRun(spec), problem: null, text });
    } catch (error) {
      setTrial({ state: "refused", answer: null, problem: error.problem ?? { detail: error.message }, text });
    }
  };
  const submit = async () => {
    const { spec } = read(text, schema);
    if (spec === null) return;
    if (key.current.text !== text) key.current = { text, key: randomKey() };
    setSending(true);
    try {
      const job = await api.submit(spec, key.current.key);
      notify(`The job ${job.name || job.id} is submitted.`);
      location.hash = build(["jobs", job.id]);
    } catch (error) {
      setTrial({ state: "refused", answer: null, problem: error.problem ?? { detail: error.message }, text });
      notifyError(error);
    } finally {
      setSending(false);
    }
  };
  const isAnswered = trial.state === "done" || trial.state === "refused";
  useEffect(() => { if (isAnswered) document.querySelector("#dry-run").scrollIntoView({ block: "start" }); }, [isAnswered]); // it is below the form
  const isFresh = trial.text === text;
  const blocked = checked.faults.length > 0;
  return html`<div class="row"><h1>New job</h1><div class="actions"><button type="button" onClick=${dryRun} disabled=${checked.spec === null || trial.state === "asking"}>Dry run</button>
      ${allows(session, "submit") ? html`<button type="button" class="primary" onClick=${submit} disabled=${checked.spec === null || blocked || isSending}>Submit</button>` : html`<span class="muted small">this key reads only: it can try a job, but not submit it</span>`}</div></div>
    ${start.note && html`<p class="muted">${start.note}</p>`}
    <div class="editor">
      <section class="card"><h2>Form</h2><${Form} spec=${checked.spec} schema=${schema} change=${change} session=${session} /></section>
      <section class="card"><div class="row"><h2><label for="yaml">YAML</label></h2><${Open} setText=${setText} /></div>
        <${Yaml} text=${text} setText=${setText} schema=${schema} />
        <div role="status">${checked.faults.length === 0 ? html`<p class="small muted" data-valid="yes">Every field fits the schema.</p>` : html`<p class="fault small" data-valid="no">${checked.faults.length} ${checked.faults.length === 1 ? "fault" : "faults"}</p><ul class="fault-list small">${checked.faults.slice(0, 12).map((fault) => html`<li key=${fault.pointer + fault.detail}><code>${fault.pointer || "/"}</code> ${fault.detail}</li>`)}</ul>`}</div></section>
    </div>
    <div id="dry-run" aria-busy=${String(trial.state === "asking")}>
      ${trial.state === "asking" && html`<${Loading} />`}
      ${trial.state === "refused" && html`<section class="card"><h2 class="fault">${trial.problem.title ?? "Refused"}</h2><p role="alert">${trial.problem.detail}</p><ul class="fault-list">${(trial.problem.errors ?? []).map((fault) => html`<li key=${fault.pointer + fault.detail}><code>${fault.pointer || fault.parameter || "/"}</code> ${fault.detail}</li>`)}</ul></section>`}
      ${trial.state === "done" && html`${!isFresh && html`<p class="muted small">The job was changed since this dry run.</p>`}<${DryRun} run=${trial.answer} />`}
      ${trial.state === "none" && html`<p class="muted">A dry run stores nothing. It shows the size of the space, the reference layer by layer, what can be chosen where, what stays float, how long it may take, and warnings.</p>`}
    </div>`;
}

/** 128 random bits as text. */
const randomKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** A job from a file. */
function Open({ setText }) {
  const open = async (event) => {
    const [file] = event.currentTarget.files;
    event.currentTarget.value = "";
    if (file) setText(await file.text());
  };
  return html`<label class="button">Open a file…<input class="visually-hidden" type="file" accept=".yaml,.yml,.json" aria-label="Open a job's file" onChange=${open} /></label>`;
}

/** The text, with the fields and values that can stand where the cursor is. */
function Yaml({ text, setText, schema }) {
  const area = useRef(null);
  const [path, setPath] = useState([]);
  const locate = () => setPath(pathAt(area.current.value, area.current.selectionStart));
  const suggestions = useMemo(() => suggest(path, schema, text), [path.join("/"), schema, text]);
  const insert = (piece) => {
    const element = area.current;
    const { selectionStart: at, value } = element;
    const lineStart = value.lastIndexOf("\n", at - 1) + 1;
    const line = value.slice(lineStart, at);
    const isValue = suggestions.isValue;
    const next = isValue ? `${value.slice(0, lineStart)}${line.replace(/:.*$/, `: ${piece}`)}${value.slice(endOfLine(value, at))}` : `${value.slice(0, endOfLine(value, at))}\n${" ".repeat(indentOf(line, path, value, at))}${piece}: ${value.slice(endOfLine(value, at))}`;
    setText(next);
    const place = isValue ? endOfLine(next, lineStart) : endOfLine(next, endOfLine(value, at) + 1);
    requestAnimationFrame(() => {
      element.focus();
      element.setSelectionRange(place, place);
      locate();
    });
  };
  const keys = (event) => {
    if (event.key !== "Tab" || event.shiftKey || event.ctrlKey || event.altKey) return;
    const { selectionStart: at, selectionEnd: end, value } = event.currentTarget;
    if (value.slice(value.lastIndexOf("\n", at - 1) + 1, at).trim() !== "" || at !== end) return; // Tab leaves the field elsewhere
    event.preventDefault();
    setText(`${value.slice(0, at)}  ${value.slice(at)}`);
    requestAnimationFrame(() => area.current.setSelectionRange(at + 2, at + 2));
  };
  return html`<textarea id="yaml" ref=${area} value=${text} spellcheck="false" autocapitalize="off" aria-describedby="yaml-help" onInput=${(event) => { setText(event.currentTarget.value); locate(); }} onClick=${locate} onKeyUp=${locate} onFocus=${locate} onKeyDown=${keys}></textarea>
    <p id="yaml-help" class="muted small">At <code>/${path.join("/")}</code>: <${Prose} text=${suggestions.description || "fields that can stand here"} /></p>
    <div class="suggestions" role="group" aria-label="what can stand here">${suggestions.items.map((item) => html`<button key=${item.name} type="button" title=${item.description} onClick=${() => insert(item.name)}>${String(item.name)}</button>`)}</div>`;
}

const endOfLine = (text, at) => (text.indexOf("\n", at) < 0 ? text.length : text.indexOf("\n", at));

/** The names that lead to the line at a place in YAML of mappings. */
export function pathAt(text, at) {
  const lines = text.slice(0, endOfLine(text, at)).split("\n");
  const path = [];
  let indent = Infinity;
  for (let index = lines.length - 1; index >= 0; index--) {
    const match = lines[index].match(/^(\s*)(?:- )?([\w.]+):/);
    if (match === null) {
      if (index === lines.length - 1 && lines[index].trim() === "") indent = lines[index].length + 1;
      continue;
    }
    if (match[1].length < indent) {
      path.unshift(match[2]);
      indent = match[1].length;
      if (indent === 0) break;
    }
  }
  return path;
}

function suggest(path, schema, text) {
  const siblings = fieldsAt(path.slice(0, -1), schema);
  const field = siblings.find((item) => item.name === path.at(-1));
  if (field?.values.length) return { isValue: true, description: field.description, items: field.values.map((name) => ({ name, description: "" })) };
  const inside = path.length ? fieldsAt(path, schema) : [];
  const items = (inside.length ? inside : siblings).filter((item) => !text.match(new RegExp(`^\\s*${item.name}:`, "m")) || inside.length);
  return { isValue: false, description: field?.description, items: items.slice(0, 40) };
}

/** How far a field that is inserted below the cursor's line is indented. */
function indentOf(line, path, text, at) {
  const own = text.slice(text.lastIndexOf("\n", at - 1) + 1, endOfLine(text, at));
  const indent = own.match(/^\s*/)[0].length;
  return /:\s*$/.test(own) ? indent + 2 : indent;
}
