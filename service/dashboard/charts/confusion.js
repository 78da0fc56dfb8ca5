// What a classifier takes for what: true classes by predicted ones, on test data where they were looked at.

import { html, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { useAnswer } from "../parts/ui.js";
import { Chart } from "./chart.js";

const CELL_PX = 26;
const MOST_NAMED = 30; // classes up to which every cell has its number

const PARTS = { final_test: "test data, trained further", test: "test data", final_validation: "validation data, trained further", validation: "validation data" };

/** The parts of the data that a trial was measured on class by class, the most telling first: [{title, metrics}]. */
export const measured = (report) => Object.entries(PARTS).filter(([part]) => report[part]?.by_class).map(([part, title]) => ({ title, metrics: report[part] }));

/** The class that is recognized least, and the confusion that occurs most: a sentence. `nameOf`: class number -> name. */
export function confusionText({ title, metrics }, nameOf = String) {
  const { confusion, by_class: { recall } } = metrics;
  const known = recall.map((share, label) => [share, label]).filter(([share]) => share !== null);
  const [share, worst] = known.reduce((least, next) => (next[0] < least[0] ? next : least));
  const weakest = `Of ${known.length} classes ${nameOf(worst)} is recognized least: ${format.percent(share, 1)} of its examples on the ${title}`;
  if (!confusion) return `${weakest}.`;
  let [truth, predicted, most] = [-1, -1, 0];
  confusion.forEach((row, label) => row.forEach((count, other) => { if (label !== other && count > most) [truth, predicted, most] = [label, other, count]; }));
  return most === 0 ? `All examples of the ${title} are recognized.` : `${weakest}. Most often ${nameOf(truth)} is taken for ${nameOf(predicted)}: ${most} of ${confusion[truth].reduce((sum, count) => sum + count, 0)} times.`;
}

/** Drawn when it is opened. */
export function Classes({ job, trial }) {
  const [isOpen, setOpen] = useState(false);
  if (!job.metric_is_share || !trial.artifacts.some((file) => file.name === "report.json")) return null;
  return html`<details class="classes" onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>Class by class</summary>
    ${isOpen && html`<${Matrix} job=${job} trial=${trial} />`}</details>`;
}

function Matrix({ job, trial }) {
  const key = `${job.id} ${trial.number} ${trial.artifacts.filter(({ name }) => name.endsWith("report.json")).map(({ sha256 }) => sha256).join(" ")}`;
  const [answer, error] = useAnswer(() => api.classes(job.id, trial.number), key);
  const [title, setTitle] = useState(null);
  if (error) return html`<p class="muted small">${error.message}</p>`;
  if (answer === null || answer.number !== trial.number) return html`<p class="muted small">Loading…</p>`;
  const parts = measured(answer);
  if (parts.length === 0) return html`<p class="muted small">The report of this trial has no figures of classes: its targets are numbers, or an older version wrote it.</p>`;
  const part = parts.find((item) => item.title === title) ?? parts[0];
  const { metrics } = part;
  const nameOf = (label) => answer.names[label] ?? String(label);
  const text = confusionText(part, nameOf);
  const figures = [["accuracy", metrics.accuracy], ["balanced accuracy", metrics.balanced_accuracy], ["macro F1", metrics.macro_f1], ["mean IoU", metrics.iou], ["calibration error", metrics.expected_calibration_error]].filter(([, value]) => value !== null && value !== undefined);
  return html`${metrics.confusion ? html`<${Chart} id="confusion" title="True by predicted class" height=${Math.max(170, 62 + metrics.confusion.length * (metrics.confusion.length > MOST_NAMED ? 8 : CELL_PX))}
      option=${(colours) => optionOf(metrics.confusion, nameOf, colours)} stamp=${[metrics]} label=${text}
      controls=${html`<label class="small"><span class="visually-hidden">data</span><select value=${part.title} onChange=${(event) => setTitle(event.currentTarget.value)}>${parts.map((item) => html`<option key=${item.title} value=${item.title} selected=${item === part}>${item.title}</option>`)}</select></label>`}
      table=${() => ({ columns: ["true class", "recall", ...metrics.confusion.map((_, label) => `predicted ${nameOf(label)}`)], rows: metrics.confusion.map((row, label) => [nameOf(label), metrics.by_class.recall[label], ...row]) })}>
      <p class="small answer" data-answer="classes">${text}</p><//>` : html`<p class="small answer" data-answer="classes">${text}</p>`}
    <dl class="facts small">${figures.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${format.percent(value)}</dd></div>`)}</dl>`;
}

function optionOf(confusion, nameOf, colours) {
  const totals = confusion.map((row) => row.reduce((sum, count) => sum + count, 0));
  const isNamed = confusion.length <= MOST_NAMED;
  const data = confusion.flatMap((row, truth) => row.map((count, predicted) => [predicted, truth, count]));
  const axis = (name) => ({ type: "category", data: confusion.map((_, label) => nameOf(label)), name, nameLocation: "middle", nameGap: 24, nameTextStyle: { color: colours.text }, axisTick: { show: false }, axisLine: { show: false }, axisLabel: { color: colours.text, interval: isNamed ? 0 : "auto", fontSize: 11, width: 70, overflow: "truncate" } });
  return {
    grid: { left: 12, right: 10, top: 8, bottom: 22, containLabel: true },
    xAxis: axis("predicted"),
    yAxis: { ...axis("true"), inverse: true, nameGap: 28 },
    series: [{
      type: "custom", encode: { x: 0, y: 1 }, data, silent: true,
      renderItem: (_, chart) => {
        const [predicted, truth, count] = [chart.value(0), chart.value(1), chart.value(2)];
        const share = totals[truth] ? count / totals[truth] : 0;
        const [x, y] = chart.coord([predicted, truth]);
        const [width, height] = chart.size([1, 1]);
        const isRight = predicted === truth;
        return { type: "group", children: [
          { type: "rect", shape: { x: x - width / 2, y: y - height / 2, width: width - 1, height: height - 1 }, style: { fill: count === 0 ? colours.shade : isRight ? colours.best : colours.front, opacity: count === 0 ? 0.6 : 0.25 + 0.55 * Math.sqrt(share) } },
          ...(isNamed && count > 0 ? [{ type: "text", style: { x, y, text: String(count), align: "center", verticalAlign: "middle", fontSize: 11, fill: colours.text } }] : []),
        ] };
      },
    }],
  };
}
