// Who reads this page: tenant, scope, what is used of the quotas, and for admins the tenant's keys.

import { html, useEffect, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { Confirm, Dialog, Fault, Loading, notifyError, useAnswer } from "../parts/ui.js";
import { allows } from "../parts/verbs.js";

const QUOTAS = {
  running_jobs: ["Unfinished jobs", format.whole],
  trials: ["Trials", format.whole],
  stored_bytes: ["Stored files", format.bytes],
  compute_s: ["Compute time", format.duration],
};
const SCOPES = { read: "reads jobs, trials and files", submit: "also submits and steers jobs, uploads", admin: "also deletes, and makes keys" };

export function AccountPage() {
  const [session, error] = useAnswer(api.session, "session");
  useEffect(() => { document.title = "Usage and keys – fewbits"; }, []);
  if (session === null) return error ? html`<${Fault} error=${error} />` : html`<${Loading} />`;
  return html`<h1>${session.tenant}</h1>
    <p>${session.key_id ? html`Key <code>${session.key_id}</code> of scope <strong>${session.scope}</strong>: it ${SCOPES[session.scope]}.` : "This service runs on this machine alone and needs no key."}</p>
    <section class="card"><h2>Usage</h2><div class="usage">${Object.entries(session.quotas).map(([name, { used, limit }]) => {
      const [label, text] = QUOTAS[name] ?? [name, format.plain];
      return html`<div key=${name}><span class="muted small">${label}</span><div><strong>${text(used)}</strong> ${limit === null ? html`<span class="muted">no limit</span>` : `of ${text(limit)}`}</div>${limit !== null && html`<progress max=${limit} value=${Math.min(used, limit)} aria-label=${label}></progress>`}</div>`;
    })}</div></section>
    ${allows(session, "admin") && html`<${Keys} session=${session} />`}`;
}

function Keys({ session }) {
  const [keys, error, again] = useAnswer(api.keys, "keys");
  const [open, setOpen] = useState(null);
  const [token, setToken] = useState(null);
  const carryOut = async (action) => {
    try {
      await action();
      again();
    } catch (fault) {
      notifyError(fault);
    }
  };
  return html`<section class="card"><div class="row"><h2>Keys of ${session.tenant}</h2><button type="button" onClick=${() => setOpen("new")}>New key…</button></div>
    <${Fault} error=${error} />
    ${keys && keys.items.length === 0 && html`<p class="muted">There is no key yet: whoever reaches this machine's own address may do everything. The first key closes that; then this page asks for one.</p>`}
    ${keys && keys.items.length > 0 && html`<div class="scroll" tabindex="0" role="region" aria-label="keys"><table class="rows"><thead><tr><th scope="col">Name</th><th scope="col">Key</th><th scope="col">Scope</th><th scope="col">Valid</th><th scope="col">Last used</th><th scope="col"></th></tr></thead>
      <tbody>${keys.items.map((key) => html`<tr key=${key.id} class=${key.is_valid ? null : "muted"}><th scope="row">${key.name}</th><td><code>${key.id}</code>${key.id === session.key_id ? html` <span class="chip">this one</span>` : ""}</td><td>${key.scope}</td><td>${key.revoked_at ? "revoked" : key.expires_at ? `until ${format.moment(key.expires_at)}` : "without end"}</td><td>${format.moment(key.last_used_at)}</td>
        <td>${key.is_valid && key.id !== session.key_id && html`<button type="button" class="danger" onClick=${() => setOpen(key)}>Revoke</button>`}</td></tr>`)}</tbody></table></div>`}
    ${open === "new" && html`<${NewKey} close=${() => setOpen(null)} create=${(body) => carryOut(async () => setToken((await api.createKey(body)).token))} />`}
    ${open && open !== "new" && html`<${Confirm} title=${`Revoke the key ${open.name}?`} text="Who uses it is refused from now on. This cannot be undone." label="Revoke" isDanger=${true} close=${() => setOpen(null)} confirm=${() => carryOut(() => api.revokeKey(open.id))} />`}
    ${token && html`<${Dialog} title="The new key" close=${() => setToken(null)}><p>It is shown once. Copy it now:</p><p><code class="token wrap">${token}</code></p><div class="actions"><button type="button" class="primary" onClick=${() => setToken(null)}>I have it</button></div><//>`}</section>`;
}

function NewKey({ close, create }) {
  const [values, setValues] = useState({ name: "", scope: "submit", days: "" });
  const set = (name) => (event) => setValues({ ...values, [name]: event.currentTarget.value });
  const submit = (event) => {
    event.preventDefault();
    close();
    create({ name: values.name, scope: values.scope, ...(Number(values.days) > 0 ? { lifetime_days: Number(values.days) } : {}) });
  };
  return html`<${Dialog} title="New key" close=${close}><form onSubmit=${submit}>
    <p><label>Name, for people: <input type="text" name="name" required maxlength="200" value=${values.name} onInput=${set("name")} /></label></p>
    <p><label>Scope: <select name="scope" value=${values.scope} onChange=${set("scope")}>${Object.entries(SCOPES).map(([name, text]) => html`<option key=${name} value=${name} selected=${name === values.scope}>${name}: ${text}</option>`)}</select></label></p>
    <p><label>Days until it expires, if it does: <input type="number" name="days" min="1" max="3650" value=${values.days} onInput=${set("days")} /></label></p>
    <div class="actions"><button class="primary" value="go">Create</button><button type="button" value="no" onClick=${close}>Back</button></div></form><//>`;
}
