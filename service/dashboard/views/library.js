// Models and data sets: those that ship with fewbits and those that were uploaded.

import { html, useEffect, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { build } from "../lib/route.js";
import { Confirm, Fault, Loading, notifyError, useAnswer } from "../parts/ui.js";
import { Upload } from "../parts/upload.js";
import { allows } from "../parts/verbs.js";

export function LibraryPage({ session }) {
  const [models, modelError, readModels] = useAnswer(api.models, "models");
  const [data, dataError, readData] = useAnswer(api.datasets, "datasets");
  useEffect(() => { document.title = "Models and data – fewbits"; }, []);
  const canSubmit = allows(session, "submit");
  return html`<h1>Models and data</h1>
    <section class="card"><div class="row"><h2>Models</h2>${canSubmit && html`<${Upload} kind="models" done=${readModels} />`}</div><${Fault} error=${modelError} />
      ${models === null ? html`<${Loading} />` : html`<div class="scroll" tabindex="0" role="region" aria-label="models"><table class="rows"><thead><tr><th scope="col">Name</th><th scope="col" class="wide-only">Kind</th><th scope="col">What it is</th><th scope="col" class="number wide-only">Size</th><th scope="col"></th></tr></thead>
        <tbody>${models.items.map((item) => html`<${Item} key=${item.id ?? item.name} item=${item} kind="models" again=${readModels} session=${session} />`)}</tbody></table></div>`}
      <p class="muted small">An uploaded model is built anew from supported layers; nothing in it is ever run.</p></section>
    <section class="card"><div class="row"><h2>Data</h2>${canSubmit && html`<${Upload} kind="datasets" done=${readData} />`}</div><${Fault} error=${dataError} />
      ${data === null ? html`<${Loading} />` : data.items.length === 0
        ? html`<p class="muted">No data set was uploaded. Upload a <code>.npz</code> file with <code>x_train</code> and <code>y_train</code> (<code>x_test</code>, <code>y_test</code> if you have them), a table as <code>.csv</code> or <code>.parquet</code>, or a <code>.zip</code> with a folder of images for each class; digits, diabetes and spiking digits ship with fewbits.</p>`
        : html`<div class="scroll" tabindex="0" role="region" aria-label="data sets"><table class="rows"><thead><tr><th scope="col">Name</th><th scope="col" class="wide-only">Status</th><th scope="col">Arrays</th><th scope="col" class="number wide-only">Size</th><th scope="col"></th></tr></thead>
          <tbody>${data.items.map((item) => html`<${Item} key=${item.id} item=${item} kind="datasets" again=${readData} session=${session} />`)}</tbody></table></div>`}</section>`;
}

function Item({ item, kind, again, session }) {
  const [isOpen, setOpen] = useState(false);
  const remove = async () => {
    try {
      await api.removeUpload(kind, item.id);
      again();
    } catch (error) {
      notifyError(error);
    }
  };
  const use = kind === "models" ? (item.kind === "zoo" ? { model: item.name } : { model: item.id }) : { data: item.id };
  const arrays = (item.arrays ?? []).map((array) => `${array.name} ${array.shape.join("×")} ${array.dtype}`).join(", ");
  return html`<tr><th scope="row">${item.name}<div class="muted small">${item.id ?? ""}</div></th><td class="wide-only">${item.kind === "zoo" ? "built in" : item.kind ?? item.status}</td><td class="wrap">${kind === "models" ? item.description : arrays || "incomplete"}</td>
    <td class="number wide-only">${item.size_bytes ? format.bytes(item.size_bytes) : ""}</td>
    <td class="actions">${item.status !== "incomplete" && allows(session, "submit") && html`<a class="button" href=${build(["new"], use)}>New job</a>`}
      ${item.id && allows(session, "admin") && html`<button type="button" class="danger" onClick=${() => setOpen(true)}>Delete</button>`}
      ${isOpen && html`<${Confirm} title=${`Delete ${item.name}?`} text="Jobs that have ended keep their results." label="Delete" isDanger=${true} confirm=${remove} close=${() => setOpen(false)} />`}</td></tr>`;
}
