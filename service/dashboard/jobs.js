// The list of jobs.

import * as api from "./api.js";
import { h, put } from "./dom.js";
import * as format from "./format.js";
import { poll } from "./poll.js";

const PAUSE_MS = 3000;
const ENDED = new Set(["done", "failed", "cancelled"]);

export const chip = (status) => h("span", { class: `chip ${status}` }, status);

export function progressBar(job) {
  const bar = h("progress", { max: 1, "aria-label": "progress" });
  bar.value = job.progress.fraction;
  return bar;
}

export class JobsView {
  constructor(context) {
    this.context = context;
    this.shown = "";
    this.pages = 0; // opened beyond the first
    document.title = "Jobs – fewbits";
    this.list = h("div", {}, h("p", { class: "muted" }, "Loading…"));
    put(context.root, h("section", { class: "jobs" }, h("h1", {}, "Jobs"), this.list));
    this.polling = poll(() => this.step(), context.failed);
  }

  close() {
    this.polling.stop();
  }

  async step() {
    const items = [];
    let page = await api.jobs();
    items.push(...page.items);
    for (let more = this.pages; more > 0 && page.next_cursor; more--) {
      page = await api.jobs(page.next_cursor);
      items.push(...page.items);
    }
    this.context.answered();
    const shown = JSON.stringify(items.map((job) => [job.id, job.version])) + page.next_cursor;
    if (shown !== this.shown) {
      this.shown = shown;
      this.draw(items, page.next_cursor !== null);
    }
    return items.every((job) => ENDED.has(job.status)) ? 3 * PAUSE_MS : PAUSE_MS;
  }

  draw(items, hasMore) {
    if (items.length === 0) {
      put(this.list, h("div", { class: "empty" }, h("p", {}, "No jobs yet. Start one from the command line:"),
        h("pre", {}, "fewbits submit examples/digits.yaml --watch")));
      return;
    }
    const heads = ["Job", "Status", "Progress", "Best score", "Accuracy", "Energy", "Created"];
    const table = h("table", { class: "rows" },
      h("thead", {}, h("tr", {}, heads.map((head, index) =>
        h("th", { scope: "col", class: index >= 3 && index <= 5 ? "number" : null }, head)))),
      h("tbody", {}, items.map(row)));
    const more = hasMore
      ? h("button", { type: "button", onclick: () => { this.pages++; this.polling.now(); } }, "Older jobs")
      : null;
    put(this.list, h("div", { class: "scroll" }, table), more);
  }
}

function row(job) {
  const { best, progress } = job;
  const share = best && job.reference_cost ? best.cost / job.reference_cost : null;
  const left = progress.eta_s === null ? "" : `, ${format.duration(progress.eta_s)} left`;
  return h("tr", {},
    h("th", { scope: "row" }, h("a", { href: `/#/jobs/${job.id}` }, job.name || job.model),
      h("div", { class: "muted small" }, `${job.model} · ${job.data} · ${job.id}`)),
    h("td", {}, chip(job.status), job.status === "failed" ? h("div", { class: "muted small clip" }, job.reason) : null),
    h("td", {}, progressBar(job), h("div", { class: "muted small" }, `${progress.done} of ${progress.total}${left}`)),
    h("td", { class: "number", "data-label": "best score" }, format.score(best?.score)),
    h("td", { class: "number", "data-label": format.metricName(job) }, format.metric(best?.metric, job),
      job.metric_name === "accuracy" ? null : h("div", { class: "muted small" }, format.metricName(job))),
    h("td", { class: "number", "data-label": "energy" }, format.energy(best?.energy_pj),
      share === null ? null : h("div", { class: "muted small" }, `${format.percent(share, 1)} of reference`)),
    h("td", { class: "small" }, format.moment(job.created_at)));
}
