// A learning curve: the metric by epoch on training and validation data.

import { h, s } from "./dom.js";
import * as format from "./format.js";
import { domain, linear } from "./scale.js";

const [WIDTH, HEIGHT] = [360, 190];
const MARGIN = { top: 10, right: 12, bottom: 34, left: 44 };

export class Curve {
  /** `history`: {epoch, metrics}; the metric is drawn where it was measured, the loss elsewhere. */
  constructor(history, bestEpoch, job) {
    const names = Object.keys(history[0].metrics).filter((name) => !name.startsWith("val_"));
    const metric = names.find((name) => name !== "loss" && !name.includes("learning")) ?? "loss";
    const lines = [[metric, "training"], [`val_${metric}`, "validation"]].filter(([name]) => name in history[0].metrics);
    const known = (row, name) => Number.isFinite(row.metrics[name]);
    const values = history.flatMap((row) => lines.filter(([name]) => known(row, name)).map(([name]) => row.metrics[name]));
    this.x = linear([0.5, Math.max(history.length, 1) + 0.5], [MARGIN.left, WIDTH - MARGIN.right]);
    this.y = linear(domain(values.length ? values : [0, 1]), [HEIGHT - MARGIN.bottom, MARGIN.top]);
    const isShare = metric !== "loss" && job.metric_is_share;
    const drawn = lines.map(([name, kind]) => this.line(history.filter((row) => known(row, name)), name, kind));
    const last = history.at(-1).metrics;
    const label = lines.map(([name, kind]) => `${kind} ${metric} ${isShare ? format.percent(last[name]) : format.significant(last[name])}`).join(", ");
    this.element = h("figure", {},
      s("svg", { class: "plot curve", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `after epoch ${history.length}: ${label}` },
        this.axes(history.length, isShare, metric), this.best(bestEpoch), drawn),
      h("p", { class: "legend small" }, lines.map(([, kind]) => h("span", { class: "key" }, h("i", { class: `swatch ${kind}` }), kind))));
  }

  axes(epochs, isShare, metric) {
    const bottom = HEIGHT - MARGIN.bottom;
    const yTicks = this.y.ticks(4);
    const step = yTicks.length > 1 ? yTicks[1] - yTicks[0] : 1;
    const digits = step < 0.01 ? 1 : 0;
    return s("g", { class: "axes", "aria-hidden": "true" },
      yTicks.map((value) => [
        s("line", { class: "grid", x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: this.y(value), y2: this.y(value) }),
        s("text", { class: "y", x: MARGIN.left - 6, y: this.y(value) }, isShare ? `${(100 * value).toFixed(digits)}` : format.significant(value, 2)),
      ]),
      this.x.ticks(Math.min(epochs, 8)).filter((value) => Number.isInteger(value) && value >= 1 && value <= epochs)
        .map((value) => s("text", { class: "x", x: this.x(value), y: bottom + 15 }, String(value))),
      s("line", { class: "axis", x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: bottom, y2: bottom }),
      s("text", { class: "x name", x: (MARGIN.left + WIDTH) / 2, y: HEIGHT - 4 }, "epoch"),
      s("text", { class: "name up", transform: `translate(10 ${bottom / 2 + 5}) rotate(-90)` }, isShare ? `${metric} (%)` : metric));
  }

  line(rows, name, kind) {
    const points = rows.map((row) => [this.x(row.epoch + 1), this.y(row.metrics[name])]);
    return s("g", { class: `line ${kind}` },
      s("polyline", { points: points.map((point) => point.join(",")).join(" ") }),
      points.length <= 30 ? points.map(([x, y]) => s("circle", { cx: x, cy: y, r: 2.2 })) : []);
  }

  best(bestEpoch) {
    if (bestEpoch === null) return null;
    const x = this.x(bestEpoch + 1);
    return s("line", { class: "best-epoch", x1: x, x2: x, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom });
  }
}
