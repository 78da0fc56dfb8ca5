// Is the search still improving? Best score and hypervolume, by trial, by time or by compute.

import { html } from "../lib/html.js";
import { axis, axisOption } from "../lib/axis.js";
import * as format from "../lib/format.js";
import { Chart } from "./chart.js";

const SCALES = { trials: "trials finished", time: "time since creation", compute: "compute of workers" };
const MOST_DOTS = 4000;

/** The seconds of compute that attempts had used when each trial ended, by number. */
function computeAt(attempts) {
  const ends = attempts.trial.map((trial, index) => ({ trial, end: attempts.ended_s[index], spent: attempts.ended_s[index] - attempts.started_s[index] })).filter(({ end }) => end !== null);
  ends.sort((a, b) => a.end - b.end);
  let sum = 0;
  return new Map(ends.map(({ trial, spent }) => [trial, (sum += spent)]));
}

/** For each trial that is done, in the order in which they ended: place, score, best so far, hypervolume so far. */
export function growth({ points, numbers, analysis, attempts, scale }) {
  const scores = points.scores(numbers);
  const steps = new Map((analysis?.steps ?? []).map((step) => [step.number, step.hypervolume]));
  const compute = scale === "compute" && attempts ? computeAt(attempts) : null;
  let [best, volume] = [-Infinity, 0];
  return points.byEnd().map((row, index) => {
    best = Math.max(best, scores[row]);
    volume = steps.get(points.number[row]) ?? volume;
    const place = scale === "trials" ? index + 1 : compute ? (compute.get(points.number[row]) ?? 0) : points.finished_s[row];
    return { row, place, score: scores[row], best, volume };
  });
}

/** How long ago score and hypervolume last rose, in trials. */
export function improvement(rows, points) {
  if (rows.length === 0) return null;
  const last = (changed) => {
    for (let index = rows.length - 1; index >= 0; index--) if (index === 0 || changed(rows[index], rows[index - 1])) return index;
    return 0;
  };
  const score = last((row, before) => row.best > before.best);
  const volume = last((row, before) => row.volume > before.volume * 1.0005 + 1e-9);
  return { sinceScore: rows.length - 1 - score, bestTrial: points.number[rows[score].row], sinceVolume: rows.length - 1 - volume, volumeTrial: points.number[rows[volume].row], count: rows.length };
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

export function History({ job, points, numbers, analysis, attempts, scale, set }) {
  const rows = growth({ points, numbers, analysis, attempts, scale });
  const state = improvement(rows, points);
  const last = rows.length ? Math.max(...rows.slice(-1).map((row) => row.place), 1e-3) : 1;
  const [factor, unit] = scale === "trials" ? [1, ""] : last >= 7200 ? [3600, "hours"] : last >= 180 ? [60, "minutes"] : [1, "seconds"];
  const shown = rows.length > MOST_DOTS ? rows.filter((_, index) => index % Math.ceil(rows.length / MOST_DOTS) === 0) : rows;
  const option = (colours) => {
    const xAxis = axis([0, last / factor], { name: `${SCALES[scale]}${unit ? ` (${unit})` : ""}`, count: 8, range: [0, (last / factor) * 1.02] });
    const yAxis = axis(shown.map((row) => row.score), { name: "score", count: 7 });
    const volumes = axis([0, ...shown.map((row) => row.volume)], { name: "hypervolume", count: 7, label: (value) => format.tidyPercent(value) });
    return {
      legend: { top: 0, left: "center", textStyle: { color: colours.text }, itemWidth: 18 },
      grid: { left: 62, right: 64, top: 30, bottom: 46 },
      xAxis: axisOption(xAxis, colours),
      yAxis: [axisOption(yAxis, colours, { isX: false }), { ...axisOption(volumes, colours, { isX: false }), position: "right", splitLine: { show: false } }],
      series: [
        { name: "score of each", type: "scatter", silent: true, symbolSize: shown.length > 500 ? 3 : 6, itemStyle: { color: colours.trial, opacity: 0.8 }, data: shown.map((row) => [row.place / factor, row.score]) },
        { name: "best score", type: "line", step: "end", symbol: "none", silent: true, lineStyle: { color: colours.best, width: 2 }, itemStyle: { color: colours.best }, data: shown.map((row) => [row.place / factor, row.best]) },
        { name: "hypervolume", type: "line", step: "end", yAxisIndex: 1, symbol: "none", silent: true, lineStyle: { color: colours.front, width: 2, type: "dashed" }, itemStyle: { color: colours.front }, data: shown.map((row) => [row.place / factor, row.volume]) },
      ],
    };
  };
  return html`<${Chart} id="history" title="Is it still improving?" hint="hypervolume: share of the area between no cost and the reference that the front covers" height=${250}
    option=${option} label=${improvementText(state, job)} empty=${rows.length === 0 ? "No trial is measured yet." : null}
    table=${() => ({ columns: ["place", "trial", "score", "best score", "hypervolume"], rows: rows.map((row) => [row.place, points.number[row.row], row.score, row.best, row.volume]) })}
    controls=${html`<label class="small">by <select value=${scale} onChange=${(event) => set({ by: event.currentTarget.value })}>
      ${Object.entries(SCALES).map(([name, text]) => html`<option value=${name} selected=${name === scale}>${text}</option>`)}</select></label>`}>
    <p class="small answer" data-answer="improving">${improvementText(state, job)}</p>
  <//>`;
}
