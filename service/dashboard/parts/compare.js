// Up to eight trials side by side: only what differs; and where the energy between two of them goes.

import { html, useEffect, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { Chart } from "../charts/chart.js";
import { Curves } from "../charts/curves.js";
import { axis, axisOption } from "../lib/axis.js";
import { Fault, Loading } from "./ui.js";

export const MOST = 8;

export function Compare({ job, points, numbers, compared, compare, pick }) {
  const [state, setState] = useState({ trials: [], error: null, key: "" });
  const key = compared.join();
  useEffect(() => {
    let isCurrent = true;
    Promise.all(compared.map((number) => api.trial(job.id, number))).then(
      (trials) => isCurrent && setState({ trials, error: null, key }),
      (error) => isCurrent && setState({ trials: [], error, key }),
    );
    return () => { isCurrent = false; };
  }, [job.id, key]);
  if (compared.length < 2) {
    return html`<section class="card empty"><h2>Compare trials</h2><p>Choose two to ${MOST}: with ☐ in the table of trials, with shift and a click in the front, or with “Compare” in a trial's panel.</p>
      ${points.front(numbers.sign).length >= 2 && html`<p><button type="button" onClick=${() => points.front(numbers.sign).slice(0, 3).forEach((row) => compare(points.number[row], true))}>Compare the cheapest of the front</button></p>`}</section>`;
  }
  const { trials, error } = state;
  if (error) return html`<${Fault} error=${error} />`;
  if (state.key !== key) return html`<${Loading} />`;
  const rows = differences(job, trials, points, numbers);
  return html`<section class="card" id="compare"><h2>Only what differs <span class="muted small hint">${rows.same} ${rows.same === 1 ? "choice is" : "choices are"} the same in all</span></h2>
      <div class="scroll" tabindex="0" role="region" aria-label="comparison"><table class="rows small comparison"><thead><tr><th scope="col"></th>${trials.map((trial) => html`<th scope="col" key=${trial.number}><button type="button" class="plain link" onClick=${() => pick(trial.number, false)}>trial ${trial.number}</button> <button type="button" class="plain" aria-label=${`remove trial ${trial.number}`} onClick=${() => compare(trial.number)}>×</button></th>`)}</tr></thead>
        <tbody data-answer="differ">${rows.list.map(({ name, cells }) => html`<tr key=${name}><th scope="row">${name}</th>${cells.map((cell, index) => html`<td key=${index}>${cell}</td>`)}</tr>`)}</tbody></table></div></section>
    ${job.cost_unit === "energy_pj" && trials.every((trial) => trial.layers.some((layer) => layer.included_pj !== null)) && html`<${Waterfall} trials=${trials} />`}
    <${Curves} trials=${trials} job=${job} id="learning-curves" title="Learning curves" />`;
}

/** Rows of the comparison: numbers always, choices only where they differ. */
export function differences(job, trials, points, numbers) {
  const scores = points.scores(numbers);
  const of = (trial) => points.row(trial.number);
  const list = [
    { name: "score", cells: trials.map((trial) => (trial.status === "done" ? format.score(scores[of(trial)]) : trial.status)) },
    { name: format.metricName(job), cells: trials.map((trial) => format.metric(trial.metric, job)) },
    { name: "energy", cells: trials.map((trial) => format.energy(trial.energy_pj)) },
    { name: "bits", cells: trials.map((trial) => format.whole(trial.bits)) },
  ];
  const names = [...new Set(trials.flatMap((trial) => Object.keys(trial.choices)))];
  const differing = names.filter((name) => new Set(trials.map((trial) => JSON.stringify(trial.choices[name]))).size > 1);
  for (const name of differing) list.push({ name, cells: trials.map((trial) => String(trial.choices[name] ?? "–")) });
  return { list, same: names.length - differing.length };
}

/**
 * From the energy of one trial to that of another: `steps`, the layers' changes in picojoules, the largest first, and `bars`, where
 * each begins and ends.
 */
export function waterfall(from, to) {
  const names = [...new Set([...from.layers, ...to.layers].map((layer) => layer.name))];
  const energy = (trial, name) => trial.layers.find((layer) => layer.name === name)?.included_pj ?? 0;
  const steps = names.map((name) => ({ name, change: energy(to, name) - energy(from, name) })).filter((step) => Math.abs(step.change) > 1e-6).sort((a, b) => Math.abs(b.change) - Math.abs(a.change));
  const others = steps.splice(MOST_STEPS).reduce((sum, step) => sum + step.change, 0);
  if (others !== 0) steps.push({ name: "other layers", change: others });
  const start = from.layers.reduce((sum, layer) => sum + (layer.included_pj ?? 0), 0);
  let reached = start;
  const bars = [{ name: `trial ${from.number}`, low: 0, high: start, kind: "total" }];
  for (const { name, change } of steps) {
    bars.push({ name, low: Math.min(reached, reached + change), high: Math.max(reached, reached + change), kind: change > 0 ? "more" : "less", change });
    reached += change;
  }
  bars.push({ name: `trial ${to.number}`, low: 0, high: reached, kind: "total" });
  return { start, reached, steps, bars };
}

const MOST_STEPS = 20;

/** Layer by layer, what one trial spends more or less than another. */
function Waterfall({ trials }) {
  const [numbers, setNumbers] = useState([null, null]);
  const [from, to] = [0, 1].map((place) => trials.find((trial) => trial.number === numbers[place]) ?? trials[place]);
  const side = (place, name) => html`<label class="small">${name} <select value=${String([from, to][place].number)} onChange=${(event) => setNumbers(numbers.map((number, index) => (index === place ? Number(event.currentTarget.value) : [from, to][index].number)))}>${trials.map((trial) => html`<option key=${trial.number} value=${String(trial.number)} selected=${trial === [from, to][place]}>trial ${trial.number}</option>`)}</select></label>`;
  const { start, reached, steps, bars } = waterfall(from, to);
  const option = (colours) => {
    const made = axis([0, ...bars.map((bar) => bar.high)], { label: format.tidyEnergy, floor: 0, count: 5 });
    const colour = { total: colours.reference, more: colours.front, less: colours.best };
    return {
      grid: { left: 8, right: 80, top: 8, bottom: 30, containLabel: true },
      xAxis: axisOption(made, colours),
      yAxis: { type: "category", inverse: true, data: bars.map((bar) => bar.name), axisTick: { show: false }, axisLabel: { color: colours.text, width: 140, overflow: "truncate" }, axisLine: { onZero: false, lineStyle: { color: colours.muted } } },
      series: [
        { type: "bar", stack: "w", silent: true, itemStyle: { color: "transparent" }, data: bars.map((bar) => bar.low) },
        { type: "bar", stack: "w", silent: true, barWidth: 14, data: bars.map((bar) => ({ value: bar.high - bar.low, itemStyle: { color: colour[bar.kind] } })), label: { show: true, position: "right", color: colours.text, fontSize: 11, formatter: ({ dataIndex }) => (bars[dataIndex].kind === "total" ? format.energy(bars[dataIndex].high) : `${bars[dataIndex].change > 0 ? "+" : "−"}${format.energy(Math.abs(bars[dataIndex].change))}`) } },
      ],
    };
  };
  const text = `From ${format.energy(start)} (trial ${from.number}) to ${format.energy(reached)} (trial ${to.number}): ${steps.slice(0, 3).map((step) => `${step.name} ${step.change > 0 ? "+" : "−"}${format.energy(Math.abs(step.change))}`).join(", ")}${steps.length > 3 ? ", and others" : ""}.`;
  return html`<${Chart} id="waterfall" title=${`Energy from trial ${from.number} to trial ${to.number}`} height=${60 + bars.length * 26} option=${option} label=${text} controls=${trials.length > 2 ? html`${side(0, "from")} ${side(1, "to")}` : null}
    table=${() => ({ columns: ["layer", "change (pJ)"], rows: steps.map((step) => [step.name, step.change]) })}><p class="small answer">${text}</p><//>`;
}
