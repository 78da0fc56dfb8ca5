// The charts of a job without its service: a report, or the output of a notebook's cell. What they show stands in the page; the
// sliders rank the trials anew, as in the dashboard.

import { html, render, useMemo, useState } from "./lib/html.js";
import * as format from "./lib/format.js";
import { Points, STATUSES, knee } from "./lib/points.js";
import { scoring } from "./lib/score.js";
import { BitMap } from "./charts/bits.js";
import { drawAll } from "./charts/chart.js";
import { Curves } from "./charts/curves.js";
import { EnergyByLayer, costliestText } from "./charts/energy.js";
import { Front } from "./charts/front.js";
import { History } from "./charts/history.js";
import { Sensitivity } from "./charts/sensitivity.js";
import { Facts, LayerTable } from "./parts/layers.js";
import { WhatIf, answer, overrides } from "./parts/whatif.js";

const ALL = new Set(STATUSES);
const isPriced = (trial) => trial.layers.some((layer) => layer.included_pj !== null);
const START = { x: "cost", log: true, zoom: null, mode: "zoom", isWhole: false, isEnergyLog: true };

/** `data`: {job, points, trials: those in full, choices?, analysis?, shows?}, as the API answers them. */
function Report({ data }) {
  const { job, trials } = data;
  const points = useMemo(() => Points.from(data.points), []);
  const [view, setView] = useState(START);
  const [sliders, setSliders] = useState({});
  const [selected, setSelected] = useState(job.best?.number ?? null);
  const [area, setArea] = useState(null);
  const [compared, setCompared] = useState([]);
  const goal = JSON.stringify(sliders);
  const numbers = useMemo(() => scoring(job, overrides(sliders)), [goal]);
  const isIn = useMemo(() => (area === null ? null : (row) => area.has(points.number[row])), [area]);
  const front = points.front(numbers.sign);
  const [best = -1] = points.best(numbers, 1);
  const budget = Number(sliders.budget) > 0 ? Number(sliders.budget) : null;
  const text = answer({ job, points, numbers, budget, isOwn: Object.keys(overrides(sliders)).length === 0 });
  const trial = trials.find(({ number }) => number === selected) ?? trials[0] ?? null;
  const others = trials.filter(({ number }) => compared.includes(number) && number !== trial?.number);
  const networks = [{ name: "reference", layers: job.reference.layers }, ...[trial, ...others].filter((one) => one !== null && isPriced(one)).map((one) => ({ name: `trial ${one.number}`, layers: one.layers }))];
  const order = useMemo(() => front.map((row) => points.number[row]), []);
  const set = ({ elog, whole, ...patch }) => setView({ ...view, ...patch, ...(elog === undefined ? {} : { isEnergyLog: elog === null }), ...(whole === undefined ? {} : { isWhole: whole === "1" }) });
  const pick = (number, isCompared) => {
    if (!isCompared) setSelected(number);
    else setCompared(compared.includes(number) ? compared.filter((other) => other !== number) : [...compared, number].slice(-4));
  };
  return html`
    ${text && html`<p class="card verdict" role="status">${text.budget && html`<strong>${text.budget}</strong> `}<span data-answer="goal">${text.goal}</span></p>`}
    <div class="pair wide-left">
      <${Front} job=${job} points=${points} numbers=${numbers} statuses=${ALL} view=${view} set=${set} pick=${pick} select=${(chosen) => setArea(chosen.length ? new Set(chosen) : null)} selected=${selected} compared=${compared} budget=${budget} kneeRow=${knee(points, front, numbers.sign)} best=${best} />
      <${WhatIf} job=${job} points=${points} numbers=${numbers} isIn=${isIn} budget=${budget} change=${(patch) => setSliders((before) => Object.fromEntries(Object.entries({ ...before, ...patch }).filter(([, value]) => value !== null)))} pick=${pick} selected=${selected} />
    </div>
    ${area && html`<p class="small">${area.size} trials of the marked area are ranked. <button type="button" class="plain link" onClick=${() => setArea(null)}>All trials</button></p>`}
    ${selected !== null && trial?.number !== selected && html`<p class="small muted">Layers of trial ${selected} are not in this file: it has those of the front and of the best scores.</p>`}
    <div class="pair">
      <${EnergyByLayer} networks=${networks} unitIsEnergy=${true} isLog=${view.isEnergyLog} set=${set} text=${trial && isPriced(trial) ? costliestText(trial, job.reference) : null} />
      ${data.choices ? html`<${BitMap} choices=${data.choices} order=${order} pick=${setSelected} selected=${selected} />` : null}
    </div>
    ${data.analysis ? html`<div class="pair"><${History} job=${job} points=${points} numbers=${numbers} analysis=${data.analysis} attempts=${null} scale="trials" scales=${["trials"]} set=${() => {}} />
      <${Sensitivity} job=${job} analysis=${data.analysis} layers=${trial && isPriced(trial) ? trial.layers : job.reference.layers} name=${trial && isPriced(trial) ? `trial ${trial.number}` : "the reference"} /></div>` : null}`;
}

/** One trial: what it costs layer by layer, its quantizers, how it learned. */
function Single({ data: { job, trials: [trial], choices } }) {
  const [isLog, setLog] = useState(true);
  const networks = [{ name: "reference", layers: job.reference.layers }, ...(isPriced(trial) ? [{ name: `trial ${trial.number}`, layers: trial.layers }] : [])];
  return html`<${Facts} job=${job} trial=${trial} score=${trial.score} />
    <div class="pair"><${EnergyByLayer} networks=${networks} unitIsEnergy=${true} isLog=${isLog} set=${({ elog }) => setLog(elog === null)} text=${isPriced(trial) ? costliestText(trial, job.reference) : null} />
      <div>${choices ? html`<${BitMap} choices=${choices} order=${[trial.number]} pick=${() => {}} selected=${null} />` : null}<${Curves} trials=${[trial]} job=${job} /></div></div>
    <section class="card"><${LayerTable} job=${job} trial=${trial} /></section>`;
}

const holder = document.getElementById("charts");
const data = JSON.parse(document.getElementById("data").textContent);
document.title = `${data.job.name || data.job.model}: ${format.metricName(data.job)} against cost`;
holder.replaceChildren();
drawAll();
render(html`<${data.shows === "trial" ? Single : Report} data=${data} />`, holder);
