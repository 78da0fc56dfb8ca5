// Is the search still improving? Best score and hypervolume, by trial, by time or by compute.

import { html, useMemo } from "../lib/html.js";
import { axis, axisOption } from "../lib/axis.js";
import { usualRange } from "../lib/scale.js";
import * as format from "../lib/format.js";
import { Chart } from "./chart.js";

const SCALES = { trials: "trials finished", time: "time since creation", compute: "compute of workers" };
const MOST_DOTS = 2000;

/** The seconds of compute that attempts had used when each trial ended, by number. */
function computeAt(attempts) {
  const ends = attempts.trial.map((trial, index) => ({ trial, end: attempts.ended_s[index], spent: attempts.ended_s[index] - attempts.started_s[index] })).filter(({ end }) => end !== null);
  ends.sort((a, b) => a.end - b.end);
  let sum = 0;
  return new Map(ends.map(({ trial, spent }) => [trial, (sum += spent)]));
}

/**
 * How score and hypervolume grew, trial by trial in the order in which they ended: columns `row`, `place` (on the chosen scale),
 * `score`, `best` so far, `volume` so far.
 */
export function growth({ points, numbers, analysis, attempts, scale }) {
  const scores = points.scores(numbers);
  const rows = points.byEnd();
  const steps = new Map((analysis?.steps ?? []).map((step) => [step.number, step.hypervolume]));
  const compute = scale === "compute" && attempts ? computeAt(attempts) : null;
  const columns = { count: rows.length, row: rows };
  for (const name of ["place", "score", "best", "volume"]) columns[name] = new Float64Array(rows.length);
  let [best, volume] = [-Infinity, 0];
  rows.forEach((row, index) => {
    const score = scores[row];
    if (score > best) best = score;
    volume = steps.get(points.number[row]) ?? volume;
    columns.place[index] = scale === "trials" ? index + 1 : compute ? (compute.get(points.number[row]) ?? 0) : points.finished_s[row];
    columns.score[index] = score;
    columns.best[index] = best;
    columns.volume[index] = volume;
  });
  return columns;
}

/** How long ago score and hypervolume last rose, in trials. */
export function improvement({ count, row, best, volume }, points) {
  if (count === 0) return null;
  const last = (rose) => {
    for (let index = count - 1; index > 0; index--) if (rose(index)) return index;
    return 0;
  };
  const score = last((index) => best[index] > best[index - 1]);
  const volumes = last((index) => volume[index] > volume[index - 1] * 1.0005 + 1e-9);
  return { sinceScore: count - 1 - score, bestTrial: points.number[row[score]], sinceVolume: count - 1 - volumes, volumeTrial: points.number[row[volumes]], count };
}

export function improvementText(state, job) {
  if (state === null) return "No trial is measured yet.";
  const active = ["running", "queued", "pending"].includes(job.status);
  const stalled = state.sinceScore >= Math.max(10, state.count / 3) && state.sinceVolume >= Math.max(10, state.count / 3);
  const score = state.sinceScore === 0 ? "the newest trial has the best score" : `no better score for ${state.sinceScore} ${state.sinceScore === 1 ? "trial" : "trials"} (since trial ${state.bestTrial})`;
  const volume = state.sinceVolume === 0 ? "the front still grows" : `the front has not grown since trial ${state.volumeTrial}`;
  const advice = stalled ? (active ? "; you may stop it" : "; more of the same will hardly help") : "";
  return `${format.title(score)}; ${volume}${advice}.`;
}

/** Some of many trials: every n-th, and all where the best score rose. */
function sample({ count, best }) {
  const step = Math.ceil(count / MOST_DOTS) || 1;
  const indexes = [];
  for (let index = 0; index < count; index++) if (index % step === 0 || index === count - 1 || best[index] > best[index - 1]) indexes.push(index);
  return indexes;
}

export function History({ job, points, numbers, analysis, attempts, scale, set, scales = Object.keys(SCALES) }) {
  const grown = useMemo(() => growth({ points, numbers, analysis, attempts, scale }), [points, points.revision, numbers, analysis, attempts, scale]);
  const state = improvement(grown, points);
  const last = grown.count ? Math.max(grown.place[grown.count - 1], 1e-3) || 1 : 1;
  const [factor, unit] = scale === "trials" ? [1, ""] : last >= 7200 ? [3600, "hours"] : last >= 180 ? [60, "minutes"] : [1, "seconds"];
  const option = (colours) => {
    const shown = sample(grown);
    const line = (values) => shown.map((index) => [grown.place[index] / factor, values[index]]);
    const xAxis = axis([0, last / factor], { name: `${SCALES[scale]}${unit ? ` (${unit})` : ""}`, count: 8, range: [0, (last / factor) * 1.02] });
    const yAxis = axis(usualRange(shown.map((index) => grown.score[index]), [grown.best[0]]), { name: "score", count: 7 });
    const volumes = axis([grown.volume[0], grown.volume.at(-1)], { name: "hypervolume", count: 7, label: (value) => format.tidyPercent(value) });
    return {
      legend: { top: 0, left: "center", textStyle: { color: colours.text }, itemWidth: 18 },
      grid: { left: 62, right: 64, top: 30, bottom: 46 },
      xAxis: axisOption(xAxis, colours),
      yAxis: [axisOption(yAxis, colours, { isX: false }), { ...axisOption(volumes, colours, { isX: false }), position: "right", splitLine: { show: false } }],
      series: [
        { name: "score of each", type: "scatter", silent: true, symbolSize: shown.length > 500 ? 3 : 6, itemStyle: { color: colours.trial, opacity: 0.8 }, data: line(grown.score) },
        { name: "best score", type: "line", step: "end", symbol: "none", silent: true, lineStyle: { color: colours.best, width: 2 }, itemStyle: { color: colours.best }, data: line(grown.best) },
        { name: "hypervolume", type: "line", step: "end", yAxisIndex: 1, symbol: "none", silent: true, lineStyle: { color: colours.front, width: 2, type: "dashed" }, itemStyle: { color: colours.front }, data: line(grown.volume) },
      ],
    };
  };
  return html`<${Chart} id="history" title="Is it still improving?" hint="hypervolume: share of the area between no cost and the reference that the front covers" height=${250}
    option=${option} stamp=${[grown]} label=${improvementText(state, job)} empty=${grown.count === 0 ? "No trial is measured yet." : null}
    table=${() => ({ columns: ["place", "trial", "score", "best score", "hypervolume"], rows: Array.from(grown.row, (row, index) => [grown.place[index], points.number[row], grown.score[index], grown.best[index], grown.volume[index]]) })}
    controls=${scales.length > 1 && html`<label class="small">by <select value=${scale} onChange=${(event) => set({ by: event.currentTarget.value })}>
      ${scales.map((name) => html`<option value=${name} selected=${name === scale}>${SCALES[name]}</option>`)}</select></label>`}>
    <p class="small answer" data-answer="improving">${improvementText(state, job)}</p>
  <//>`;
}
