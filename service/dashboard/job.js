// One job: how far it is, its plot, its trials, and the trial that is selected.

import * as api from "./api.js";
import { h, put } from "./dom.js";
import * as format from "./format.js";
import { chip, progressBar } from "./jobs.js";
import { Plot } from "./plot.js";
import { buttons } from "./actions.js";
import { Live } from "./live.js";
import { Points } from "./points.js";
import { poll } from "./poll.js";
import { Records } from "./records.js";
import { Statuses } from "./statuses.js";
import { TrialPanel } from "./trial.js";
import { TrialTable } from "./trials.js";

const PAUSE_MS = 1500;
const CALM_MS = 5000; // while the service tells what happens: only the time left goes on by itself
const ENDED = new Set(["done", "failed", "cancelled"]);

export class JobView {
  constructor(context, jobId, selected) {
    Object.assign(this, { context, jobId, selected, version: null, job: null, points: new Points(null), trials: [], isMore: false, live: null });
    const select = (number) => { location.hash = `#/jobs/${encodeURIComponent(jobId)}/trials/${number}`; };
    this.head = h("header", { class: "job-head" }, h("p", { class: "muted" }, "Loading…"));
    this.tiles = h("div", { class: "tiles" });
    this.notes = h("div");
    this.plot = new Plot(select);
    this.records = new Records();
    this.panel = new TrialPanel();
    this.table = new TrialTable(select, () => this.reload());
    this.statuses = new Statuses(() => this.reload());
    put(this.plot.filter, this.statuses.element);
    this.definition = h("details", { class: "card" }, h("summary", {}, "Job definition"), h("pre", { class: "small" }));
    put(context.root, this.head, this.tiles, this.notes,
      h("div", { class: "columns" }, h("div", {}, this.plot.element, this.records.element), this.panel.element, this.table.element), downloads(jobId), this.definition);
    this.polling = poll(() => this.step(), context.failed);
  }

  close() {
    this.polling.stop();
    this.live?.close();
    this.plot.close();
    this.records.close();
  }

  async step() {
    const job = await api.job(this.jobId);
    this.context.answered();
    if (job.version !== this.version) {
      const [points, page] = await Promise.all([api.points(this.jobId), this.page()]);
      Object.assign(this, { points: new Points(points), trials: page.items, isMore: page.next_cursor !== null, version: job.version });
    }
    this.job = job;
    this.statuses.update(job.trials);
    this.draw();
    await this.loadTrial();
    return this.follow(job);
  }

  /** The pause before the next question; null: a job that has ended changes no more unless somebody steers it. */
  follow(job) {
    if (ENDED.has(job.status)) {
      this.live?.close();
      this.live = null;
      return null;
    }
    this.live ??= new Live(api.events(this.jobId, job.version), () => this.polling.now());
    return this.live.isOpen ? CALM_MS : PAUSE_MS;
  }

  page() {
    return api.trials(this.jobId, { ...this.table.query, statuses: this.statuses.isAll ? null : this.statuses.shown });
  }

  /** The table's order, its length or the statuses have changed. */
  async reload() {
    if (this.job === null) return;
    this.draw();
    try {
      const page = await this.page();
      Object.assign(this, { trials: page.items, isMore: page.next_cursor !== null });
      this.draw();
    } catch (error) {
      this.context.failed(error);
    }
  }

  /** Show another trial; null: the best one. */
  async select(number) {
    this.selected = number;
    if (this.job === null) return;
    this.draw();
    try {
      await this.loadTrial();
    } catch (error) {
      this.context.failed(error);
    }
  }

  get shownNumber() {
    return this.selected ?? this.job.best?.number ?? this.points.columns.number[0] ?? null;
  }

  async loadTrial() {
    const number = this.shownNumber;
    if (number === null) {
      this.panel.clear();
      return;
    }
    const key = `${number}:${this.version}`;
    if (key === this.panel.key) return;
    const trial = await api.trial(this.jobId, number);
    if (this.shownNumber === number) this.panel.show(key, trial, this.job, this.points.isOnFront(number));
  }

  draw() {
    const { job } = this;
    const name = job.name || job.model;
    document.title = `${name} – fewbits`;
    this.drawHead(name);
    this.drawTiles();
    this.drawNotes();
    const { points, trials, isMore } = this;
    const selected = this.shownNumber;
    this.plot.update({ job, points, statuses: this.statuses.shown, selected });
    this.records.update(points);
    this.table.update({ job, trials, points, selected, isMore });
    this.definition.lastChild.textContent ||= JSON.stringify(job.spec, null, 2);
  }

  drawHead(name) {
    const { job } = this;
    const { progress } = job;
    const running = job.trials.running;
    const state = [
      `${progress.done} of ${progress.total} trials`,
      running ? `${running} running` : null,
      progress.elapsed_s === null ? null : `${format.duration(progress.elapsed_s)} elapsed`,
      progress.eta_s === null ? null : `about ${format.duration(progress.eta_s)} left`,
    ];
    put(this.head,
      h("div", { class: "row" },
        h("div", {}, h("h1", {}, name), h("p", { class: "muted small" }, `${job.model} · ${job.data} · ${format.size(job.space_size)} assignments · ${job.id}`)),
        h("div", { class: "actions" }, chip(job.status), this.verbs())),
      progressBar(job),
      h("p", { class: "small" }, state.filter(Boolean).join(" · ")),
      job.reason ? h("p", { class: job.status === "failed" ? "fault" : "muted small" }, job.reason) : null);
  }

  verbs() {
    const done = (verb, job) => {
      if (verb === "delete") location.hash = "#/";
      else if (verb === "clone") location.hash = `#/jobs/${encodeURIComponent(job.id)}`;
      else this.polling.now();
    };
    return buttons(this.job, done, (error) => window.alert(error.message));
  }

  drawTiles() {
    const { job } = this;
    const share = (value) => (value === null || !job.reference_cost ? "" : `${format.percent(value / job.reference_cost, 1)} of reference`);
    const tile = (label, value, note) => h("div", { class: "tile" }, h("span", { class: "muted small" }, label), h("strong", {}, value), h("span", { class: "muted small" }, note));
    put(this.tiles,
      tile("Best score", format.score(job.best?.score), job.best ? `trial ${job.best.number}: ${format.metric(job.best.metric, job)}, ${format.cost(job.best.cost, job.cost_unit)}` : ""),
      tile(`Best ${format.metricName(job)}`, format.metric(job.best_metric, job), "on the validation data"),
      job.cost_unit === "energy_pj"
        ? tile("Least energy", format.energy(job.least_energy_pj), share(job.least_cost))
        : tile("Least size", job.least_cost === null ? "–" : format.cost(job.least_cost, "bits"), share(job.least_cost)),
      tile("Reference", format.cost(job.reference_cost, job.cost_unit), referenceNote(job.spec.goal)));
  }

  drawNotes() {
    const { warnings } = this.job;
    if (this.notes.childElementCount > 0 || warnings.length === 0) return;
    put(this.notes, h("details", { class: "card notes" },
      h("summary", {}, `${warnings.length} ${warnings.length === 1 ? "warning" : "warnings"}`),
      h("ul", {}, warnings.map((warning) => h("li", {}, warning)))));
  }
}

/** What the reference is: the model as given, at the types the goal names. */
function referenceNote(goal) {
  return goal.kind === "energy"
    ? `the model in ${goal.reference_internal}, sums in ${goal.reference_accumulator}`
    : `the model at ${goal.ref_bits} bits`;
}

/** All trials as files. */
function downloads(jobId) {
  return h("p", { class: "small downloads" }, "All trials with their quantizers: ",
    h("a", { href: api.exported(jobId, "csv"), download: true }, "CSV"), " · ",
    h("a", { href: api.exported(jobId, "parquet"), download: true }, "Parquet"));
}
