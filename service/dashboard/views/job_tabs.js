// The tabs of a job: overview, trials, comparison, what the search learned, workers and events, definition.

import { html, memo, useEffect, useMemo, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { hasEnded } from "../lib/job_feed.js";
import { BitMap } from "../charts/bits.js";
import { EnergyByLayer, costliestText } from "../charts/energy.js";
import { Front } from "../charts/front.js";
import { History } from "../charts/history.js";
import { Parallel } from "../charts/parallel.js";
import { Importance, Sensitivity } from "../charts/sensitivity.js";
import { Timeline } from "../charts/timeline.js";
import { Compare } from "../parts/compare.js";
import { terms } from "../parts/terms.js";
import { Failures, TrialTable } from "../parts/trials.js";
import { Loading, Moment, Term } from "../parts/ui.js";
import { WhatIf, answer } from "../parts/whatif.js";

const THROTTLE_MS = 8000;
const MOST_ROWS = 24;

/** What is computed from all trials: asked at once, then when trials have ended, but not too often. */
function useThrottled(question, key, isOver) {
  const [state, setState] = useState({ answer: null, askedAt: 0, key: null });
  useEffect(() => {
    if (key === null || key === state.key) return undefined;
    const wait = isOver ? 0 : Math.max(0, state.askedAt + THROTTLE_MS - Date.now());
    let isCurrent = true;
    const timer = setTimeout(() => {
      question().then((answered) => isCurrent && setState({ answer: answered, askedAt: Date.now(), key }), () => isCurrent && setState((before) => ({ ...before, key, askedAt: Date.now() })));
    }, wait);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [key, isOver]);
  return state.answer;
}

export function Tabs(shared) {
  const { job, points, view, numbers, adjust } = shared;
  const ended = points.once("counts", () => points.counts());
  const version = `${job.id} ${ended.done + ended.pruned + ended.infeasible + ended.failed} ${hasEnded(job)}`;
  const needsAnalysis = ["overview", "learned"].includes(view.tab);
  const analysis = useThrottled(() => api.analysis(job.id), needsAnalysis && ended.done > 0 ? version : null, hasEnded(job));
  const needsAttempts = view.tab === "workers" || (view.tab === "overview" && view.by === "compute");
  const attempts = useThrottled(() => api.attempts(job.id), needsAttempts ? version : null, hasEnded(job));
  const tabs = {
    overview: "Overview",
    trials: `Trials (${format.whole(points.length)})`,
    compare: view.compared.length ? `Compare (${view.compared.join(", ")})` : "Compare",
    learned: "What it learned",
    workers: "Workers & events",
    definition: "Definition",
  };
  const tab = view.tab in tabs ? view.tab : "overview";
  const keys = (event) => {
    const names = Object.keys(tabs);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = names[(names.indexOf(tab) + step + names.length) % names.length];
    adjust({ tab: next === "overview" ? null : next });
    event.currentTarget.querySelector(`[data-tab=${next}]`)?.focus();
  };
  const Page = PAGES[tab];
  return html`<div class="tabs" role="tablist" aria-label="views of the job" onKeyDown=${keys}>${Object.entries(tabs).map(([name, title]) => html`<button key=${name} type="button" role="tab" id=${`tab-${name}`} data-tab=${name} aria-selected=${String(name === tab)} aria-controls="tab-panel" tabindex=${name === tab ? 0 : -1}
      onClick=${() => adjust({ tab: name === "overview" ? null : name })}>${title}</button>`)}</div>
    <div role="tabpanel" id="tab-panel" aria-labelledby=${`tab-${tab}`}><${Page} ...${shared} analysis=${analysis} attempts=${attempts} version=${version} numbers=${numbers} /></div>`;
}

// --- overview --------------------------------------------------------------------------------------------------------

function Overview(shared) {
  const { job, points, numbers, statuses, view, set, select, pick, show, selected, best, kneeRow, front, isIn, area, adjust, trial, analysis, attempts, version } = shared;
  const isOwn = Object.keys(view.numbers).length === 0;
  const text = answer({ job, points, numbers, budget: view.budget, isOwn });
  const words = terms(job, numbers, points, analysis);
  return html`
    ${text && html`<p class="card verdict" role="status">${text.budget && html`<strong data-answer="budget">${text.budget}</strong> `}<span data-answer="goal">${text.goal}</span></p>`}
    <div class="pair wide-left">
      <${Front} job=${job} points=${points} numbers=${numbers} statuses=${statuses} view=${view} set=${set} select=${select} pick=${pick} selected=${selected} compared=${view.compared} budget=${view.budget} kneeRow=${kneeRow} best=${best} />
      <${WhatIf} job=${job} points=${points} numbers=${numbers} isIn=${isIn} budget=${view.budget} change=${adjust} pick=${pick} selected=${selected} />
    </div>
    ${area && html`<p class="small">${area.size} trials of the marked area are ranked, listed and mapped. <button type="button" class="plain link" onClick=${() => select(null)}>All trials</button></p>`}
    <p class="glossary small muted">${[["front", "front"], ["knee", "knee"], ["score factor", "factor"], ["hypervolume", "hypervolume"]].map(([name, term]) => html`<${Term} key=${term} text=${words[term]}>${name}<//> `)}</p>
    <div class="pair">
      <${Energy} job=${job} trial=${trial} compared=${view.compared} isLog=${view.isEnergyLog} adjust=${adjust} />
      <${Bits} job=${job} points=${points} numbers=${numbers} front=${front} isIn=${isIn} compared=${view.compared} selected=${selected} show=${show} version=${version} />
    </div>
    <${History} job=${job} points=${points} numbers=${numbers} analysis=${analysis} attempts=${attempts} scale=${view.by} set=${(patch) => adjust({ by: patch.by === "trials" ? null : patch.by })} />`;
}

const Energy = memo(({ job, trial, compared, isLog, adjust }) => {
  const [others, setOthers] = useState([]);
  useEffect(() => {
    let isCurrent = true;
    Promise.all(compared.slice(0, 4).map((number) => api.trial(job.id, number))).then((trials) => isCurrent && setOthers(trials), () => isCurrent && setOthers([]));
    return () => { isCurrent = false; };
  }, [job.id, compared]);
  const networks = [{ name: "reference", layers: job.reference.layers }];
  for (const shown of [trial, ...others]) {
    if (shown && shown.layers.some((layer) => layer.included_pj !== null) && !networks.some(({ name }) => name === `trial ${shown.number}`)) networks.push({ name: `trial ${shown.number}`, layers: shown.layers });
  }
  const text = trial && trial.layers.some((layer) => layer.included_pj !== null) ? costliestText(trial, job.reference) : null;
  return html`<${EnergyByLayer} networks=${networks} unitIsEnergy=${networks.some(({ layers }) => layers.length > 0)} isLog=${isLog} set=${adjust} text=${text} />`;
});

function Bits({ job, points, numbers, front, isIn, compared, selected, show, version }) {
  const order = useMemo(() => {
    const rows = new Set((isIn === null ? front : points.byCost().filter(isIn)).slice(0, MOST_ROWS));
    if (rows.size < 8 && isIn === null) for (const row of points.best(numbers, 12)) rows.add(row);
    for (const number of [...compared, selected]) if (number !== null && points.row(number) >= 0 && points.isDone(points.row(number))) rows.add(points.row(number));
    return [...rows].sort((a, b) => points.cost[a] - points.cost[b]).map((row) => points.number[row]);
  }, [points, points.revision, front.join(), isIn, compared.join(), selected]);
  const choices = useThrottled(() => api.choices(job.id, order), order.length ? `${order.join()}` : null, true);
  void version;
  return html`<${BitMap} choices=${choices} order=${order} pick=${show} selected=${selected} />`;
}

// --- the other tabs --------------------------------------------------------------------------------------------------

function Trials({ job, points, numbers, statuses, setStatuses, isIn, select, selected, view, pick, compare }) {
  return html`<${TrialTable} job=${job} points=${points} numbers=${numbers} statuses=${statuses} setStatuses=${setStatuses} isIn=${isIn} clearArea=${() => select(null)} selected=${selected} compared=${view.compared} pick=${pick} compare=${compare} />
    <${Failures} points=${points} pick=${pick} />`;
}

const Comparison = ({ job, points, numbers, view, compare, pick }) => html`<${Compare} job=${job} points=${points} numbers=${numbers} compared=${view.compared} compare=${compare} pick=${pick} />`;

function Learned({ job, points, numbers, analysis, trial, select, version }) {
  const choices = useThrottled(() => api.choices(job.id), version, hasEnded(job));
  const priced = trial?.layers.some((layer) => layer.included_pj !== null) ? { layers: trial.layers, name: `trial ${trial.number}` } : { layers: job.reference.layers, name: "the reference" };
  return html`<div class="pair"><${Sensitivity} job=${job} analysis=${analysis} layers=${priced.layers} name=${priced.name} /><${Importance} job=${job} analysis=${analysis} /></div>
    <${Parallel} job=${job} points=${points} numbers=${numbers} choices=${choices} analysis=${analysis} select=${select} />`;
}

function Workers({ job, points, attempts, pick, version }) {
  const [list, setList] = useState(null);
  useEffect(() => {
    let isCurrent = true;
    api.eventList(job.id, Math.max(0, job.version - 400)).then((answered) => isCurrent && setList(answered.items), () => {});
    return () => { isCurrent = false; };
  }, [job.id, version]);
  return html`<${Timeline} job=${job} points=${points} attempts=${attempts} pick=${(number) => pick(number, false)} />
    <${Failures} points=${points} pick=${pick} />
    <section class="card" id="events"><h2>Events</h2>
      ${list === null ? html`<p class="muted">Loading…</p>` : html`<div class="scroll tall" tabindex="0" role="region" aria-label="events"><table class="rows small"><thead><tr><th scope="col">When</th><th scope="col">What</th><th scope="col">Trial</th><th scope="col">Details</th></tr></thead>
        <tbody>${[...list].reverse().filter((event) => event.type !== "trial.epoch").map((event) => html`<tr key=${event.id}><td><${Moment} at=${event.created_at} isExact=${true} /></td><td>${event.type}</td><td>${event.trial ?? ""}</td><td class="wrap muted">${detailsOf(event)}</td></tr>`)}</tbody></table></div>`}</section>`;
}

const detailsOf = ({ data }) => Object.entries(data).filter(([, value]) => value !== null && typeof value !== "object").map(([name, value]) => `${name} ${typeof value === "number" ? format.plain(value) : value}`).join(", ");

/** Its module brings the library that writes YAML, which no other tab needs. */
function Defined({ job, points, numbers, pick, select }) {
  const [module, setModule] = useState(null);
  useEffect(() => { import("../parts/definition.js").then(setModule); }, []);
  return module === null ? html`<${Loading} />` : html`<${module.Definition} job=${job} points=${points} numbers=${numbers} pick=${pick} select=${select} />`;
}

const PAGES = { overview: Overview, trials: Trials, compare: Comparison, learned: Learned, workers: Workers, definition: Defined };
