// What can be had of a trial: its files, its exports, more training, a search around it.

import { html, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { build } from "../lib/route.js";
import { Dialog, notify, notifyError, useAnswer } from "./ui.js";
import { allows } from "./verbs.js";

const FILES = {
  "model.keras": "trained Keras model",
  "quantizers.json": "quantizer of every tensor",
  "weights.npz": "integer weights and scales",
  "preprocessing.json": "preprocessing to apply to each input",
  "report.json": "metric, energy, configuration, versions",
  "tensors.json": "values, levels and noise of every tensor",
  "recipe.json": "everything needed to reproduce the trial",
  "network.npz": "integers of the spiking network",
  "settings.json": "how its integers were quantized",
};

export function Files({ job, trial, session }) {
  const [isOpen, setOpen] = useState(false);
  const [isStarted, setStarted] = useState(false);
  const canTrain = trial.status === "done" && trial.artifacts.length > 0;
  const [final, , again] = useAnswer(() => api.finalTraining(job.id, trial.number), trial.final_status || isStarted ? `${job.id} ${trial.number} ${trial.artifacts.length} ${trial.final_status}` : null, null);
  if (trial.artifacts.length === 0 && !canTrain) return null;
  const start = async (epochs) => {
    try {
      await api.finalize(job.id, trial.number, epochs);
      notify(`Trial ${trial.number} is trained for ${epochs} more epochs; its files begin with final-.`);
      setStarted(true);
      again();
    } catch (error) {
      notifyError(error);
    }
  };
  return html`<section><h3>Files</h3>
    <ul class="files small">${trial.artifacts.map((artifact) => html`<li key=${artifact.name}><a href=${api.artifact(trial.job_id, trial.number, artifact.name)} download title=${`SHA-256 ${artifact.sha256}`}>${artifact.name}</a>
      <span class="muted"> ${format.bytes(artifact.size_bytes)}${FILES[artifact.name] ? ` · ${FILES[artifact.name]}` : ""}</span></li>`)}</ul>
    ${final && html`<p class="small">Trained further: ${final.status}${final.status === "done" ? `, ${format.metric(final.metric, job)} on validation data, ${format.metric(final.test_metric, job)} on test data` : `, ${final.epochs_done} of ${final.epochs} epochs`}${final.reason ? ` (${final.reason})` : ""}</p>`}
    <div class="actions">
      ${canTrain && allows(session, "submit") && html`<button type="button" title="train this trial for more epochs, then measure it on the test data" onClick=${() => setOpen(true)}>Train further…</button>`}
      ${trial.status === "done" && allows(session, "submit") && html`<a class="button" href=${build(["new"], { around: `${job.id}:${trial.number}` })} title="a new job whose candidates lie around those of this trial">Search on from here…</a>`}
    </div>
    ${isOpen && html`<${Finalize} job=${job} trial=${trial} close=${() => setOpen(false)} start=${start} />`}</section>`;
}

function Finalize({ job, trial, close, start }) {
  const [epochs, setEpochs] = useState(5 * job.spec.training.epochs);
  const submit = (event) => {
    event.preventDefault();
    close();
    start(Number(epochs));
  };
  return html`<${Dialog} title=${`Train trial ${trial.number} further`} close=${close}><form onSubmit=${submit}>
    <p>It continues from its best epoch, and is then measured once on the test data. Its own results stay as they are.</p>
    <p><label>Additional epochs: <input type="number" name="epochs" min="1" max="10000" required value=${epochs} onInput=${(event) => setEpochs(event.currentTarget.value)} /></label></p>
    <div class="actions"><button class="primary" value="go">Train</button><button type="button" value="no" onClick=${close}>Back</button></div></form><//>`;
}
