// Who worked when: the attempts of each worker, and how they ended.

import { html } from "../lib/html.js";
import { axis, axisOption } from "../lib/axis.js";
import * as format from "../lib/format.js";
import { Chart } from "./chart.js";

const MOST = 2000;
const OUTCOME_COLOURS = { done: "trial", failed: "fault", lost: "fault", pruned: "muted", infeasible: "muted", released: "parameters", cancelled: "reference" };

/** What a job cost in compute, in a sentence. */
export function computeText(attempts, points, job) {
  if (attempts === null) return "";
  const ended = attempts.ended_s.map((end, index) => (end === null ? null : [attempts.started_s[index], end])).filter(Boolean);
  const workers = new Set(attempts.worker).size;
  if (ended.length === 0) return "No attempt has ended yet.";
  const span = Math.max(...ended.map(([, end]) => end)) - Math.min(...ended.map(([start]) => start));
  const wasted = attempts.outcome.reduce((sum, outcome, index) => (["failed", "lost", "released"].includes(outcome) ? sum + attempts.ended_s[index] - attempts.started_s[index] : sum), 0);
  const epochs = job.spec.training?.epochs;
  return `${format.duration(attempts.compute_s)} of compute in ${format.whole(ended.length)} attempts by ${workers} ${workers === 1 ? "worker" : "workers"}, over ${format.duration(span)}`
    + `${wasted > 0 ? `; ${format.duration(wasted)} of it in attempts that failed or were lost` : ""}${epochs ? `; at most ${epochs} epochs a trial` : ""}.`;
}

export function Timeline({ job, points, attempts, pick }) {
  const workers = attempts ? [...new Set(attempts.worker)].sort() : [];
  const count = attempts ? Math.min(attempts.trial.length, MOST) : 0;
  const last = attempts ? Math.max(1, ...attempts.ended_s.map((end, index) => end ?? attempts.started_s[index] + 1).slice(0, count)) : 1;
  const first = attempts && count ? Math.max(0, Math.min(...attempts.started_s.slice(0, count)) - last * 0.01) : 0;
  const [factor, unit] = last >= 7200 ? [3600, "hours"] : last >= 180 ? [60, "minutes"] : [1, "seconds"];
  const option = (colours) => {
    const made = axis([first / factor, last / factor], { name: `${unit} after the job's creation`, range: [first / factor, (last / factor) * 1.01], count: 8 });
    const data = [];
    for (let index = 0; index < count; index++) data.push([workers.indexOf(attempts.worker[index]), attempts.started_s[index] / factor, (attempts.ended_s[index] ?? last) / factor, index]);
    return {
      grid: { left: 8, right: 16, top: 8, bottom: 40, containLabel: true },
      xAxis: axisOption(made, colours),
      yAxis: { type: "category", data: workers, inverse: true, axisLabel: { color: colours.text, width: 140, overflow: "truncate" }, axisTick: { show: false }, axisLine: { onZero: false, lineStyle: { color: colours.muted } } },
      tooltip: { trigger: "item", confine: true, className: "chart-tip", formatter: ({ data: [, , , index] }) => tip(attempts, index) },
      series: [{
        type: "custom", encode: { x: [1, 2], y: 0 }, data,
        renderItem: (_, api) => {
          const index = api.value(3);
          const [x0, y] = api.coord([api.value(1), api.value(0)]);
          const [x1] = api.coord([api.value(2), api.value(0)]);
          const height = Math.min(26, api.size([0, 1])[1] * 0.6);
          const outcome = attempts.outcome[index];
          const width = Math.max(2, x1 - x0 - 1);
          return { type: "group", children: [
            { type: "rect", shape: { x: x0, y: y - height / 2, width, height, r: 2 }, style: { fill: colours[outcome === null ? "best" : OUTCOME_COLOURS[outcome] ?? "trial"], opacity: outcome === null ? 0.6 : 1 } },
            ...(width > 16 ? [{ type: "text", style: { x: x0 + 4, y, text: String(attempts.trial[index]), verticalAlign: "middle", fill: "#fff", fontSize: 11 } }] : []),
          ] };
        },
      }],
    };
  };
  const text = computeText(attempts, points, job);
  return html`<${Chart} id="timeline" title="Who worked when" hint="attempts by worker; a click selects the trial" height=${Math.max(140, 70 + workers.length * 42)} option=${option} label=${text || "attempts of workers"}
    empty=${count === 0 ? "No worker has begun a trial yet. `fewbits worker` starts one." : null} onReady=${(instance) => { instance.on("click", ({ data }) => data && pick(attempts.trial[data[3]])); }}
    table=${() => ({ columns: ["worker", "trial", "attempt", "from (s)", "to (s)", "outcome", "reason"], rows: attempts.trial.map((trial, index) => [attempts.worker[index], trial, attempts.attempt[index], attempts.started_s[index], attempts.ended_s[index], attempts.outcome[index] ?? "running", attempts.reason[index]]) })}>
    <p class="small answer" data-answer="compute">${text}</p>
    ${attempts && attempts.trial.length > MOST ? html`<p class="muted small">The first ${MOST} of ${attempts.trial.length} attempts; the CSV file has all.</p>` : null}<//>`;
}

function tip(attempts, index) {
  const element = document.createElement("div");
  const end = attempts.ended_s[index];
  element.textContent = `trial ${attempts.trial[index]}, attempt ${attempts.attempt[index]}: ${attempts.outcome[index] ?? "running"}${end === null ? "" : ` after ${format.duration(end - attempts.started_s[index])}`}${attempts.reason[index] ? ` (${attempts.reason[index]})` : ""}`;
  return element;
}
