// The trials of a job as a table: the plot's twin for readers without it, and where failures show their reasons.

import { h, put } from "./dom.js";
import * as format from "./format.js";

const FIRST = 25;

const LARGEST = 1000; // what one answer of the service holds

/** `field`: what the service sorts by. */
const COLUMNS = [
  { name: "Trial", field: "number", text: (trial) => String(trial.number) },
  { name: "Score", field: "score", text: (trial) => format.score(trial.score), best: "high" },
  { name: "Accuracy", field: "metric", text: (trial, job) => format.metric(trial.metric, job), best: "high", isMetric: true },
  { name: "Energy", field: "energy_pj", text: (trial) => format.energy(trial.energy_pj) },
  { name: "Of reference", field: "cost", text: (trial, job) => (trial.cost === null || !job.reference_cost ? "–" : format.percent(trial.cost / job.reference_cost, 1)) },
  { name: "Bits", field: "bits", text: (trial) => format.whole(trial.bits) },
];

export class TrialTable {
  /** `onSelect(number)`: a trial was picked; `onAsk()`: `query` has changed. */
  constructor(onSelect, onAsk) {
    Object.assign(this, { onSelect, onAsk, column: COLUMNS[1], descending: true, limit: FIRST });
    this.body = h("tbody");
    this.heads = COLUMNS.map((column) =>
      h("th", { scope: "col", class: "number" }, h("button", { type: "button", class: "plain", onclick: () => this.sort(column) }, column.name)));
    this.more = h("button", { type: "button", hidden: true, onclick: () => { this.limit = Math.min(this.limit * 4, LARGEST); this.onAsk(); } }, "More trials");
    this.note = h("span", { class: "muted small" });
    this.element = h("section", { class: "card trials" }, h("h2", {}, "Trials"),
      h("div", { class: "scroll" }, h("table", { class: "rows" },
        h("thead", {}, h("tr", {}, this.heads, h("th", { scope: "col" }, "Status"))), this.body)), this.more, " ", this.note);
  }

  /** What the service is to be asked for. */
  get query() {
    return { sort: `${this.descending ? "-" : ""}${this.column.field}`, limit: this.limit };
  }

  /** `trials`: the first ones in the table's order; `isMore`: there are others; `points`: Points. */
  update(state) {
    this.state = state;
    this.draw();
  }

  /** The column of the metric is called by its name, and sorts the better end first. */
  nameMetric(job) {
    const index = COLUMNS.findIndex((column) => column.isMetric);
    COLUMNS[index].best = job.metric_direction === "max" ? "high" : "low";
    this.heads[index].querySelector("button").textContent = format.title(format.metricName(job));
  }

  sort(column) {
    this.descending = column === this.column ? !this.descending : column.best === "high";
    this.column = column;
    this.onAsk();
  }

  draw() {
    const { job, trials, points, selected, isMore } = this.state;
    this.nameMetric(job);
    const focused = this.body.contains(document.activeElement) ? document.activeElement.textContent : null;
    this.heads.forEach((head, index) =>
      head.setAttribute("aria-sort", COLUMNS[index] !== this.column ? "none" : this.descending ? "descending" : "ascending"));
    put(this.body, trials.map((trial) => this.row(trial, job, points.isOnFront(trial.number), trial.number === selected)));
    if (trials.length === 0) put(this.body, h("tr", {}, h("td", { colspan: COLUMNS.length + 1, class: "muted" }, "No trials.")));
    this.more.hidden = !isMore || this.limit >= LARGEST;
    this.note.textContent = isMore && this.limit >= LARGEST ? `The first ${LARGEST}; the files above have all.` : "";
    if (focused !== null) [...this.body.querySelectorAll("button")].find((button) => button.textContent === focused)?.focus();
  }

  row(trial, job, onFront, isSelected) {
    const cells = COLUMNS.map((column, index) => {
      const text = column.text(trial, job);
      return index === 0
        ? h("th", { scope: "row", class: "number" }, h("button", { type: "button", class: "plain link", "aria-pressed": String(isSelected) }, text))
        : h("td", { class: "number" }, text);
    });
    return h("tr", { class: isSelected ? "selected" : null, onclick: () => this.onSelect(trial.number) }, cells, h("td", { class: "small state" }, state(trial, job, onFront)));
  }
}

function state(trial, job, onFront) {
  if (trial.status === "running") {
    const epochs = job.spec.training.epochs * (job.spec.training.executions ?? 1);
    return `running, epoch ${trial.epochs_done} of ${epochs}`;
  }
  if (trial.status !== "done") return [trial.status, trial.reason ? h("div", { class: "muted clip" }, trial.reason) : null];
  if (trial.number === job.best?.number) return "best score";
  return onFront ? "on the front" : "";
}
