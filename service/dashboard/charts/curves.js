// Learning curves: the metric by epoch, of one trial on training and validation data, or of several on validation data.

import { html } from "../lib/html.js";
import { axis, axisOption } from "../lib/axis.js";
import * as format from "../lib/format.js";
import { Chart } from "./chart.js";

/** The metric that a trial's epochs have; the loss elsewhere. */
function nameOf(epochs) {
  const names = Object.keys(epochs[0].metrics).filter((name) => !name.startsWith("val_"));
  return names.find((name) => name !== "loss" && !name.includes("learning")) ?? "loss";
}

const SEVERAL = ["trial", "front", "best", "parameters", "inputs", "outputs", "validation", "operations"];

/** `trials`: those with epochs; of a single one both curves are drawn. */
export function Curves({ trials, job, id = "curves", title = "Learning curve" }) {
  const drawn = trials.filter((trial) => trial.epochs.length > 0);
  if (drawn.length === 0) return null;
  const metric = nameOf(drawn[0].epochs);
  const isShare = metric !== "loss" && job.metric_is_share;
  const lines = drawn.length === 1
    ? [[metric, "training", drawn[0]], [`val_${metric}`, "validation", drawn[0]]]
    : drawn.map((trial) => [`val_${metric}`, `trial ${trial.number}`, trial]);
  const data = ([name, , trial]) => trial.epochs.filter((row) => Number.isFinite(row.metrics[name])).map((row) => [row.epoch + 1, row.metrics[name]]);
  const values = lines.flatMap((line) => data(line).map(([, value]) => value));
  const epochs = Math.max(...drawn.map((trial) => trial.epochs.length));
  const option = (colours) => {
    const xAxis = axis([1, epochs], { name: "epoch", range: [0.5, epochs + 0.5], count: Math.min(epochs, 8), label: (value) => (Number.isInteger(value) ? String(value) : "") });
    const yAxis = axis(values, { name: metric, count: 4, label: (value) => (isShare ? format.tidyPercent(value) : format.significant(value, 2)) });
    return {
      legend: { top: 0, textStyle: { color: colours.text, fontSize: 11 }, itemWidth: 22 },
      grid: { left: 58, right: 12, top: 28, bottom: 40 },
      xAxis: axisOption(xAxis, colours, { nameGap: 24 }),
      yAxis: axisOption(yAxis, colours, { isX: false, nameGap: 42 }),
      series: lines.map((line, index) => {
        const colour = drawn.length === 1 ? colours[line[1]] : colours[SEVERAL[index % SEVERAL.length]];
        const best = drawn.length === 1 && index === 1 ? line[2].best_epoch : null;
        return {
          name: line[1], type: "line", silent: true, data: data(line), symbol: epochs <= 30 ? (index % 2 ? "circle" : "emptyCircle") : "none", symbolSize: 4, itemStyle: { color: colour },
          lineStyle: { color: colour, width: 1.8, type: line[1] === "training" ? "dashed" : "solid" },
          ...(best === null ? {} : { markLine: { silent: true, symbol: "none", data: [{ xAxis: best + 1, label: { formatter: "best", color: colours.muted, fontSize: 10 }, lineStyle: { color: colours.best, type: "dotted" } }] } }),
        };
      }),
    };
  };
  const last = lines.map((line) => { const rows = data(line); return rows.length ? `${line[1]} ${isShare ? format.percent(rows.at(-1)[1]) : format.significant(rows.at(-1)[1])}` : null; }).filter(Boolean);
  return html`<${Chart} id=${id} title=${title} height=${190} option=${option} label=${`${metric} after ${epochs} epochs: ${last.join(", ")}`}
    table=${() => ({ columns: ["epoch", ...lines.map(([, name]) => name)], rows: Array.from({ length: epochs }, (_, epoch) => [epoch + 1, ...lines.map(([name, , trial]) => trial.epochs[epoch]?.metrics[name] ?? "")]) })} />`;
}
