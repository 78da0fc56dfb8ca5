// Parallel coordinates: one line for each trial through its choices, cost and metric. A range marked on an axis, by dragging or
// by the sliders below, filters.

import { html, useRef, useState } from "../lib/html.js";
import * as format from "../lib/format.js";
import { Chart } from "./chart.js";

const MOST_AXES = 8;
const MOST_LINES = 500;
const AXIS_PX = 66; // below which the labels of an axis reach into the next
const STEPS = 200; // of a slider along an axis of numbers

export function Parallel({ job, points, numbers, choices, analysis, select }) {
  const [ranges, setRanges] = useState({}); // index of an axis -> the part of it that is marked
  const [moves, setMoves] = useState(0); // of sliders, after which the marks are drawn anew; those of a pointer are drawn already
  const latest = useRef({});
  const weight = new Map((analysis?.choices ?? []).map((choice) => [choice.name, choice.importance + choice.cost_importance]));
  const shown = [...(choices?.choices ?? [])].sort((a, b) => (weight.get(b.name) ?? 0) - (weight.get(a.name) ?? 0)).slice(0, MOST_AXES);
  const scores = points.scores(numbers);
  const rows = (choices?.number ?? []).map((number, place) => ({ number, place, row: points.row(number) })).filter(({ row }) => row >= 0 && points.isDone(row))
    .sort((a, b) => scores[b.row] - scores[a.row]).slice(0, MOST_LINES);
  const lines = rows.map(({ place, row }) => [...shown.map((choice) => choice.codes[place]), Math.log10(points.cost[row]), points.metric[row]]);
  const axes = axesOf(job, shown, lines);
  const option = (colours) => {
    const top = rows.length ? scores[rows[0].row] : 1;
    const last = rows.length ? scores[rows.at(-1).row] : 0;
    return {
      parallel: { left: 70, right: 90, top: 54, bottom: 18, parallelAxisDefault: { nameLocation: "end", nameGap: 10, nameTruncate: { maxWidth: 120 }, nameTextStyle: { color: colours.text, fontSize: 10, lineHeight: 13 }, axisLine: { lineStyle: { color: colours.muted } }, axisTick: { lineStyle: { color: colours.muted } }, axisLabel: { color: colours.text, fontSize: 10, backgroundColor: colours.card, padding: [1, 2] }, areaSelectStyle: { width: 18, color: colours.accent, opacity: 0.25, borderColor: colours.accent } } },
      parallelAxis: axes.map(({ name, labels, text }, dim) => ({ dim, name: wrapped(name), type: "value", axisLabel: { formatter: text }, ...(labels ? { min: 0, max: Math.max(labels.length - 1, 1), interval: 1 } : { scale: true }) })),
      series: [{ type: "parallel", smooth: false, lineStyle: { width: 1.3, opacity: 0.55 }, inactiveOpacity: 0.05, activeOpacity: 0.9, data: lines.map((value, index) => ({ value, lineStyle: { color: scores[rows[index].row] > last + (top - last) * 0.7 ? colours.best : colours.trial } })) }],
    };
  };
  const choose = (next) => {
    setRanges(next);
    const marked = Object.entries(next);
    select(marked.length === 0 ? null : rows.filter((_, index) => marked.every(([axis, [low, high]]) => lines[index][axis] >= low && lines[index][axis] <= high)).map(({ number }) => number));
  };
  Object.assign(latest.current, { ranges, choose, count: axes.length });
  const mark = (instance) => {
    if (Object.keys(latest.current.ranges).length === 0) return;
    for (let axis = 0; axis < latest.current.count; axis++) instance.dispatchAction({ type: "axisAreaSelect", parallelAxisIndex: axis, intervals: latest.current.ranges[axis] ? [latest.current.ranges[axis]] : [] }, { silent: true });
    instance.setOption({}); // marks are drawn by a whole update only
  };
  const ready = (instance) => {
    mark(instance);
    instance.on("axisareaselected", () => {
      const drawn = instance.getModel().queryComponents({ mainType: "parallelAxis" }).map((axis) => axis.activeIntervals ?? []);
      latest.current.choose(Object.fromEntries(drawn.map((intervals, axis) => [axis, intervals[0]]).filter(([, interval]) => interval)));
    });
  };
  const slide = (axis, range) => {
    const { [axis]: _, ...others } = ranges;
    setMoves(moves + 1);
    choose(range === null ? others : { ...others, [axis]: range });
  };
  return html`<${Chart} id="choices" title="All choices" hint="drag along an axis to filter everything; green: the best scores" height=${320} minWidth=${axes.length * AXIS_PX} option=${option} onReady=${ready} onDraw=${mark}
    stamp=${[points, points.revision, numbers, choices, analysis, moves]}
    label=${`${rows.length} trials through ${shown.length} choices, cost and ${format.metricName(job)}`} empty=${rows.length < 2 ? "Needs at least two measured trials." : null}
    controls=${Object.keys(ranges).length > 0 && html`<button type="button" onClick=${() => { setMoves(moves + 1); choose({}); }}>No filter</button>`}
    table=${() => ({ columns: ["trial", ...shown.map((choice) => choice.name), "cost", format.metricName(job)], rows: rows.map(({ number, place, row }) => [number, ...shown.map((choice) => choice.labels[choice.codes[place]] ?? ""), points.cost[row], points.metric[row]]) })}>
    <details class="ranges"><summary class="small">Filter by sliders</summary>
      ${axes.map((axis, index) => html`<${Range} key=${axis.name} axis=${axis} range=${ranges[index] ?? null} change=${(range) => slide(index, range)} />`)}</details>
  <//>`;
}

/** What the axes show: [{name, low, high, labels (of a choice), text(value)}]. */
function axesOf(job, shown, lines) {
  const extent = (axis) => lines.reduce(([low, high], line) => [Math.min(low, line[axis]), Math.max(high, line[axis])], [Infinity, -Infinity]);
  const [costs, metrics] = [extent(shown.length), extent(shown.length + 1)];
  return [
    ...shown.map(({ name, labels }) => ({ name, labels, low: 0, high: labels.length - 1, text: (code) => format.shortLabel(String(labels[code] ?? "")) })),
    { name: job.cost_unit === "energy_pj" ? "energy" : "cost", low: costs[0], high: costs[1], text: (place) => format.cost(10 ** place, job.cost_unit) },
    { name: format.metricName(job), low: metrics[0], high: metrics[1], text: (value) => (job.metric_is_share ? format.tidyPercent(value) : format.plain(value)) },
  ];
}

/** Both ends of a range on an axis; the whole axis is no filter. */
export function Range({ axis, range, change }) {
  const { low, high, labels, name } = axis;
  if (!(high > low)) return null;
  const steps = labels ? labels.length - 1 : STEPS;
  const step = (high - low) / steps;
  const [from, to] = range ?? [low, high];
  const half = labels ? step / 4 : 1e-9 * (high - low); // beyond a value, so that rounding leaves no trial out
  const set = (start, end) => change(start <= 0 && end >= steps ? null : [low + start * step - half, low + end * step + half]);
  const place = (value) => Math.min(Math.max(Math.round((value - low) / step), 0), steps);
  const [start, end] = [place(from), place(to)];
  const text = (at) => (labels ? labels[at] : axis.text(low + at * step));
  const slider = (label, value, moved) => html`<input type="range" min="0" max=${steps} step="1" value=${value} aria-label=${`${name}, ${label}`} aria-valuetext=${String(text(value))} onInput=${(event) => moved(Number(event.currentTarget.value))} />`;
  return html`<div class="range small"><span>${name}</span>${slider("from", start, (at) => set(Math.min(at, end), end))}${slider("to", end, (at) => set(start, Math.max(at, start)))}
    <output>${range === null ? html`<span class="muted">all</span>` : start === end ? text(start) : `${text(start)} to ${text(end)}`}</output></div>`;
}

/** A name on two lines, so that those of neighbouring axes do not overlap. */
const wrapped = (name) => name.replace(".", "\n");
