// Cost against metric: every trial on a canvas; over it the Pareto front, the best and the selected trial as SVG.

import { drawDots } from "./dots.js";
import { h, put, s } from "./dom.js";
import * as format from "./format.js";
import { extent } from "./points.js";
import { domain, linear, logarithmic } from "./scale.js";

const MARGIN = { top: 14, right: 18, bottom: 46, left: 62 };
const REACH = 28; // how near, in pixels, the pointer must come to a trial
const MIN_WIDTH = 280;
const MAX_MARKS = 400; // a front longer than this keeps its line, not its diamonds

const diamond = (x, y, r) => `M${x},${y - r}L${x + r},${y}L${x},${y + r}L${x - r},${y}Z`;

function star(x, y, r) {
  const corners = Array.from({ length: 10 }, (_, index) => {
    const radius = index % 2 ? r * 0.45 : r;
    const angle = (Math.PI * index) / 5 - Math.PI / 2;
    return `${x + radius * Math.cos(angle)},${y + radius * Math.sin(angle)}`;
  });
  return `M${corners.join("L")}Z`;
}

export class Plot {
  /** `onSelect(number)` is called when the reader picks a trial. */
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.isLog = true;
    this.data = null;
    this.hovered = null; // a place in this.shown
    this.under = s("svg", { class: "plot under", "aria-hidden": "true" });
    this.canvas = h("canvas", { class: "dots", "aria-hidden": "true" });
    this.rings = s("g");
    this.marks = s("g");
    this.svg = s("svg", {
      class: "plot over", role: "group", tabindex: 0, "aria-describedby": "plot-hint",
      onpointermove: (event) => this.hover(this.nearest(event)),
      onpointerleave: () => this.hover(null),
      onclick: (event) => this.pick(this.nearest(event)),
      onkeydown: (event) => this.key(event),
      onblur: () => this.hover(null),
    }, this.marks, this.rings);
    this.tip = h("div", { class: "tip", role: "status", hidden: true });
    const toggle = h("input", { type: "checkbox", onchange: (event) => { this.isLog = event.target.checked; this.hover(null); this.draw(); } });
    toggle.checked = true;
    this.legend = h("p", { class: "legend small" });
    this.title = h("h2", {}, "Accuracy against energy");
    this.filter = h("div", { class: "statuses small" });
    this.element = h("figure", { class: "card" },
      h("div", { class: "row" }, this.title, h("label", { class: "small" }, toggle, " log scale")), this.filter,
      h("div", { class: "canvas" }, this.under, this.canvas, this.svg, this.tip), this.legend,
      h("p", { id: "plot-hint", class: "visually-hidden" }, "Arrow keys move along the trials by cost, Home and End to the first and last, Enter selects. The table below lists the same trials."));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.svg);
    this.colours = matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => this.draw();
    this.colours.addEventListener("change", this.recolour);
  }

  close() {
    this.observer.disconnect();
    this.colours.removeEventListener("change", this.recolour);
  }

  /** `points`: Points; `statuses`: those that are shown; `selected`: a number or null. */
  update({ job, points, statuses, selected }) {
    const kept = this.data?.points.columns.number[this.shown?.[this.hovered]];
    const isSame = this.data !== null && this.data.points === points && this.data.statuses === statuses;
    this.data = { job, points, statuses, selected };
    this.isEnergy = job.cost_unit === "energy_pj";
    this.title.textContent = `${format.title(format.metricName(job))} against ${this.isEnergy ? "energy" : "cost"}`;
    if (isSame && this.shown) {
      this.drawRings();
      return;
    }
    this.shown = points.plotted(statuses);
    const again = kept === undefined ? -1 : this.shown.findIndex((index) => points.columns.number[index] === kept);
    this.draw();
    this.hover(again < 0 ? null : again);
  }

  draw() {
    if (this.data === null || this.shown === undefined) return;
    const width = Math.max(this.svg.clientWidth || 600, MIN_WIDTH);
    const height = Math.max(this.svg.clientHeight || 360, 240);
    for (const svg of [this.under, this.svg]) svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    if (this.shown.length === 0) {
      this.xs = this.ys = new Float32Array(0);
      drawDots(this.canvas, width, height, this.xs, this.ys, () => false);
      put(this.under, s("text", { class: "nothing", x: width / 2, y: height / 2 }, this.nothing()));
      put(this.marks);
      put(this.rings);
      put(this.legend);
      return;
    }
    this.scale(width, height);
    this.place();
    const { columns } = this.data.points;
    drawDots(this.canvas, width, height, this.xs, this.ys, (place) => columns.status[this.shown[place]] !== "done");
    put(this.under, this.axes(width, height), this.reference(height));
    put(this.marks, this.frontLine(width), this.highlights());
    this.drawRings();
    this.svg.setAttribute("aria-label", this.summary());
    this.drawLegend();
  }

  nothing() {
    const { job, points } = this.data;
    if (points.length && job.best) return "No trial of these statuses has a cost and a metric";
    return job.finished_at ? "No trial was measured" : "No trial is measured yet";
  }

  scale(width, height) {
    const { job, points } = this.data;
    const { cost, metric } = points.columns;
    const [least, most] = extent(this.shown.map((index) => cost[index]));
    const costs = [least, most, job.reference_cost];
    const usesLog = this.isLog && Math.min(...costs) > 0;
    const xDomain = domain(costs, { isLog: usesLog });
    if (!usesLog) xDomain[0] = Math.min(0, least);
    this.x = (usesLog ? logarithmic : linear)(xDomain, [MARGIN.left, width - MARGIN.right]);
    const metrics = extent(this.shown.map((index) => metric[index]));
    const [low, high] = domain(metrics, { margin: 0.1 });
    const ceiling = job.metric_is_share ? Math.max(1.005, metrics[1]) : Infinity;
    this.y = linear([low, Math.min(high, ceiling)], [height - MARGIN.bottom, MARGIN.top]);
    this.unit = this.isEnergy ? format.energyUnit(xDomain[1] / (usesLog ? 30 : 1)) : { factor: 1, unit: "" };
  }

  /** Where each shown trial stands, in pixels, and which are on the front: counted once for drawing and pointing. */
  place() {
    const { cost, metric, front } = this.data.points.columns;
    this.front = []; // places in `shown`, by rising cost
    this.shown.forEach((index, place) => { if (front[index]) this.front.push(place); });
    this.xs = Float32Array.from(this.shown, (index) => this.x(cost[index]));
    this.ys = Float32Array.from(this.shown, (index) => this.y(metric[index]));
  }

  axes(width, height) {
    const { job } = this.data;
    const bottom = height - MARGIN.bottom;
    const xTicks = this.x.ticks(Math.max(2, Math.floor(width / 110)));
    const yTicks = this.y.ticks(Math.max(2, Math.floor(height / 60)));
    const digits = yTicks.length > 1 && yTicks[1] - yTicks[0] < 0.01 ? (yTicks[1] - yTicks[0] < 0.001 ? 2 : 1) : 0;
    const xLabel = (value) => Number((value / this.unit.factor).toPrecision(6)).toLocaleString("en-US", { maximumSignificantDigits: 6 });
    const yLabel = (value) => (job.metric_is_share ? (100 * value).toFixed(digits) : format.significant(value, 3));
    return s("g", { class: "axes" },
      yTicks.map((value) => [
        s("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: this.y(value), y2: this.y(value) }),
        s("text", { class: "y", x: MARGIN.left - 8, y: this.y(value) }, yLabel(value)),
      ]),
      xTicks.map((value) => [
        s("line", { class: "grid", x1: this.x(value), x2: this.x(value), y1: MARGIN.top, y2: bottom }),
        s("text", { class: "x", x: this.x(value), y: bottom + 18 }, xLabel(value)),
      ]),
      s("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }),
      s("line", { class: "axis", x1: MARGIN.left, x2: MARGIN.left, y1: MARGIN.top, y2: bottom }),
      s("text", { class: "x name", x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 8 },
        this.isEnergy ? `energy of one inference (${this.unit.unit})` : format.unitName(job.cost_unit)),
      s("text", { class: "name up", transform: `translate(16 ${(MARGIN.top + bottom) / 2}) rotate(-90)` },
        `validation ${format.metricName(job)}${job.metric_is_share ? " (%)" : ""}`));
  }

  reference(height) {
    const x = this.x(this.data.job.reference_cost);
    const leftward = x > this.x(this.x.domain[1]) - 90;
    return s("g", { class: "reference" },
      s("line", { x1: x, x2: x, y1: MARGIN.top, y2: height - MARGIN.bottom }),
      s("text", { x: x + (leftward ? -6 : 6), y: height - MARGIN.bottom - 8, "text-anchor": leftward ? "end" : "start" }, "reference"));
  }

  frontLine(width) {
    const kept = this.front;
    if (kept.length === 0) return null;
    const steps = kept.map((place, index) =>
      index === 0 ? `M${this.xs[place]},${this.ys[place]}` : `H${this.xs[place]}V${this.ys[place]}`);
    return s("path", { class: "front", d: `${steps.join("")}H${width - MARGIN.right}` });
  }

  highlights() {
    const { points, job } = this.data;
    const best = this.shown.indexOf(points.index.get(job.best?.number));
    const kept = this.front;
    const diamonds = kept.length > MAX_MARKS ? [] : kept.filter((place) => place !== best);
    return [
      ...diamonds.map((place) => s("path", { class: "mark on-front", d: diamond(this.xs[place], this.ys[place], 6) })),
      best < 0 ? null : s("path", { class: "mark best", d: star(this.xs[best], this.ys[best], 10) }),
    ].filter(Boolean);
  }

  drawRings() {
    const { points, selected } = this.data;
    const chosen = this.shown.indexOf(points.index.get(selected));
    const ring = (place, name) => s("circle", { class: name, cx: this.xs[place], cy: this.ys[place], r: 11 });
    put(this.rings,
      chosen < 0 ? null : ring(chosen, "ring"),
      this.hovered === null || this.hovered === chosen ? null : ring(this.hovered, "ring hover"));
  }

  drawLegend() {
    const { job, statuses } = this.data;
    const key = (shape, text) => h("span", { class: "key" }, s("svg", { width: 16, height: 16, viewBox: "0 0 16 16", "aria-hidden": "true" }, shape), text);
    const hasHollow = this.shown.some((index) => !this.data.points.isMeasured(index));
    put(this.legend,
      key(s("circle", { class: "mark", cx: 8, cy: 8, r: 4 }), "trial"),
      hasHollow && statuses.size ? key(s("circle", { class: "mark hollow", cx: 8, cy: 8, r: 4 }), "given up") : null,
      key(s("path", { class: "mark on-front", d: diamond(8, 8, 6) }), "Pareto front"),
      key(s("path", { class: "mark best", d: star(8, 8, 7) }), "best score"),
      key(s("line", { class: "reference-key", x1: 8, x2: 8, y1: 1, y2: 15 }), `reference, ${format.cost(job.reference_cost, job.cost_unit)}`));
  }

  summary() {
    const { job } = this.data;
    const best = job.best ? ` Best: trial ${job.best.number}, ${format.metricName(job)} ${format.metric(job.best.metric, job)}, ${format.cost(job.best.cost, job.cost_unit)}.` : "";
    return `${this.shown.length} trials, ${this.front.length} on the Pareto front.${best}`;
  }

  nearest(event) {
    if (this.data === null || this.shown.length === 0) return null;
    const box = this.svg.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    let found = null;
    let reach = REACH * REACH;
    for (let place = 0; place < this.xs.length; place++) {
      const [dx, dy] = [this.xs[place] - left, this.ys[place] - top];
      const distance = dx * dx + dy * dy;
      if (distance < reach) [found, reach] = [place, distance];
    }
    return found;
  }

  hover(place) {
    if (place === this.hovered) return;
    this.hovered = place;
    this.svg.classList.toggle("pointing", place !== null);
    this.tip.hidden = place === null;
    this.drawRings();
    if (place === null) return;
    const { job, points } = this.data;
    const trial = points.at(this.shown[place]);
    put(this.tip,
      h("strong", {}, `Trial ${trial.number}`, trial.front ? " · on the front" : trial.status === "done" ? "" : ` · ${trial.status}`),
      h("div", {}, `${format.metricName(job)} ${format.metric(trial.metric, job)}`),
      h("div", {}, `${format.cost(trial.cost, job.cost_unit)} · ${format.percent(trial.cost / job.reference_cost, 1)} of reference`),
      h("div", {}, `score ${format.score(trial.score)}`));
    const [x, y] = [this.xs[place], this.ys[place]];
    const width = this.svg.clientWidth;
    this.tip.style.left = `${Math.min(Math.max(x + 14, 0), Math.max(width - this.tip.offsetWidth - 4, 0))}px`;
    this.tip.style.top = `${y > 90 ? y - this.tip.offsetHeight - 12 : y + 16}px`;
  }

  pick(place) {
    if (place !== null) this.onSelect(this.data.points.columns.number[this.shown[place]]);
  }

  key(event) {
    const count = this.shown?.length ?? 0;
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined && count > 0) {
      const from = this.hovered ?? this.shown.indexOf(this.data.points.index.get(this.data.selected));
      this.hover(Math.min(Math.max(from + step, 0), count - 1));
      event.preventDefault();
    } else if (event.key === "Enter") {
      this.pick(this.hovered);
    } else if (event.key === "Escape") {
      this.hover(null);
    }
  }
}
