// What the chart of metric against cost consists of: dots, the front as steps, references, curves of equal score,
// constraints, budget.

import * as format from "../lib/format.js";
import { axis, axisOption } from "../lib/axis.js";
import { usualRange } from "../lib/scale.js";
import { otherReferences } from "../lib/references.js";
import { metricOf } from "../lib/score.js";

const MANY = 200; // trials of a kind from which their dots are drawn by hand, below the chart: that is done once, not at each step of a slider
const CURVE_POINTS = 80;

/** What can stand on the x axis: name -> {values, label, title}. */
export function measures(job, points) {
  const reference = job.reference_cost;
  const unit = job.cost_unit;
  const others = otherReferences(job);
  const list = { cost: { values: points.cost, reference, others, label: (value) => format.tidyCost(value, unit), title: unit === "energy_pj" ? "energy of one inference" : format.unitName(unit) } };
  if (reference > 0) {
    list.share = { values: points.cost, scale: 1 / reference, reference: 1, others: others.map(({ name, value }) => ({ name, value: value / reference })), label: (value) => format.percent(value, value < 0.1 ? 1 : 0), title: unit === "energy_pj" ? "energy, of the reference" : "cost, of the reference" };
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
  const ys = isWhole || rows.length === 0 ? rows.map((row) => points.metric[row]) : usual(rows, points, sign);
  const share = job.metric_is_share;
  return {
    x,
    scale,
    xOf,
    xAxis: axis(xs, { isLog, range: zoom?.x ?? null, count: 9, label: x.label, name: x.title }),
    yAxis: axis(ys, { range: zoom?.y ?? null, count: 6, label: (value) => (share ? format.tidyPercent(value) : format.plain(value)), name: format.metricName(job) }),
  };
}

/** Metrics without the few far below the others. */
const usual = (rows, points, sign) => usualRange(rows.map((row) => sign * points.metric[row]), points.front(sign).map((row) => sign * points.metric[row])).map((merit) => sign * merit);

/** How trials of each status are drawn by hand. */
const KINDS = [["done", "trial"], ["pruned", "muted"], ["infeasible", "fault"]];
const isMany = (rows) => rows.length > MANY;
const MOST_LAYERS = 255;

/** Whether some dots are drawn by `drawDots`. */
export const isHandDrawn = (groups) => KINDS.some(([kind]) => isMany(groups[kind]));

/** Diameter in pixels and opacity of so many dots: the more there are, the smaller and the more transparent. */
const looksOf = (count) => (count > 3000 ? [3, 0.4] : count > 800 ? [5, 0.6] : [8, 0.85]);

/** Places of the pixels of a disc, from its upper left corner. */
function disc(diameter) {
  const places = [];
  for (let y = 0; y < diameter; y++) for (let x = 0; x < diameter; x++) if (diameter < 4 || Math.hypot(x - (diameter - 1) / 2, y - (diameter - 1) / 2) <= diameter / 2) places.push([x, y]);
  return places;
}

/** Draw the trials of which there are many, pixel by pixel; `toPixel(x, y)`: from values; `frame`: [x, y, width, height]. */
export function drawDots(pen, { groups, made, points, toPixel, frame, scale }, colours) {
  const [left, top, width, height] = frame.map((length) => Math.round(length * scale));
  if (width <= 0 || height <= 0) return;
  const picture = pen.createImageData(width, height);
  const [x0, y0] = toPixel(made.xAxis.low, made.yAxis.low);
  const [x1, y1] = toPixel(made.xAxis.high, made.yAxis.high);
  const at = made.xAxis.isLog ? Math.log10 : (value) => value;
  const stretch = ((x1 - x0) * scale) / (at(made.xAxis.high) - at(made.xAxis.low));
  const rise = ((y1 - y0) * scale) / (made.yAxis.high - made.yAxis.low);
  for (const [kind, colour] of KINDS) {
    const rows = groups[kind];
    if (!isMany(rows)) continue;
    const [size, opacity] = looksOf(rows.length);
    const diameter = Math.max(2, Math.round(size * scale));
    const pixels = disc(diameter);
    const startX = x0 * scale - left - (diameter - 1) / 2 - at(made.xAxis.low) * stretch;
    const startY = y0 * scale - top - (diameter - 1) / 2 - made.yAxis.low * rise;
    const layers = new Uint8Array(width * height);
    const touched = [];
    for (const row of rows) {
      const x = Math.round(startX + at(made.xOf(row)) * stretch);
      const y = Math.round(startY + points.metric[row] * rise);
      if (!(x > -diameter && x < width && y > -diameter && y < height)) continue;
      for (const [dx, dy] of pixels) {
        const [column, line] = [x + dx, y + dy];
        if (column < 0 || column >= width || line < 0 || line >= height) continue;
        const pixel = line * width + column;
        if (layers[pixel] === 0) touched.push(pixel);
        if (layers[pixel] < MOST_LAYERS) layers[pixel]++;
      }
    }
    blend(picture.data, layers, touched, colours[colour], opacity);
  }
  pen.putImageData(picture, left, top);
}

/** Lay a colour over those pixels of a picture, as often as `layers` says for each. */
function blend(data, layers, pixels, colour, opacity) {
  const [red, green, blue] = colour.match(/[\d.]+/g).map(Number);
  const alphas = Float32Array.from({ length: MOST_LAYERS + 1 }, (_, count) => 1 - (1 - opacity) ** count);
  for (const pixel of pixels) {
    const over = alphas[layers[pixel]];
    const place = 4 * pixel;
    const under = (data[place + 3] / 255) * (1 - over);
    const alpha = over + under;
    data[place] = (red * over + data[place] * under) / alpha;
    data[place + 1] = (green * over + data[place + 1] * under) / alpha;
    data[place + 2] = (blue * over + data[place + 2] * under) / alpha;
    data[place + 3] = 255 * alpha;
  }
}

const dots = (name, rows, made, points, style) => ({
  name, type: "scatter", silent: true, clip: true, progressive: 0, symbolSize: 8, z: 2, ...style,
  data: Array.from(rows, (row) => [made.xAxis.at(made.xOf(row)), points.metric[row]]),
});

/** All trials as series; of many in pictures only, since these are drawn below the chart. */
function allDots({ groups, points }, made, colours, isPicture) {
  const few = {
    done: { itemStyle: { color: colours.trial, opacity: 0.85, borderColor: colours.card, borderWidth: 0.8 } },
    pruned: { symbol: "circle", symbolSize: 6, itemStyle: { color: "transparent", borderColor: colours.muted, borderWidth: 1.4 } },
    infeasible: { symbol: "path://M0,0 L10,10 M10,0 L0,10", symbolSize: 8, itemStyle: { color: "transparent", borderColor: colours.fault, borderWidth: 1.6 } },
  };
  return KINDS.filter(([kind]) => isPicture || !isMany(groups[kind])).map(([kind, colour]) => {
    const [symbolSize, opacity] = looksOf(groups[kind].length);
    const style = isMany(groups[kind]) ? { symbolSize, large: groups[kind].length > 3000, itemStyle: { color: colours[colour], opacity } } : few[kind];
    return dots(kind, groups[kind], made, points, style);
  });
}

/** The whole option; `state` is what `layout` was made of, with `groups` of rows and what is selected. */
export function frontOption(state, made, colours, isPicture = false) {
  const { job, points, groups, best, selected, compared, budget, kneeRow } = state;
  const isEnergyLike = made.x.values === points.cost;
  return {
    grid: { left: 66, right: 22, top: 26, bottom: 48 },
    xAxis: axisOption(made.xAxis, colours),
    yAxis: axisOption(made.yAxis, colours, { isX: false }),
    series: [
      ...allDots(state, made, colours, isPicture),
      ...(isEnergyLike ? isoCurves(state, made, colours) : []),
      runningMarks(state, made, colours),
      frontLine(groups.front, made, points, colours),
      dots("front", groups.front, made, points, { symbol: "diamond", symbolSize: 12, z: 5, itemStyle: { color: colours.front, borderColor: colours.card, borderWidth: 1 }, label: labelled(groups.front, points, colours), labelLayout: { hideOverlap: true } }),
      ring("knee", kneeRow, made, points, { symbol: "circle", symbolSize: 22, itemStyle: { color: "transparent", borderColor: colours.front, borderWidth: 1.5, borderType: "dotted" } }),
      ring("best", best, made, points, { symbol: "circle", symbolSize: 13, itemStyle: { color: colours.best, borderColor: colours.card, borderWidth: 1.5 } }),
      ...compared.map((row) => ring("compared", row, made, points, { symbol: "rect", symbolSize: 18, itemStyle: { color: "transparent", borderColor: colours.accent, borderWidth: 1.6 } })),
      ring("selected", selected, made, points, { symbol: "circle", symbolSize: 20, itemStyle: { color: "transparent", borderColor: colours.ring, borderWidth: 2 } }),
      references(state, made, colours, isEnergyLike ? budget : null),
      constraints(job, made, colours, isEnergyLike),
    ].filter(Boolean),
  };
}

/** Trials that run, at the left edge: their metric so far is known, their cost is measured at the end. */
function runningMarks({ running }, made, colours) {
  if (running.length === 0) return null;
  const { low, high } = made.yAxis;
  const place = (value) => Math.min(Math.max(value, low), high);
  return {
    name: "running", type: "scatter", silent: true, z: 6, symbol: "triangle", symbolRotate: -90, symbolSize: [9, 11], symbolOffset: [5, 0],
    data: running.map(({ value }) => [made.xAxis.at(made.xAxis.low), place(value)]),
    itemStyle: { color: colours.validation, borderColor: colours.card, borderWidth: 1 },
    label: { show: running.length <= 12, position: "right", fontSize: 11, color: colours.muted, formatter: ({ dataIndex }) => String(running[dataIndex].number) },
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
function isoCurves({ points, numbers, best }, made, colours) {
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
  for (const { name, value } of made.x.others ?? []) vertical(value / made.scale, `${name} ${exact(made, value)}`, { color: colours.reference, type: [2, 4], width: 1.5 });
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
