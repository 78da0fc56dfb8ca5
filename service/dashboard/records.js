// The best score as it rose with time.

import { h, put, s } from "./dom.js";
import * as format from "./format.js";
import { domain, linear } from "./scale.js";

const HEIGHT = 190;
const MIN_WIDTH = 240;
const MARGIN = { top: 10, right: 14, bottom: 36, left: 62 };

export class Records {
  constructor() {
    this.svg = s("svg", { class: "plot records", role: "img" });
    this.element = h("figure", { class: "card" }, h("h2", {}, "Best score over time"), this.svg);
    this.points = null;
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.svg);
  }

  close() {
    this.observer.disconnect();
  }

  /** `points`: Points. */
  update(points) {
    if (points === this.points) return;
    this.points = points;
    this.draw();
  }

  draw() {
    if (this.points === null) return;
    const { found, last } = this.points.records();
    this.element.hidden = found.length === 0;
    if (found.length === 0) return;
    const width = Math.max(this.svg.clientWidth || 720, MIN_WIDTH);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const bottom = HEIGHT - MARGIN.bottom;
    const [factor, unit] = last >= 7200 ? [3600, "hours"] : last >= 180 ? [60, "minutes"] : [1, "seconds"];
    const x = linear([0, Math.max(last, 1e-3) / factor], [MARGIN.left, width - MARGIN.right]);
    const y = linear(domain(found.map((record) => record.score), { margin: 0.12 }), [bottom, MARGIN.top]);
    const at = (record) => [x(record.x / factor), y(record.score)];
    const steps = found.map((record, index) => (index === 0 ? `M${at(record).join(",")}` : `H${at(record)[0]}V${at(record)[1]}`));
    put(this.svg,
      s("g", { class: "axes", "aria-hidden": "true" },
        y.ticks(4).map((value) => [
          s("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
          s("text", { class: "y", x: MARGIN.left - 8, y: y(value) }, format.significant(value, 3)),
        ]),
        x.ticks(Math.max(2, Math.floor(width / 90))).map((value) => s("text", { class: "x", x: x(value), y: bottom + 16 }, format.plain(value))),
        s("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }),
        s("text", { class: "x name", x: (MARGIN.left + width) / 2, y: HEIGHT - 4 }, `${unit} after the job's creation`)),
      s("path", { class: "record", d: `${steps.join("")}H${width - MARGIN.right}` }),
      found.length <= 60 ? found.map((record) => s("circle", { class: "record-dot", cx: at(record)[0], cy: at(record)[1], r: 3 }, s("title", {}, `trial ${record.number}: ${format.score(record.score)}`))) : []);
    this.svg.setAttribute("aria-label", `best score ${format.score(found.at(-1).score)}, found by trial ${found.at(-1).number} after ${format.duration(found.at(-1).x)}; ${found.length} times a better one was found`);
  }
}
