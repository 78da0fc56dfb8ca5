// Metric against cost: the chart that a job is about. Pointing names a trial, a click selects it, with shift it is compared;
// dragging zooms or selects an area; arrow keys walk along the dots.

import { html, useMemo, useRef } from "../lib/html.js";
import * as format from "../lib/format.js";
import { Chart } from "./chart.js";
import { drawDots, frontOption, isHandDrawn, layout, measures } from "./front_option.js";
import { Grid, watchPointer } from "./pointer.js";

const MARGIN = 8; // pixels beyond the axes in which a dot can still be pointed at

/** Rows that are drawn, by how. */
export function groupsOf(points, statuses, sign, isIn) {
  const groups = { done: [], pruned: [], infeasible: [], front: [] };
  for (let row = 0; row < points.length; row++) {
    if (!points.isMeasured(row) || !statuses.has(points.statusOf(row)) || (isIn !== null && !isIn(row))) continue;
    const status = points.statusOf(row);
    if (status === "done") groups.done.push(row);
    else if (status === "infeasible") groups.infeasible.push(row);
    else groups.pruned.push(row);
  }
  if (statuses.has("done")) groups.front = points.front(sign).filter((row) => isIn === null || isIn(row));
  return groups;
}

/** `view`: {x, log, zoom, mode}; `set(patch)` changes it; `pick(number, isCompared)`. */
export function Front({ job, points, numbers, statuses, view, set, pick, select, selected, compared, budget, kneeRow, best, height = 430 }) {
  const holder = useRef({});
  const groups = useMemo(() => groupsOf(points, statuses, numbers.sign, null), [points, points.revision, statuses, numbers.sign]);
  const rows = useMemo(() => [...groups.done, ...groups.pruned, ...groups.infeasible], [groups]);
  const made = useMemo(
    () => layout({ job, points, rows, measure: view.x, isLog: view.log, zoom: view.zoom, marks: near(budget, points, rows), isWhole: view.isWhole, sign: numbers.sign }),
    [job.id, rows, view.x, view.log, view.zoom, view.isWhole, budget],
  );
  const rowOf = (number) => (number === null ? -1 : points.row(number));
  const running = statuses.has("running") && view.x === "cost" ? points.running(job.metric_name) : [];
  const state = { job, points, groups, running, numbers, best, selected: rowOf(selected), compared: compared.map(rowOf), budget, kneeRow };
  Object.assign(holder.current, { points, rows, made, job, numbers, pick, set, select, mode: view.mode, state });
  const option = (colours, isPicture) => frontOption(state, made, colours, isPicture);
  const underlay = (pen, instance, colours, scale) => {
    if (!isHandDrawn(groups)) return;
    index(instance, holder.current);
    drawDots(pen, { groups, made, points, toPixel: holder.current.toPixel, frame: holder.current.frame, scale }, colours);
  };
  const list = measures(job, points);
  const outside = references(made);
  const hidden = useMemo(() => rows.reduce((count, row) => count + (points.metric[row] < made.yAxis.low || points.metric[row] > made.yAxis.high), 0), [rows, made]);
  return html`<${Chart} id="front" title=${`${format.title(format.metricName(job))} against ${job.cost_unit === "energy_pj" ? "energy" : "cost"}`}
    hint="a click selects, with shift compares; drag to zoom" height=${height} option=${option} isUrgent=${true} underlay=${underlay} underlayStamp=${[groups, made]}
    stamp=${[job.float_metric, points.epochs, groups, made, numbers, best, selected, compared.join(), budget, kneeRow, view.x]} label=${label(job, points, groups, best)}
    table=${() => table(job, points, rows, numbers)} onReady=${(instance, element) => ready(instance, element, holder.current)}
    onDraw=${(instance) => index(instance, holder.current)} onKeyDown=${(event) => keys(event, holder.current)}
    empty=${points.length === 0 ? "No trial yet. The first ones appear here as soon as a worker has measured them." : null}
    controls=${html`
      <label class="small">x <select value=${view.x} onChange=${(event) => set({ x: event.currentTarget.value, zoom: null })}>
        ${Object.entries(list).map(([name, { title }]) => html`<option value=${name} selected=${name === view.x}>${title}</option>`)}</select></label>
      <label class="small"><input type="checkbox" checked=${view.log} onChange=${(event) => set({ log: event.currentTarget.checked, zoom: null })} /> log scale</label>
      <button type="button" aria-pressed=${String(view.mode === "select")} title="Drag over an area: table, map and ranking show its trials only"
        onClick=${() => set({ mode: view.mode === "select" ? "zoom" : "select" })}>Select area</button>
      ${view.zoom && html`<button type="button" onClick=${() => set({ zoom: null })}>Whole range</button>`}`}>
    <p class="legend small" data-dots=${rows.length}>
      <span class="key"><i class="swatch dot-trial"></i>trials ${format.whole(groups.done.length)}</span>
      <span class="key"><i class="swatch dot-front"></i>front ${groups.front.length}</span>
      <span class="key"><i class="swatch dot-best"></i>best score</span>
      <span class="key"><i class="swatch dot-knee"></i>knee</span>
      ${groups.pruned.length > 0 && html`<span class="key"><i class="swatch dot-pruned"></i>pruned ${groups.pruned.length}</span>`}
      ${groups.infeasible.length > 0 && html`<span class="key"><i class="swatch dot-infeasible">×</i>infeasible ${groups.infeasible.length}</span>`}
      ${running.length > 0 && html`<span class="key" title=${running.map(({ number, epoch, value }) => `trial ${number}: ${format.metric(value, job)} after ${epoch + 1} ${epoch ? "epochs" : "epoch"}`).join("; ")}><i class="swatch dot-running">▸</i>running ${running.length} <span class="muted">(their cost is known when they end)</span></span>`}
      <span class="key"><i class="swatch line-iso"></i>equal score</span>
      ${outside && html`<span class="key outside">${outside}</span>`}
      ${!view.zoom && (hidden > 0 || view.isWhole) && html`<button type="button" class="plain link" onClick=${() => set({ whole: view.isWhole ? null : "1" })}>${view.isWhole ? "without outliers" : `${hidden} beyond the axis: show all`}</button>`}
    </p>
  <//>`;
}

/** The budget stretches the axis only if it lies near the trials. */
function near(budget, points, rows) {
  if (budget === null || rows.length === 0) return [];
  let [low, high] = [Infinity, 0];
  for (const row of rows) [low, high] = [Math.min(low, points.cost[row]), Math.max(high, points.cost[row])];
  return budget > low / 3 && budget < high * 3 ? [budget] : [];
}

/** Where the references are that lie beyond the axis. */
export function references(made) {
  const all = [{ name: "reference", value: made.x.reference }, ...(made.x.others ?? [])].filter(({ value }) => value > 0);
  const names = (list) => list.sort((a, b) => a.value - b.value).map(({ name, value }) => `${name} at ${made.x.label(value)}`).join(", ");
  const [left, right] = [all.filter(({ value }) => value < made.xAxis.low), all.filter(({ value }) => value > made.xAxis.high)];
  return [left.length > 0 && `← ${names(left)}`, right.length > 0 && `${names(right)}, beyond the right end →`].filter(Boolean).join("; ") || null;
}

function label(job, points, groups, best) {
  const name = format.metricName(job);
  if (groups.done.length === 0) return `${name} against cost: no measured trial yet`;
  const top = best === null || best < 0 ? "" : `; best score: trial ${points.number[best]} with ${format.metric(points.metric[best], job)} at ${format.cost(points.cost[best], job.cost_unit)}`;
  return `${name} against cost of ${groups.done.length} trials, ${groups.front.length} of them on the front${top}. Arrow keys walk along the trials, Enter selects.`;
}

function table(job, points, rows, numbers) {
  const values = points.scores(numbers);
  return {
    columns: ["trial", "status", "score", format.metricName(job), job.cost_unit, "energy_pj", "bits", "front"],
    rows: [...rows].sort((a, b) => points.cost[a] - points.cost[b]).map((row) => [
      points.number[row], points.statusOf(row), values[row], points.metric[row], points.cost[row], points.energy_pj[row], points.bits[row], points.isOnFront(row, numbers.sign) ? "yes" : "",
    ]),
  };
}

// --- pointing --------------------------------------------------------------------------------------------------------

/** Where every dot is in pixels: a linear map, read off two corners. */
function index(instance, state) {
  const { made, rows, points } = state;
  const { xAxis, yAxis } = made;
  const corners = [[xAxis.at(xAxis.low), yAxis.low], [xAxis.at(xAxis.high), yAxis.high]].map((corner) => instance.convertToPixel({ xAxisIndex: 0, yAxisIndex: 0 }, corner));
  const [[x0, y0], [x1, y1]] = corners;
  state.frame = [Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0)];
  state.toPixel = (x, y) => [
    x0 + ((xAxis.at(x) - xAxis.at(xAxis.low)) / (xAxis.at(xAxis.high) - xAxis.at(xAxis.low))) * (x1 - x0),
    y0 + ((y - yAxis.low) / (yAxis.high - yAxis.low)) * (y1 - y0),
  ];
  state.toValue = (x, y) => [
    xAxis.from(xAxis.at(xAxis.low) + ((x - x0) / (x1 - x0)) * (xAxis.at(xAxis.high) - xAxis.at(xAxis.low))),
    yAxis.low + ((y - y0) / (y1 - y0)) * (yAxis.high - yAxis.low),
  ];
  const key = `${points.revision} ${corners} ${xAxis.low} ${xAxis.high} ${yAxis.low} ${yAxis.high} ${xAxis.isLog} ${made.x.title}`;
  if (state.gridKey === key && state.gridRows === rows) return;
  Object.assign(state, { gridKey: key, gridRows: rows, grid: null });
}

/** The dots by cells, made when somebody points for the first time. */
function gridOf(state) {
  if (state.grid !== null) return state.grid;
  const { made, rows, points, toPixel } = state;
  const [left, top, width, height] = state.frame;
  const [xs, ys, inside] = [[], [], []];
  for (const row of rows) {
    const [x, y] = toPixel(made.xOf(row), points.metric[row]);
    if (x < left - MARGIN || x > left + width + MARGIN || y > top + height + MARGIN || y < top - MARGIN) continue;
    xs.push(x);
    ys.push(y);
    inside.push(row);
  }
  state.grid = new Grid(xs, ys, inside);
  return state.grid;
}

function ready(instance, element, state) {
  index(instance, state);
  instance.on("finished", () => index(instance, state));
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  element.append(tip);
  /** For tests and assistive scripts: where a trial is, in pixels of the element. */
  element.pixelOf = (number) => state.toPixel(state.made.xOf(state.points.row(number)), state.points.metric[state.points.row(number)]);
  state.showTip = (row) => showTip(tip, element, state, row);
  return watchPointer(element, {
    at: (x, y) => gridOf(state).nearest(x, y),
    hover: (row) => { if (row !== state.hovered) state.showTip(row); },
    click: (row, event) => state.pick(state.points.number[row], event.shiftKey),
    drag: (box) => {
      const [low, bottom] = state.toValue(box.x0, box.y1);
      const [high, top] = state.toValue(box.x1, box.y0);
      const range = { x: [Math.max(low, state.made.xAxis.low), Math.min(high, state.made.xAxis.high)], y: [Math.max(bottom, state.made.yAxis.low), Math.min(top, state.made.yAxis.high)] };
      const chosen = state.mode === "select" ? rowsIn(state, range) : null;
      if (chosen !== null) state.select(chosen.length === 0 ? null : chosen);
      else state.set({ zoom: range });
    },
  });
}

/** Numbers of the trials in an area of the chart. */
function rowsIn({ made, rows, points }, { x, y }) {
  const numbers = [];
  for (const row of rows) {
    const [cost, metric] = [made.xOf(row), points.metric[row]];
    if (cost >= x[0] && cost <= x[1] && metric >= y[0] && metric <= y[1]) numbers.push(points.number[row]);
  }
  return numbers;
}

function showTip(tip, element, state, row) {
  state.hovered = row;
  tip.hidden = row < 0;
  if (row < 0) return;
  const { job, points, numbers, made } = state;
  const score = points.scores(numbers)[row];
  const lines = [
    `${format.title(format.metricName(job))} ${format.metric(points.metric[row], job)}`,
    format.cost(points.cost[row], job.cost_unit),
    job.reference_cost ? `${format.percent(points.cost[row] / job.reference_cost, 1)} of reference` : null,
    points.statusOf(row) === "done" ? `score ${format.score(score)}` : points.statusOf(row),
    points.isOnFront(row, numbers.sign) ? "on the front" : null,
  ];
  const strong = document.createElement("strong");
  strong.textContent = `Trial ${points.number[row]}`;
  tip.replaceChildren(strong, ...lines.filter(Boolean).flatMap((line) => [document.createElement("br"), line]));
  const [x, y] = state.toPixel(made.xOf(row), points.metric[row]);
  const width = element.clientWidth;
  tip.style.left = x < width / 2 ? `${x + 14}px` : "auto";
  tip.style.right = x < width / 2 ? "auto" : `${width - x + 14}px`;
  tip.style.top = `${Math.max(0, y - 40)}px`;
}

function keys(event, state) {
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 1, ArrowDown: -1 };
  const step = steps[event.key];
  if (step !== undefined) {
    event.preventDefault();
    const order = [...state.rows].sort((a, b) => state.made.xOf(a) - state.made.xOf(b) || a - b);
    const present = state.hovered >= 0 ? state.hovered : state.state.selected;
    const place = order.indexOf(present);
    state.showTip(order[(place + step + order.length) % order.length] ?? -1);
  } else if (event.key === "Enter" && state.hovered >= 0) {
    state.pick(state.points.number[state.hovered], event.shiftKey);
  } else if (event.key === "Escape") {
    state.showTip(-1);
  }
}
