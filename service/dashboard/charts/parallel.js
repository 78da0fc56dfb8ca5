// Parallel coordinates: one line for each trial through its choices, cost and metric. A range marked on an axis filters.

import { html } from "../lib/html.js";
import * as format from "../lib/format.js";
import { Chart } from "./chart.js";

const MOST_AXES = 8;
const MOST_LINES = 500;
const AXIS_PX = 66; // below which the labels of an axis reach into the next

export function Parallel({ job, points, numbers, choices, analysis, select }) {
  const weight = new Map((analysis?.choices ?? []).map((choice) => [choice.name, choice.importance + choice.cost_importance]));
  const shown = [...(choices?.choices ?? [])].sort((a, b) => (weight.get(b.name) ?? 0) - (weight.get(a.name) ?? 0)).slice(0, MOST_AXES);
  const scores = points.scores(numbers);
  const rows = (choices?.number ?? []).map((number, place) => ({ number, place, row: points.row(number) })).filter(({ row }) => row >= 0 && points.isDone(row))
    .sort((a, b) => scores[b.row] - scores[a.row]).slice(0, MOST_LINES);
  const lines = rows.map(({ place, row }) => [...shown.map((choice) => choice.codes[place]), Math.log10(points.cost[row]), points.metric[row]]);
  const option = (colours) => {
    const top = rows.length ? scores[rows[0].row] : 1;
    const last = rows.length ? scores[rows.at(-1).row] : 0;
    return {
      parallel: { left: 70, right: 90, top: 54, bottom: 18, parallelAxisDefault: { nameLocation: "end", nameGap: 10, nameTruncate: { maxWidth: 120 }, nameTextStyle: { color: colours.text, fontSize: 10, lineHeight: 13 }, axisLine: { lineStyle: { color: colours.muted } }, axisTick: { lineStyle: { color: colours.muted } }, axisLabel: { color: colours.text, fontSize: 10, backgroundColor: colours.card, padding: [1, 2] }, areaSelectStyle: { width: 18, color: colours.accent, opacity: 0.25, borderColor: colours.accent } } },
      parallelAxis: [
        ...shown.map((choice, dim) => ({ dim, name: wrapped(choice.name), type: "value", min: 0, max: Math.max(choice.labels.length - 1, 1), interval: 1, axisLabel: { formatter: (code) => format.shortLabel(String(choice.labels[code] ?? "")) } })),
        { dim: shown.length, name: job.cost_unit === "energy_pj" ? "energy" : "cost", type: "value", scale: true, axisLabel: { formatter: (place) => format.cost(10 ** place, job.cost_unit) } },
        { dim: shown.length + 1, name: format.metricName(job), type: "value", scale: true, axisLabel: { formatter: (value) => (job.metric_is_share ? format.tidyPercent(value) : format.plain(value)) } },
      ],
      series: [{ type: "parallel", smooth: false, lineStyle: { width: 1.3, opacity: 0.55 }, inactiveOpacity: 0.05, activeOpacity: 0.9, data: lines.map((value, index) => ({ value, lineStyle: { color: scores[rows[index].row] > last + (top - last) * 0.7 ? colours.best : colours.trial } })) }],
    };
  };
  const ready = (instance) => {
    instance.on("axisareaselected", () => {
      const model = instance.getModel().getSeriesByIndex(0);
      const indexes = model.getRawIndicesByActiveState("active");
      const isFiltered = instance.getModel().getComponent("parallel") && indexes.length !== lines.length;
      select(isFiltered ? indexes.map((index) => rows[index].number) : null);
    });
  };
  return html`<${Chart} id="choices" title="All choices" hint="drag along an axis to filter everything; green: the best scores" height=${320} minWidth=${(shown.length + 2) * AXIS_PX} option=${option} onReady=${ready}
    label=${`${rows.length} trials through ${shown.length} choices, cost and ${format.metricName(job)}`} empty=${rows.length < 2 ? "Needs at least two measured trials." : null}
    table=${() => ({ columns: ["trial", ...shown.map((choice) => choice.name), "cost", format.metricName(job)], rows: rows.map(({ number, place, row }) => [number, ...shown.map((choice) => choice.labels[choice.codes[place]] ?? ""), points.cost[row], points.metric[row]]) })} />`;
}

/** A name on two lines, so that those of neighbouring axes do not overlap. */
const wrapped = (name) => name.replace(".", "\n");
