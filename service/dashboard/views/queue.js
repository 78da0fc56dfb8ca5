// What the workers do now, and which jobs wait for them.

import { html, useEffect } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { build } from "../lib/route.js";
import { Chip, Fault, Loading, Moment, Prose, useAnswer } from "../parts/ui.js";

const PAUSE_MS = 3000;

export function QueuePage() {
  const [queue, error] = useAnswer(api.queue, "queue", PAUSE_MS);
  useEffect(() => { document.title = "Workers and queue – fewbits"; }, []);
  if (queue === null) return error ? html`<${Fault} error=${error} />` : html`<${Loading} />`;
  const busy = queue.workers.filter((worker) => worker.job_id !== null).length;
  const queued = queue.jobs.reduce((sum, job) => sum + job.queued, 0);
  return html`<h1>Workers and queue</h1>
    <p>${queue.workers.length} live ${queue.workers.length === 1 ? "worker" : "workers"}, ${busy} of them on trials of yours; ${format.whole(queued)} trials wait.</p>
    ${queue.worker !== "ok" && html`<p class="card fault" role="alert"><${Prose} text=${queue.worker} /></p>`}
    <section class="card"><h2>Workers</h2>${queue.workers.length === 0 ? html`<p class="muted">Trials wait until a worker is alive: <code>fewbits worker</code> starts one.</p>` : html`<div class="scroll" tabindex="0" role="region" aria-label="workers"><table class="rows"><thead><tr><th scope="col">Worker</th><th scope="col">Works on</th><th scope="col">For</th><th scope="col" class="wide-only">Alive since</th><th scope="col">Last seen</th></tr></thead>
      <tbody>${queue.workers.map((worker) => html`<tr key=${worker.name}><th scope="row">${worker.name}</th><td>${worker.job_id ? html`<a href=${build(["jobs", worker.job_id], { trial: worker.trial })}>trial ${worker.trial}</a>` : html`<span class="muted">nothing of yours</span>`}</td>
        <td>${worker.since ? format.ago(worker.since).replace(" ago", "") : ""}</td><td class="wide-only"><${Moment} at=${worker.started_at} /></td><td>${format.ago(worker.seen_at)}</td></tr>`)}</tbody></table></div>`}</section>
    <section class="card"><h2>Jobs, in the order in which their trials begin</h2>${queue.jobs.length === 0 ? html`<p class="muted">No job waits. <a href="#/new">New job</a></p>` : html`<div class="scroll" tabindex="0" role="region" aria-label="jobs that wait"><table class="rows"><thead><tr><th scope="col">Job</th><th scope="col">Status</th><th scope="col" class="number">Priority</th><th scope="col" class="number">Running</th><th scope="col" class="number">At once</th><th scope="col" class="number">Queued</th><th scope="col">Created</th></tr></thead>
      <tbody>${queue.jobs.map((job) => html`<tr key=${job.job_id}><th scope="row"><a href=${build(["jobs", job.job_id])}>${job.name || job.job_id}</a></th><td><${Chip} status=${job.status} /></td><td class="number">${job.priority}</td><td class="number">${job.running}</td><td class="number">${job.parallel_trials}</td><td class="number">${format.whole(job.queued)}</td><td><${Moment} at=${job.created_at} /></td></tr>`)}</tbody></table></div>`}</section>`;
}
