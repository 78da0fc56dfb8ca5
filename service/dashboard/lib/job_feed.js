// A job and its trials, kept up to date: read once, then changed by the events as they come.

import * as api from "./api.js";
import { requestIdle } from "./frames.js";
import { follow } from "./live.js";
import { Points } from "./points.js";
import { Store } from "./store.js";

const DRAW_MS = 250; // events that come faster are drawn together
const JOB_MS = 1000; // the job itself is asked for at most this often
const EPOCHS = 300; // events before the first ones that are followed, in which running trials have their latest epoch
const CALM_MS = 5000; // time left goes on without events
const ENDED = new Set(["done", "failed", "cancelled"]);

export const hasEnded = (job) => ENDED.has(job.status);

export class JobFeed {
  /** `connection(error)`: null when the service answers, else what went wrong. */
  constructor(jobId, connection) {
    this.jobId = jobId;
    this.connection = connection;
    this.store = new Store({ job: null, points: null, revision: 0, live: null, error: null, touched: new Map() });
    this.stopFollowing = null;
    this.isClosed = false;
    this.failures = 0;
    this.visible = () => document.hidden || this.refresh();
    document.addEventListener("visibilitychange", this.visible);
    this.load();
  }

  close() {
    this.isClosed = true;
    this.stopFollowing?.();
    clearTimeout(this.drawTimer);
    clearTimeout(this.jobTimer);
    document.removeEventListener("visibilitychange", this.visible);
  }

  async load() {
    try {
      const [job, columns] = await Promise.all([api.job(this.jobId), api.points(this.jobId)]);
      if (this.isClosed) return;
      const points = Points.from(columns);
      this.store.set({ job, points, revision: points.revision });
      this.connection(null);
      requestIdle(() => this.loadRest());
      this.startFollowing();
      this.schedule();
    } catch (error) {
      if (!this.isClosed) this.fail(error, () => this.load());
    }
  }

  /** Something was refused for good, or the service does not answer: then ask again. */
  fail(error, again) {
    if (error instanceof api.Refused && error.problem.status < 500) {
      this.connection(null);
      this.store.set({ error });
      return;
    }
    this.connection(error);
    clearTimeout(this.jobTimer);
    this.jobTimer = setTimeout(again, Math.min(1000 * 2 ** this.failures++, 15_000));
  }

  /** What the first chart does not need: the other columns, and the reasons of what failed. */
  async loadRest() {
    const { points } = this.store.state;
    if (this.isClosed || points.length === 0) return;
    const counts = points.counts();
    const hasReasons = counts.failed + counts.pruned + counts.infeasible + counts.cancelled > 0;
    try {
      points.complete(await api.otherPoints(this.jobId));
      if (counts.running > 0) {
        const { items } = await api.eventList(this.jobId, Math.max(0, points.version - EPOCHS));
        const known = new Set(points.epochs.keys()); // from events that came meanwhile
        for (const event of items) if (event.trial !== null && !known.has(event.trial)) points.note(event);
      }
      this.draw();
      if (!hasReasons) return;
      for (const { number, reason } of (await api.reasons(this.jobId)).items) if (reason) points.reasons.set(number, reason);
      this.draw();
    } catch {
      // sizes, ends and reasons are missing until the next visit; each trial's panel has its own
    }
  }

  startFollowing() {
    const { job, points } = this.store.state;
    if (hasEnded(job) || this.stopFollowing !== null) return;
    this.stopFollowing = follow(this.jobId, points.version, (events) => this.apply(events), (live) => { this.store.set({ live }); if (live === "over") this.end(); });
  }

  apply(events) {
    const { job, points, touched } = this.store.state;
    const createdAt = Date.parse(job.created_at);
    for (const event of events) {
      points.apply(event, createdAt);
      if (event.trial !== null) touched.set(event.trial, event.id);
    }
    this.isStale = true;
    this.drawTimer ??= setTimeout(() => { this.drawTimer = null; this.draw(); }, DRAW_MS);
    this.schedule(JOB_MS);
  }

  draw() {
    const { points, touched } = this.store.state;
    this.store.set({ revision: points.revision, touched: new Map(touched) });
  }

  schedule(pauseMs = CALM_MS) {
    const due = Date.now() + pauseMs;
    if (this.jobTimer !== undefined && this.due <= due && this.due > Date.now()) return;
    clearTimeout(this.jobTimer);
    this.due = due;
    this.jobTimer = setTimeout(() => this.refresh(), pauseMs);
  }

  /** Ask for the job again: its progress, its verbs, its best trial. */
  async refresh() {
    if (this.isClosed || document.hidden || this.store.state.job === null || (hasEnded(this.store.state.job) && !this.isStale)) return;
    this.isStale = false;
    this.due = 0;
    try {
      const job = await api.job(this.jobId);
      if (this.isClosed) return;
      this.failures = 0;
      this.connection(null);
      this.store.set({ job });
      if (!hasEnded(job)) {
        this.startFollowing();
        this.schedule();
      }
    } catch (error) {
      if (!this.isClosed) this.fail(error, () => { this.isStale = true; this.refresh(); });
    }
  }

  /** There are no more events: what may have been missed is read once. */
  async end() {
    this.stopFollowing?.();
    this.stopFollowing = null;
    try {
      const { points } = this.store.state;
      points.merge(await api.pointsAfter(this.jobId, points.version));
      this.draw();
    } catch {
      // the job's own question says what is wrong
    }
    this.isStale = true;
    this.refresh();
  }

  /** A verb was carried out: the job as it is now. */
  replace(job) {
    this.store.set({ job });
    this.isStale = true;
    this.startFollowing();
    this.schedule(JOB_MS);
  }
}
