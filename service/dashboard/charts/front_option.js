// What the chart of metric against cost consists of: dots, the front as steps, references, curves of equal score,
// constraints, budget.

import * as format from "../lib/format.js";
import { axis, axisOption } from "../lib/axis.js";
import { metricOf } from "../lib/score.js";

const LARGE = 3000;
const CURVE_POINTS = 80;

/** What can stand on the x axis: name -> {values, label, title}. */
export function measures(job, points) {
  const reference = job.reference_cost;
  const unit = job.cost_unit;
  const list = { cost: { values: points.cost, reference, label: (value) => format.tidyCost(value, unit), title: unit === "energy_pj" ? "energy of one inference" : format.unitName(unit) } };
  if (reference > 0) {
    list.share = { values: points.cost, scale: 1 / reference, reference: 1, label: (value) => format.percent(value, value < 0.1 ? 1 : 0), title: unit === "energy_pj" ? "energy, of the reference" : "cost, of the reference" };
  }
  if (unit !== "bits") list.bits = { values: points.bits, reference: job.reference.bits || null, label: (value) => `${format.short(value)} bits`, title: "size of parameters and activations" };
  if (unit !== "energy_pj") list.energy = { values: points.energy_pj, reference: job.reference_energy_pj, label: format.tidyEnergy, title: "energy of one inference" };
  return list;
}

/** The layout of the chart: axes and what lies on them, in values. */
export function layout({ job, points, rows, measure, isLog, zoom, marks, isWhole, sign }) {
  const list = measures(job, points);
  const x = list[measure] ?? list.cost;
  const scale = x.scale ?? 1;
  const xOf = (row) => x.values[row] * scale;
  const xs = rows.map(xOf);
  for (const mark of marks) if (Number.isFinite(mark)) xs.push(mark * scale);
  const ys = isWhole ? rows.map((row) => points.metric[row]) : usual(rows, points, sign);
  const share = job.metric_is_share;
  return {
    x,
    scale,
    xOf,
    xAxis: axis(xs, { isLog, range: zoom?.x ?? null, count: 9, label: x.label, name: x.title }),
    yAxis: axis(ys, { range: zoom?.y ?? null, count: 6, label: (value) => (share ? format.tidyPercent(value) : format.plain(value)), name: format.metricName(job) }),
  };
}

const FEW = 12;

/** Metrics without the few that lie far below the others and would press these together; all of them if there are few. */
function usual(rows, points, sign) {
  const merits = Float64Array.from(rows, (row) => sign * points.metric[row]).sort();
  if (merits.length < FEW) return rows.map((row) => points.metric[row]);
  const top = merits[merits.length - 1];
  let least = merits[Math.floor(0.1 * merits.length)];
  for (const row of points.front(sign)) least = Math.min(least, sign * points.metric[row]);
  const edge = least - 0.35 * (top - least || Math.abs(top) || 1);
  return [...merits].filter((merit) => merit >= edge).map((merit) => sign * merit);
}

const pairs = (rows, made, points) => {
  const data = new Float32Array(rows.length * 2);
  rows.forEach((row, index) => {
    data[2 * index] = made.xAxis.at(made.xOf(row));
    data[2 * index + 1] = points.metric[row];
  });
  return data;
};

const dots = (name, rows, made, points, style) => {
  const isLarge = rows.length > LARGE;
  const data = pairs(rows, made, points);
  return {
    name, type: "scatter", silent: true, clip: true, large: isLarge, progressive: 0, symbolSize: isLarge ? 3 : 8, z: 2, ...style,
    data: isLarge ? data : rows.map((_, index) => [data[2 * index], data[2 * index + 1]]),
    ...(isLarge ? { dimensions: ["x", "y"] } : {}),
  };
};

/** The whole option; `state` is what `layout` was made of, with `groups` of rows and what is selected. */
export function frontOption(state, made, colours) {
  const { job, points, groups, numbers, best, selected, compared, budget, kneeRow } = state;
  const isEnergyLike = made.x.values === points.cost;
  return {
    grid: { left: 66, right: 22, top: 26, bottom: 48 },
    xAxis: axisOption(made.xAxis, colours),
    yAxis: axisOption(made.yAxis, colours, { isX: false }),
    series: [
      dots("trials", groups.done, made, points, { itemStyle: { color: colours.trial, opacity: groups.done.length > LARGE ? 0.35 : 0.85, borderColor: colours.card, borderWidth: groups.done.length > LARGE ? 0 : 0.8 } }),
      dots("pruned", groups.pruned, made, points, { symbol: "circle", symbolSize: 6, itemStyle: { color: "transparent", borderColor: colours.muted, borderWidth: 1.4 } }),
      dots("infeasible", groups.infeasible, made, points, { symbol: "path://M0,0 L10,10 M10,0 L0,10", symbolSize: 8, itemStyle: { color: "transparent", borderColor: colours.fault, borderWidth: 1.6 } }),
      ...(isEnergyLike ? isoCurves(state, made, colours) : []),
      frontLine(groups.front, made, points, colours),
      dots("front", groups.front, made, points, { symbol: "diamond", symbolSize: 12, z: 5, itemStyle: { color: colours.front, borderColor: colours.card, borderWidth: 1 }, label: labelled(groups.front, points, colours) }),
      ring("knee", kneeRow, made, points, { symbol: "circle", symbolSize: 22, itemStyle: { color: "transparent", borderColor: colours.front, borderWidth: 1.5, borderType: "dotted" } }),
      ring("best", best, made, points, { symbol: "circle", symbolSize: 13, itemStyle: { color: colours.best, borderColor: colours.card, borderWidth: 1.5 } }),
      ...compared.map((row) => ring("compared", row, made, points, { symbol: "rect", symbolSize: 18, itemStyle: { color: "transparent", borderColor: colours.accent, borderWidth: 1.6 } })),
      ring("selected", selected, made, points, { symbol: "circle", symbolSize: 20, itemStyle: { color: "transparent", borderColor: colours.ring, borderWidth: 2 } }),
      references(state, made, colours, isEnergyLike ? budget : null),
      constraints(job, made, colours, isEnergyLike),
    ].filter(Boolean),
  };
}

/** Numbers beside the front's trials where there are few. */
const labelled = (rows, points, colours) =>
  rows.length > 30 ? undefined : { show: true, position: "top", distance: 6, fontSize: 11, color: colours.muted, formatter: ({ dataIndex }) => String(points.number[rows[dataIndex]]) };

function ring(name, row, made, points, style) {
  if (row === null || row === undefined || row < 0 || !points.isMeasured(row)) return null;
  return { name, type: "scatter", silent: true, z: 6, data: [[made.xAxis.at(made.xOf(row)), points.metric[row]]], ...style };
}

/** From each member of the front to the next, along what both reach. */
function frontLine(rows, made, points, colours) {
  const data = [];
  rows.forEach((row, index) => {
    const x = made.xAxis.at(made.xOf(row));
    if (index > 0) data.push([x, points.metric[rows[index - 1]]]);
    data.push([x, points.metric[row]]);
  });
  if (rows.length) data.push([Math.max(made.xAxis.at(made.xAxis.high), data.at(-1)[0]), points.metric[rows.at(-1)]]);
  return { name: "front line", type: "line", silent: true, symbol: "none", z: 4, data, lineStyle: { color: colours.front, width: 1.8 } };
}

/** Curves of equal score: that of the best trial, and two below it. */
function isoCurves({ job, points, numbers, best }, made, colours) {
  if (best === null || best < 0) return [];
  const top = points.scores(numbers)[best];
  const { at, from, low, high } = made.xAxis;
  return [1, 0.96, 0.92].map((part, index) => {
    const level = top >= 0 ? top * part : top / part;
    const data = [];
    for (let step = 0; step <= CURVE_POINTS; step++) {
      const place = at(low) + ((at(high) - at(low)) * step) / CURVE_POINTS;
      const cost = from(place) / made.scale;
      const metric = cost > 0 ? metricOf(level, cost, numbers) : NaN;
      if (Number.isFinite(metric) && metric >= made.yAxis.low && metric <= made.yAxis.high) data.push([place, metric]);
    }
    return { name: `score ${format.score(level)}`, type: "line", silent: true, symbol: "none", z: 3, data, lineStyle: { color: colours.best, width: index === 0 ? 1.6 : 1, type: index === 0 ? "dashed" : "dotted", opacity: index === 0 ? 1 : 0.8 } };
  });
}

/** Lines at the reference's cost, the float model's metric and the budget; what lies beyond the axis is named at its edge. */
function references({ job }, made, colours, budget) {
  const { at, low, high } = made.xAxis;
  const lines = [];
  const vertical = (value, name, style) => {
    if (!(value > 0)) return;
    const place = at(value * made.scale);
    const isInside = value * made.scale >= low && value * made.scale <= high;
    if (!isInside) return;
    lines.push({ xAxis: place, lineStyle: style, label: { formatter: name, position: "end", color: colours.text, fontSize: 11, align: place > (at(low) + at(high)) / 2 ? "right" : "left" } });
  };
  const reference = made.x.reference === null ? null : made.x.reference / made.scale;
  vertical(reference, `reference ${exact(made, made.x.reference)}`, { color: colours.reference, type: [5, 4], width: 1.5 });
  vertical(budget, `budget ${exact(made, budget * made.scale)}`, { color: colours.text, type: [8, 4], width: 1.5 });
  if (job.float_metric !== null && job.float_metric !== undefined && job.float_metric >= made.yAxis.low && job.float_metric <= made.yAxis.high) {
    lines.push({ yAxis: job.float_metric, lineStyle: { color: colours.reference, type: "dotted", width: 1.5 }, label: { formatter: `float model ${format.metric(job.float_metric, job)}`, position: "insideStartTop", color: colours.text, fontSize: 11 } });
  }
  return { name: "lines", type: "line", silent: true, data: [], markLine: { silent: true, symbol: "none", animation: false, data: lines } };
}

/** A place on the x axis with three digits. */
const exact = (made, value) => (made.x.label === format.tidyEnergy || made.x.title.startsWith("energy of one") ? format.energy(value) : made.x.label(value));

/** What the constraints forbid, shaded. */
function constraints(job, made, colours, isCost) {
  const { at, low, high } = made.xAxis;
  const limits = job.spec.constraints ?? {};
  const areas = [];
  const label = (text) => ({ show: true, position: "insideBottom", color: colours.text, fontSize: 11, formatter: text });
  const energies = job.cost_unit === "energy_pj" && isCost ? limits.max_energy_pj * made.scale : made.x.title.startsWith("energy of") ? limits.max_energy_pj : null;
  const bits = made.x.values === undefined ? null : job.cost_unit === "bits" && isCost ? limits.max_bits * made.scale : made.x.title.startsWith("size of") ? limits.max_bits : null;
  for (const [limit, name] of [[energies, "max_energy_pj"], [bits, "max_bits"]]) {
    if (limit && limit < high) areas.push([{ xAxis: at(Math.max(limit, low)), label: label(`above ${name}`) }, { xAxis: at(high) }]);
  }
  if (limits.max_metric_drop && job.float_metric !== null && job.float_metric !== undefined) {
    const least = job.metric_direction === "min" ? job.float_metric * (1 + limits.max_metric_drop) : job.float_metric - limits.max_metric_drop;
    const [from, to] = job.metric_direction === "min" ? [least, made.yAxis.high] : [made.yAxis.low, least];
    if (to > from) areas.push([{ yAxis: from, label: label("beyond max_metric_drop") }, { yAxis: to }]);
  }
  if (areas.length === 0) return null;
  return { name: "constraints", type: "line", silent: true, data: [], z: 1, markArea: { silent: true, itemStyle: { color: colours.constraint, opacity: 0.18 }, data: areas } };
}
