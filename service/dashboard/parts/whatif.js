// What if the goal were another one? Sliders that rank every measured trial anew, in the browser; nothing is trained.

import { oncePerFrame, requestIdle } from "../lib/frames.js";
import { html, useEffect, useMemo, useRef } from "../lib/html.js";
import * as format from "../lib/format.js";
import { scoring } from "../lib/score.js";
import { Input, Term } from "./ui.js";
import { terms } from "./terms.js";

const SHOWN = 8;

/** name of the parameter -> field of the goal, label, range. Logarithmic ones move by factors. */
export const SLIDERS = [
  { name: "dp", field: "delta_p", label: (rate) => `${rate === 2 ? "a halving" : `÷ ${format.plain(rate)}`} forgives`, term: "forgives", low: 0, high: 30, step: 0.5, unit: " %" },
  { name: "dn", field: "delta_n", label: (rate) => `${rate === 2 ? "a doubling" : `× ${format.plain(rate)}`} demands`, term: "demands", low: 0, high: 30, step: 0.5, unit: " %" },
  { name: "rate", field: "rate", label: () => "counted per factor of", term: "factor", low: 1.25, high: 16, isLog: true },
  { name: "stress", field: "stress", label: () => "stress", term: "stress", low: 0.01, high: 4, isLog: true },
];

/** The numbers of the address that replace the goal's. */
export function overrides(parameters) {
  const replaced = {};
  for (const { name, field, low } of SLIDERS) {
    const value = Number(parameters[name]);
    if (parameters[name] !== undefined && Number.isFinite(value) && value >= Math.min(low, 0) && (field.startsWith("delta") || value > 0)) replaced[field] = value;
  }
  if (replaced.rate !== undefined && replaced.rate <= 1) delete replaced.rate;
  return replaced;
}

const STEPS = 400;
const toSlider = ({ isLog, low, high }, value) => (isLog ? Math.round((STEPS * Math.log(value / low)) / Math.log(high / low)) : value);
const fromSlider = ({ isLog, low, high }, place) => (isLog ? Number((low * (high / low) ** (place / STEPS)).toPrecision(3)) : Number(place));

function Slider({ slider, label, value, change, text, term }) {
  const range = slider.isLog ? { min: 0, max: STEPS, step: 1 } : { min: slider.low, max: slider.high, step: slider.step };
  return html`<div class="slider"><label for=${`slider-${slider.name}`}><${Term} text=${term}>${label}<//></label>
    <input id=${`slider-${slider.name}`} type="range" ...${range} value=${toSlider(slider, Math.min(Math.max(value, slider.low), slider.high))} aria-valuetext=${text}
      onInput=${(event) => change(fromSlider(slider, Number(event.currentTarget.value)))} /><output>${text}</output></div>`;
}

/** `change(patch)`: new parameters of the address. */
export function WhatIf({ job, points, numbers, isIn, budget, change: adjust, pick, selected }) {
  const latest = useRef(adjust);
  latest.current = adjust;
  const change = useMemo(() => oncePerFrame((patch) => latest.current(patch)), []);
  const goal = job.spec.goal;
  const own = useMemo(() => scoring(job), [job]);
  const words = terms(job, numbers, points);
  const costs = points.costs();
  const allowed = budget === null ? isIn : (row) => points.cost[row] <= budget && (isIn === null || isIn(row));
  const best = points.best(numbers, SHOWN, allowed);
  const isOwn = SLIDERS.every(({ field }) => goal[field] === ({ delta_p: numbers.deltaP, delta_n: numbers.deltaN, rate: numbers.rate, stress: numbers.stress })[field]);
  const values = { dp: numbers.deltaP, dn: numbers.deltaN, rate: numbers.rate, stress: numbers.stress };
  const isMoved = !isOwn || budget !== null || isIn !== null;
  const ranks = isMoved ? points.ranks(own) : null;
  useEffect(() => { requestIdle(() => points.ranks(own)); }, [points, points.revision, own]); // ready when a slider moves
  const scores = points.scores(numbers);
  const budgetSlider = costs && { name: "budget", isLog: true, low: costs[0] * 0.95, high: Math.max(costs[1], job.reference_cost) * 1.05, label: job.cost_unit === "energy_pj" ? "energy budget" : "cost budget" };
  return html`<section class="card what-if" id="what-if"><div class="row"><h2>What if… <span class="muted small hint">nothing is trained, ranks change at once</span></h2>
      ${(!isOwn || budget !== null) && html`<button type="button" onClick=${() => change({ dp: null, dn: null, rate: null, stress: null, budget: null })}>The job's goal</button>`}</div>
    ${SLIDERS.filter(({ field }) => field in goal).map((slider) => html`<${Slider} key=${slider.name} slider=${slider} label=${slider.label(numbers.rate)} value=${values[slider.name]} term=${words[slider.term]}
      text=${`${format.plain(values[slider.name])}${slider.unit ?? ""}`} change=${(value) => change({ [slider.name]: value === goal[slider.field] ? null : value })} />`)}
    ${budgetSlider && html`<div class="slider"><label for="slider-budget">${budgetSlider.label}</label>
      <input id="slider-budget" type="range" min="0" max=${STEPS} step="1" value=${budget === null ? STEPS : toSlider(budgetSlider, Math.min(Math.max(budget, budgetSlider.low), budgetSlider.high))}
        aria-valuetext=${budget === null ? "none" : format.cost(budget, job.cost_unit)} onInput=${(event) => change({ budget: Number(event.currentTarget.value) >= STEPS ? null : fromSlider(budgetSlider, Number(event.currentTarget.value)) })} />
      <${Input} class="budget-text" aria-label="budget" placeholder=${job.cost_unit === "energy_pj" ? "1 nJ" : "no limit"} value=${budget === null ? "" : format.cost(budget, job.cost_unit)}
        commit=${(value) => change({ budget: readCost(value, job.cost_unit) })} /></div>`}
    <div class="scroll"><table class="rows small ranking"><thead><tr>${["rank", "was", "trial"].map((head) => html`<th scope="col" class=${head === "was" ? "number wide-only" : "number"}>${head}</th>`)}
      <th scope="col" class="number"><${Term} text=${words.score}>score<//></th><th scope="col" class="number">${format.metricName(job)}</th><th scope="col" class="number">${job.cost_unit === "energy_pj" ? "energy" : "cost"}</th><th scope="col"></th></tr></thead>
      <tbody>${best.map((row, index) => html`<tr key=${points.number[row]} class=${points.number[row] === selected ? "selected" : null}>
        <td class="number">${index + 1}</td><td class="number muted wide-only">${isMoved ? moved(ranks[row], index + 1) : "="}</td>
        <th scope="row" class="number"><button type="button" class="plain link" onClick=${() => pick(points.number[row], false)}>${points.number[row]}</button></th>
        <td class="number">${format.score(scores[row])}</td><td class="number">${format.metric(points.metric[row], job)}</td>
        <td class="number">${format.cost(points.cost[row], job.cost_unit)}</td><td class="on-front">${points.isOnFront(row, numbers.sign) && html`<span role="img" aria-label="on the front" title="on the front">◆</span>`}</td></tr>`)}
        ${best.length === 0 && html`<tr><td colspan="7" class="muted">${budget === null ? "No trial is measured yet." : `No measured trial costs less than ${format.cost(budget, job.cost_unit)}.`}</td></tr>`}</tbody></table></div>
  </section>`;
}

const moved = (before, now) => (before === now ? "=" : `${before}`);

function readCost(text, unit) {
  if (unit === "energy_pj") return format.readEnergy(text);
  const value = Number(text.replace(/[^\d.e]/g, ""));
  return value > 0 ? value : null;
}

/** Which trial to take: within the budget, and under the goal; in a sentence. */
export function answer({ job, points, numbers, budget, isOwn }) {
  const [top] = points.best(numbers, 1);
  if (top === undefined) return null;
  const describe = (row) => `trial ${points.number[row]} — ${format.metric(points.metric[row], job)} at ${format.cost(points.cost[row], job.cost_unit)}`;
  const goal = `${isOwn ? "Under the job's goal" : "Under your goal"} (${format.plain(numbers.deltaP)} % forgiven for each ${numbers.rate === 2 ? "halving" : `division by ${format.plain(numbers.rate)}`}): ${describe(top)}.`;
  if (budget === null) return { goal, budget: null };
  let most = -1;
  for (const row of points.front(numbers.sign)) if (points.cost[row] <= budget) most = row;
  const limit = format.cost(budget, job.cost_unit);
  return { goal, budget: most < 0 ? `Under ${limit}: no measured trial is that cheap.` : `Under ${limit}: take ${describe(most)}.` };
}
