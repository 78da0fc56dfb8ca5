// The list of jobs: how far each is, what it found, a small picture of its front; filters, comparison, the way to a new one.

import { html, useEffect, useMemo, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { hasEnded } from "../lib/job_feed.js";
import { build, change } from "../lib/route.js";
import { Chip, Empty, Fault, Input, Loading, Moment, Progress, useAnswer } from "../parts/ui.js";
import { Verbs, allows } from "../parts/verbs.js";

const PAUSE_MS = 3000;
const STATUSES = ["running", "pending", "paused", "stopping", "finalizing", "cancelling", "done", "failed", "cancelled"];
const MOST_COMPARED = 6;

async function list(filter, pages) {
  const items = [];
  let cursor = null;
  for (let page = 0; page < pages; page++) {
    const answer = await api.jobs({ cursor, filter });
    items.push(...answer.items);
    cursor = answer.next_cursor;
    if (cursor === null) break;
  }
  return { items, hasMore: cursor !== null };
}

export function JobsPage({ parameters, connection, session }) {
  const [pages, setPages] = useState(1);
  const filter = [parameters.status && `status:${parameters.status}`, parameters.q && `name~${parameters.q}`].filter(Boolean).join(",");
  const [answer, error, again] = useAnswer(() => list(filter, pages), `${filter} ${pages}`, PAUSE_MS);
  useEffect(() => { document.title = "Jobs – fewbits"; }, []);
  useEffect(() => connection(error && !(error instanceof api.Refused) ? error : null), [error]);
  const compared = (parameters.vs ?? "").split(",").filter(Boolean);
  const compare = (id) => change({ vs: (compared.includes(id) ? compared.filter((other) => other !== id) : [...compared, id].slice(-MOST_COMPARED)).join(",") }, { replace: true });
  const isFiltered = Boolean(parameters.status || parameters.q);
  if (answer === null) return error ? html`<${Fault} error=${error} />` : html`<${Loading} />`;
  if (answer.items.length === 0 && !isFiltered) return html`<${First} session=${session} />`;
  return html`<section class="jobs"><div class="row"><h1>Jobs</h1>${allows(session, "submit") && html`<a class="button primary" href="#/new">New job</a>`}</div>
    <div class="row filters"><div class="actions">
      <label class="small">Status <select value=${parameters.status ?? ""} onChange=${(event) => change({ status: event.currentTarget.value }, { replace: true })}><option value="">all</option>${STATUSES.map((status) => html`<option key=${status} value=${status} selected=${status === parameters.status}>${status}</option>`)}</select></label>
      <${Input} type="search" aria-label="Filter by name" placeholder="part of a name" value=${parameters.q ?? ""} commit=${(value) => change({ q: value.replace(/[,~]/g, " ") }, { replace: true })} /></div>
      <span class="muted small">${compared.length >= 2 ? "" : "☐ compares the fronts of jobs"}</span></div>
    <${Fault} error=${error instanceof api.Refused ? error : null} />
    ${compared.length >= 2 && html`<${CompareJobs} jobs=${answer.items.filter((job) => compared.includes(job.id))} />`}
    <div class="scroll"><table class="rows"><thead><tr><th scope="col"><span class="visually-hidden">compare</span></th><th scope="col">Job</th><th scope="col">Status</th><th scope="col">Progress</th><th scope="col">Front</th><th scope="col" class="number">Best score</th><th scope="col" class="number">Metric</th><th scope="col" class="number">Cost</th><th scope="col">Created</th><th scope="col"><span class="visually-hidden">actions</span></th></tr></thead>
      <tbody>${answer.items.map((job) => html`<${Row} key=${job.id} job=${job} isCompared=${compared.includes(job.id)} compare=${compare} session=${session} again=${again} />`)}
      ${answer.items.length === 0 && html`<tr><td colspan="10" class="muted">No job meets the filter. <a href="#/">All jobs</a></td></tr>`}</tbody></table></div>
    ${answer.hasMore && html`<p><button type="button" onClick=${() => setPages(pages + 1)}>Older jobs</button></p>`}</section>`;
}

function Row({ job, isCompared, compare, session, again }) {
  const { best, progress } = job;
  const share = best && job.reference_cost ? best.cost / job.reference_cost : null;
  const name = job.name || job.model;
  const left = hasEnded(job) || progress.eta_s === null ? "" : `, ${format.duration(progress.eta_s)} left`;
  return html`<tr>
    <td class="mark"><button type="button" class="plain compare" aria-pressed=${String(isCompared)} aria-label=${`compare ${name}`} title="compare" onClick=${() => compare(job.id)}>${isCompared ? "☑" : "☐"}</button></td>
    <th scope="row"><a href=${build(["jobs", job.id])}>${name}</a><div class="muted small">${job.model} · ${job.data} · ${job.id}</div></th>
    <td><${Chip} status=${job.status} />${job.status === "failed" && html`<div class="muted small wrap">${job.reason}</div>`}</td>
    <td><${Progress} job=${job} /><div class="muted small">${progress.done} of ${progress.total}${left}</div>${budgetText(job) && html`<div class="muted small">${budgetText(job)}</div>`}</td>
    <td class="spark"><${Spark} job=${job} /></td>
    <td class="number" data-label="best score">${format.score(best?.score)}</td>
    <td class="number" data-label=${format.metricName(job)}>${format.metric(best?.metric, job)}<div class="muted small unlabelled">${format.metricName(job)}</div></td>
    <td class="number" data-label="cost">${best ? format.cost(best.cost, job.cost_unit) : "–"}${share !== null && html`<div class="muted small">${format.percent(share, 1)} of reference</div>`}</td>
    <td class="small" data-label="created"><${Moment} at=${job.created_at} />${job.submitted_by && html`<div class="muted">by ${job.submitted_by}</div>`}</td>
    <td class="menu-cell">${allows(session, "submit") && html`<${Menu} job=${job} name=${name} session=${session} again=${again} />`}</td></tr>`;
}

/** What limits a job beside its trials. */
function budgetText({ budget }) {
  const parts = [budget?.epochs && `${format.whole(budget.epochs)} epochs`, budget?.seconds && format.duration(budget.seconds)].filter(Boolean);
  return parts.length ? `at most ${parts.join(", ")}` : "";
}

/** All that can be done with a job; what its status allows is asked when the menu is opened. */
function Menu({ job, name, session, again }) {
  const [isOpen, setOpen] = useState(false);
  const [full, error] = useAnswer(() => api.job(job.id), isOpen ? `${job.id} ${job.version}` : null);
  return html`<details class="menu" open=${isOpen} onToggle=${(event) => setOpen(event.currentTarget.open)}><summary class="button" aria-label=${`actions on ${name}`} title="actions">⋯</summary>
    <div class="menu-items">${!isOpen ? null : full ? html`<${Verbs} job=${full} session=${session} done=${() => { setOpen(false); again(); }} />` : error ? html`<${Fault} error=${error} />` : html`<${Loading} />`}</div></details>`;
}

// --- fronts ----------------------------------------------------------------------------------------------------------

const fronts = new Map(); // "id version" -> items

function useFront(job) {
  const key = `${job.id} ${job.version}`;
  const [items, setItems] = useState(() => fronts.get(key) ?? null);
  useEffect(() => {
    if (!job.best) return;
    if (fronts.has(key)) {
      setItems(fronts.get(key));
      return;
    }
    api.front(job.id).then((answer) => {
      if (fronts.size > 300) fronts.clear();
      fronts.set(key, answer.items);
      setItems(answer.items);
    }, () => {});
  }, [key]);
  return items;
}

const [WIDTH, HEIGHT] = [110, 34];

/** The front of a job in a few pixels. */
function Spark({ job }) {
  const items = useFront(job);
  if (!items || items.length === 0) return html`<span class="muted small">–</span>`;
  const costs = items.map((item) => Math.log(item.cost));
  const metrics = items.map((item) => item.metric * (job.metric_direction === "min" ? -1 : 1));
  const place = (value, values, size) => (Math.max(...values) === Math.min(...values) ? size / 2 : 4 + ((value - Math.min(...values)) / (Math.max(...values) - Math.min(...values))) * (size - 8));
  const at = items.map((_, index) => [place(costs[index], costs, WIDTH), HEIGHT - place(metrics[index], metrics, HEIGHT)]);
  const path = at.map(([x, y], index) => (index === 0 ? `M${x},${y}` : `H${x}V${y}`)).join("");
  return html`<svg class="spark" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${`front of ${items.length} trials, from ${format.cost(items[0].cost, job.cost_unit)} to ${format.cost(items.at(-1).cost, job.cost_unit)}`}>
    <path d=${path} />${at.map(([x, y]) => html`<circle cx=${x} cy=${y} r="2.2" />`)}</svg>`;
}

/** The fronts of several jobs over each other. */
function CompareJobs({ jobs }) {
  const [Comparison, setComparison] = useState(null);
  useEffect(() => { import("../charts/fronts.js").then((module) => setComparison(() => module.Fronts)); }, []);
  const chosen = useMemo(() => jobs, [jobs.map((job) => `${job.id} ${job.version}`).join()]);
  return Comparison ? html`<${Comparison} jobs=${chosen} />` : html`<${Loading} />`;
}

/** What to do where there is no job yet. */
function First({ session }) {
  return html`<${Empty} title="No jobs yet"><p>A job searches the quantizer, bits and filters of every layer of a network.</p>
    ${allows(session, "submit") ? html`<p><a class="button primary" href="#/new">New job</a></p><p class="muted">or from the command line:</p>` : html`<p>This key reads only. With one that submits:</p>`}
    <pre>fewbits submit job.yaml --watch --url ${location.origin}</pre>
    <p class="muted">or in Python:</p><pre>import fewbits
client = fewbits.SearchClient("${location.origin}")
fewbits.search(model, x, y, service=client)</pre><//>`;
}
