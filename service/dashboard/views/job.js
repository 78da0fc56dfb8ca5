// One job: one selection that all views share, kept in the address.

import { html, useCallback, useEffect, useMemo, useState } from "../lib/html.js";
import * as format from "../lib/format.js";
import { JobFeed, hasEnded } from "../lib/job_feed.js";
import { knee as kneeOf } from "../lib/points.js";
import { build, change as changeRoute, current as route } from "../lib/route.js";
import { scoring } from "../lib/score.js";
import { useStore } from "../lib/store.js";
import { MOST as MOST_COMPARED } from "../parts/compare.js";
import { TrialPanel, useTrial } from "../parts/trial.js";
import { Chip, Empty, Loading, Progress, Prose, Term, notify } from "../parts/ui.js";
import { Verbs } from "../parts/verbs.js";
import { overrides } from "../parts/whatif.js";
import { terms } from "../parts/terms.js";
import { Tabs } from "./job_tabs.js";

const ALL = ["done", "running", "queued", "pruned", "infeasible", "failed", "cancelled"];

/** A change of the address that "back" does not undo step by step. */
const adjust = (patch) => changeRoute(patch, { replace: true });

/** What the address says about the view. */
export function viewOf(parameters) {
  const zoom = parameters.zoom?.split(":").map(Number);
  const isRange = zoom?.length === 4 && zoom.every(Number.isFinite) && zoom[0] < zoom[1] && zoom[2] < zoom[3];
  const number = Number(parameters.trial);
  const hide = new Set((parameters.hide ?? "").split(",").filter(Boolean));
  return {
    tab: parameters.tab ?? "overview",
    trial: parameters.trial !== undefined && Number.isInteger(number) && number >= 0 ? number : null,
    compared: [...new Set((parameters.vs ?? "").split(",").filter((text) => /^\d+$/.test(text)).map(Number))].slice(0, MOST_COMPARED),
    x: parameters.x ?? "cost",
    log: parameters.log !== "0",
    zoom: isRange ? { x: zoom.slice(0, 2), y: zoom.slice(2) } : null,
    isWhole: parameters.whole === "1",
    budget: Number(parameters.budget) > 0 ? Number(parameters.budget) : null,
    by: ["trials", "time", "compute"].includes(parameters.by) ? parameters.by : "trials",
    isEnergyLog: parameters.elog !== "0",
    statuses: new Set(ALL.filter((status) => !hide.has(status))),
    numbers: overrides(parameters),
  };
}

export function JobPage({ jobId, parameters, connection, session }) {
  const feed = useMemo(() => new JobFeed(jobId, connection), [jobId]);
  useEffect(() => () => feed.close(), [feed]);
  const state = useStore(feed.store);
  const { job, error } = state;
  useEffect(() => {
    if (job) document.title = `${job.status === "running" ? `${Math.round(100 * job.progress.fraction)} % ` : ""}${job.name || job.model} – fewbits`;
  }, [job]);
  if (error !== null) return html`<${Empty} title=${error.problem.title}><p>${error.message}</p><p><a href="#/">All jobs</a></p><//>`;
  if (job === null) return html`<${Loading} />`;
  return html`<${Loaded} feed=${feed} state=${state} parameters=${parameters} session=${session} />`;
}

function Loaded({ feed, state, parameters, session }) {
  const { job, points, touched } = state;
  const view = useMemo(() => viewOf(parameters), [parameters]);
  const statuses = useSame(view.statuses);
  const compared = useMemo(() => view.compared, [view.compared.join()]);
  const numbers = useMemo(() => scoring(job, view.numbers), [job.spec.goal, job.reference_cost, JSON.stringify(view.numbers)]);
  const [area, setArea] = useState(null); // numbers of the trials in a marked area
  const isIn = useMemo(() => (area === null ? null : (row) => area.has(points.number[row])), [area, points]);
  const [mode, setMode] = useState("zoom");
  const [best = -1] = points.best(numbers, 1);
  const front = points.front(numbers.sign);
  const kneeRow = points.once("knee", () => kneeOf(points, front, numbers.sign));
  const selected = view.trial ?? job.best?.number ?? (points.length ? points.number[0] : null);
  const { trial, error } = useTrial(job.id, selected, `${touched.get(selected) ?? 0} ${job.best?.number === selected} ${hasEnded(job)}`);
  const compare = useCallback((number, isAdded) => {
    const present = viewOf(current()).compared;
    const next = present.includes(number) && !isAdded ? present.filter((other) => other !== number) : [...new Set([...present, number])];
    if (next.length > MOST_COMPARED) notify(`At most ${MOST_COMPARED} trials are compared.`);
    else adjust({ vs: next.join(",") });
  }, []);
  const show = useCallback((number) => changeRoute({ trial: String(number) }), []);
  const pick = useCallback((number, isCompared) => {
    if (isCompared) compare(number);
    else changeRoute({ trial: String(number) });
  }, [compare]);
  const setStatuses = (next) => adjust({ hide: ALL.filter((status) => !next.has(status)).join(",") });
  const done = (verb, changed) => {
    if (verb === "delete") location.hash = "#/";
    else feed.replace(changed);
  };
  const shared = {
    job, points, numbers, view: { ...view, statuses, compared, mode }, statuses, setStatuses, isIn, selected, best, kneeRow, front, compare, pick, show, session, trial, adjust, live: state.live, revision: state.revision,
    set: (patch) => { if ("mode" in patch) setMode(patch.mode); else adjust(addressOf(patch)); },
    select: (chosen) => setArea(chosen === null ? null : new Set(chosen)),
    area,
  };
  return html`<div class="job">
    <${Head} job=${job} session=${session} done=${done} live=${state.live} words=${terms(job, numbers, points)} />
    <div class="columns"><div class="main-column"><${Tabs} ...${shared} /></div>
      <${TrialPanel} job=${job} number=${selected} trial=${trial} error=${error} session=${session} isCompared=${compared.includes(selected)} compare=${compare} badges=${badgesOf(job, points, numbers, selected, kneeRow)}
        score=${selected !== null && points.row(selected) >= 0 ? points.scores(numbers)[points.row(selected)] : null} stamp=${touched.get(selected) ?? 0} /></div>
    ${selected !== null && html`<${Dock} job=${job} points=${points} number=${selected} />`}
  </div>`;
}

const current = () => route().parameters;

/** What is special about a trial, in words that are the same as long as nothing changes. */
function badgesOf(job, points, numbers, number, kneeRow) {
  const row = number === null ? -1 : points.row(number);
  return [number !== null && number === job.best?.number && "best score", row >= 0 && points.isOnFront(row, numbers.sign) && "on the front", row >= 0 && row === kneeRow && "knee"].filter(Boolean).join(",");
}

/** A set, the same one as long as its members are. */
function useSame(set) {
  return useMemo(() => set, [[...set].join()]);
}

/** What a chart changes, as parameters of the address. */
function addressOf({ x, log, zoom, ...rest }) {
  const patch = { ...rest };
  if (x !== undefined) patch.x = x === "cost" ? null : x;
  if (log !== undefined) patch.log = log ? null : "0";
  if (zoom !== undefined) patch.zoom = zoom === null ? null : [...zoom.x, ...zoom.y].map((value) => Number(value.toPrecision(6))).join(":");
  return patch;
}

/** Where the window is too narrow for a panel beside the charts: which trial is selected, and the way to it. */
function Dock({ job, points, number }) {
  const row = points.row(number);
  const text = row >= 0 && points.isMeasured(row) ? `${format.metric(points.metric[row], job)} at ${format.cost(points.cost[row], job.cost_unit)}` : row >= 0 ? points.statusOf(row) : "";
  const show = () => {
    const panel = document.getElementById("trial");
    panel.scrollIntoView({ block: "start" });
    panel.querySelector("button")?.focus({ preventScroll: true });
  };
  return html`<div class="dock" role="region" aria-label="selected trial, in short"><span><strong>Trial ${number}</strong> ${text}</span><button type="button" onClick=${show}>Details ↓</button></div>`;
}

const LIVE = { live: "live", polling: "asks every 1.5 s", over: null };

function Head({ job, session, done, live, words }) {
  const { progress } = job;
  const facts = [
    `${progress.done} of ${progress.total} trials`,
    job.trials.running ? `${job.trials.running} running` : null,
    progress.elapsed_s === null ? null : `${format.duration(progress.elapsed_s)} elapsed`,
    progress.eta_s === null ? null : `about ${format.duration(progress.eta_s)} left`,
    job.priority ? `priority ${job.priority}` : null,
  ].filter(Boolean);
  return html`<header class="job-head">
    <div class="row"><div class="title"><h1>${job.name || job.model} <${Chip} status=${job.status} /></h1>
        <p class="muted small">${job.model} · ${job.data} · ${format.size(job.space_size)} assignments · <code>${job.id}</code></p></div>
      <div class="actions"><${Verbs} job=${job} session=${session} done=${done} /></div></div>
    <${Progress} job=${job} />
    <p class="small">${facts.join(" · ")}${!hasEnded(job) && live !== null && LIVE[live] ? html` <span class=${`live ${live}`}>${LIVE[live]}</span>` : ""}</p>
    ${job.waiting && html`<p class="fault" role="alert">Waiting: <${Prose} text=${job.waiting} /></p>`}
    ${job.reason && html`<p class=${job.status === "failed" ? "fault" : "muted small"}><${Prose} text=${job.reason} /></p>`}
    <${Tiles} job=${job} words=${words} />
  </header>`;
}

function Tiles({ job, words }) {
  const share = (value) => (value === null || value === undefined || !job.reference_cost ? "" : `${format.percent(value / job.reference_cost, 1)} of reference`);
  const isEnergy = job.cost_unit === "energy_pj";
  const tile = (label, text, value, note) => html`<div class="tile"><span class="muted small">${text ? html`<${Term} text=${text}>${label}<//>` : label}</span><strong>${value}</strong><span class="muted small">${note}</span></div>`;
  return html`<div class="tiles">
    ${tile("Best score", words.score, format.score(job.best?.score), job.best ? html`<a href=${build(["jobs", job.id], { ...current(), trial: job.best.number })}>trial ${job.best.number}</a>: ${format.metric(job.best.metric, job)}, ${format.cost(job.best.cost, job.cost_unit)}` : "none is measured yet")}
    ${tile(`Best ${format.metricName(job)}`, null, format.metric(job.best_metric, job), "on the validation data")}
    ${tile(isEnergy ? "Least energy" : "Least cost", null, job.least_cost === null ? "–" : format.cost(job.least_cost, job.cost_unit), share(job.least_cost))}
    ${tile("Reference", words.reference, format.cost(job.reference_cost, job.cost_unit), job.spec.goal.kind === "energy" ? `the model in ${job.spec.goal.reference_internal}, sums in ${job.spec.goal.reference_accumulator}` : "the model as given")}
  </div>`;
}
