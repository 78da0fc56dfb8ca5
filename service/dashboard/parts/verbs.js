// What can be done with a job: the actions that its status and the caller's key allow.

import { html, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import { build } from "../lib/route.js";
import { Confirm, Dialog, notify, notifyError } from "./ui.js";

const ORDER = ["read", "submit", "admin"];

/** Whether a key of this scope may do what needs that one. */
export const allows = (session, needed) => session === null || ORDER.indexOf(session.scope) >= ORDER.indexOf(needed);

/** verb -> label, what it does, the question that is asked before, the scope it needs. */
const VERBS = {
  pause: { label: "Pause", title: "start no new trial; running trials continue" },
  resume: { label: "Resume", title: "continue a paused job" },
  stop: { label: "Stop", title: "finish running trials, then report the best", ask: "Running trials are finished, then the best one is measured on the test data and reported." },
  cancel: { label: "Cancel", title: "end now; measured trials are kept", ask: "Running trials end within seconds. Measured trials are kept.", isDanger: true },
  retry: { label: "Retry failed", title: "run the failed trials again" },
  extend: { label: "Extend…", title: "add to the budget and go on" },
  delete: { label: "Delete", title: "remove it with its trials and files", ask: "Its trials, events and files are removed. This cannot be undone.", isDanger: true, scope: "admin" },
};

/** `done(verb, job)`: after it was carried out. */
export function Verbs({ job, session, done }) {
  const [open, setOpen] = useState(null);
  const carryOut = async (verb, body) => {
    try {
      done(verb, await (verb === "delete" ? api.remove(job.id) : api.verb(job.id, verb, body)));
    } catch (error) {
      notifyError(error);
    }
  };
  const close = () => setOpen(null);
  if (!allows(session, "submit")) return html`<span class="muted small">this key reads only</span>`;
  const shown = Object.entries(VERBS).filter(([verb, { scope = "submit" }]) => job.allowed.includes(verb) && allows(session, scope));
  return html`${shown.map(([verb, { label, title, ask, isDanger }]) => html`<button key=${verb} type="button" class=${isDanger ? "danger" : null} title=${title}
      onClick=${() => (ask || verb === "extend" ? setOpen(verb) : carryOut(verb))}>${label}</button>`)}
    ${job.allowed.includes("patch") && html`<button type="button" title="change budget, parallel trials or priority while it runs" onClick=${() => setOpen("patch")}>Change…</button>`}
    <a class="button" href=${build(["new"], { from: job.id })} title="start a new job like this one, with changes">Clone & edit…</a>
    ${open === "extend" && html`<${Extend} job=${job} close=${close} extend=${(body) => carryOut("extend", body)} />`}
    ${open === "patch" && html`<${Change} job=${job} close=${close} done=${(changed) => { notify("The job is changed."); done("patch", changed); }} />`}
    ${open !== null && VERBS[open]?.ask && html`<${Confirm} title=${`${VERBS[open].label} this job?`} text=${VERBS[open].ask} label=${VERBS[open].label} isDanger=${VERBS[open].isDanger} close=${close} confirm=${() => carryOut(open)} />`}`;
}

const UNITS = { trials: "trials", epochs: "epochs, of all trials together", seconds: "seconds" };

/** How much is added to the budget, and what it then is. */
function Extend({ job, close, extend }) {
  const { budget } = job.spec;
  const fields = Object.keys(UNITS).filter((name) => budget[name] !== null && budget[name] !== undefined);
  const [added, setAdded] = useState({ trials: Math.max(1, budget.trials) });
  const used = job.progress.done;
  const total = budget.trials + (Number(added.trials) || 0);
  const submit = (event) => {
    event.preventDefault();
    close();
    extend(Object.fromEntries(Object.entries(added).filter(([, value]) => Number(value) > 0).map(([name, value]) => [name, Number(value)])));
  };
  return html`<${Dialog} title="Extend the job" close=${close}><form onSubmit=${submit}>
    <p>Its budget was ${budget.trials} trials; ${used} of them were used${used < budget.trials ? ", since it ended before" : ""}. What you add comes on top of the whole budget.</p>
    ${fields.map((name) => html`<p key=${name}><label>Additional ${UNITS[name]}: <input type="number" name=${name} min=${name === "trials" ? 1 : 0} max="100000" value=${added[name] ?? ""} onInput=${(event) => setAdded({ ...added, [name]: event.currentTarget.value })} /></label></p>`)}
    <p class="muted" role="status">It may then run up to ${total} trials: ${Math.max(0, total - used)} more.</p>
    <div class="actions"><button class="primary" value="go">Extend</button><button type="button" value="no" onClick=${close}>Back</button></div></form><//>`;
}

/** Budget, parallel trials and priority of a job that runs. */
function Change({ job, close, done }) {
  const { spec } = job;
  const [values, setValues] = useState({ trials: spec.budget.trials, parallel_trials: spec.parallel_trials, priority: job.priority });
  const submit = async (event) => {
    event.preventDefault();
    const { trials, ...rest } = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]));
    try {
      done(await api.change(job.id, { ...rest, ...(trials === spec.budget.trials ? {} : { budget: { trials } }) }));
      close();
    } catch (error) {
      notifyError(error);
    }
  };
  const field = (name, label, low, high) => html`<p><label>${label} <input type="number" name=${name} min=${low} max=${high} required value=${values[name]} onInput=${(event) => setValues({ ...values, [name]: event.currentTarget.value })} /></label></p>`;
  return html`<${Dialog} title="Change the job" close=${close}><form onSubmit=${submit}>
    ${field("trials", "Budget in trials", 1, 100000)}${field("parallel_trials", "Trials at once", 1, 256)}${field("priority", "Priority; trials of jobs with a higher one start first", -100, 100)}
    <div class="actions"><button class="primary" value="go">Change</button><button type="button" value="no" onClick=${close}>Back</button></div></form><//>`;
}
