// What happens in jobs, as it happens. All tabs share one stream: a browser opens six connections to a host and no more. Where
// a browser has no shared worker, or the stream breaks, the events are asked for again and again.

import * as api from "./api.js";

const POLL_MS = 1500;
const SILENCE_MS = 40_000; // the stream sends a comment every 15 s; the hub says that it lives every 10 s

let hub = null;
let hasFailed = false;
const followers = new Map();
let counter = 0;

/** The worker that all tabs share, or null. */
function shared() {
  if (hub !== null || hasFailed || typeof SharedWorker === "undefined") return hub;
  try {
    const worker = new SharedWorker(new URL("./live_worker.js", import.meta.url), { type: "module", name: "fewbits" });
    worker.onerror = () => { hasFailed = true; hub = null; };
    hub = worker.port;
  } catch {
    hasFailed = true;
    return null;
  }
  hub.onmessage = ({ data }) => followers.get(data.follower)?.receive(data);
  hub.start();
  window.addEventListener("pagehide", () => { for (const key of followers.keys()) hub?.postMessage({ type: "leave", follower: key }); });
  window.addEventListener("pageshow", (event) => { if (event.persisted) for (const follower of followers.values()) follower.join(); });
  return hub;
}

/**
 * Follow a job. `after`: the last event that is known; `onEvents(events)`: new ones, in order; `onState(state)`: "live",
 * "polling" or "over".
 */
export function follow(jobId, after, onEvents, onState) {
  const follower = new Follower(jobId, after, onEvents, onState);
  follower.start();
  return () => follower.stop();
}

class Follower {
  constructor(jobId, after, onEvents, onState) {
    Object.assign(this, { jobId, after, onEvents, onState, key: `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}-${counter++}`, state: null, timer: null, heard: 0, stopped: false });
  }

  start() {
    followers.set(this.key, this);
    this.heard = Date.now();
    this.join();
    this.timer = setInterval(() => this.check(), POLL_MS);
    this.visible = () => document.hidden || this.check();
    document.addEventListener("visibilitychange", this.visible);
    this.check();
  }

  join() {
    shared()?.postMessage({ type: "join", follower: this.key, jobId: this.jobId, after: this.after });
  }

  stop() {
    this.stopped = true;
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.visible);
    hub?.postMessage({ type: "leave", follower: this.key });
    followers.delete(this.key);
  }

  /** A message of the hub: events, "live" (the stream is open), "down" (it is not), "over". */
  receive({ type, events }) {
    if (this.stopped) return;
    this.heard = Date.now();
    if (type === "events") this.pass(events);
    else if (type === "live") this.become("live");
    else if (type === "down") this.become("polling");
    else if (type === "over") this.become("over");
  }

  pass(events) {
    const fresh = events.filter((event) => event.id > this.after);
    if (fresh.length === 0) return;
    this.after = fresh.at(-1).id;
    this.onEvents(fresh);
  }

  become(state) {
    if (state === this.state || this.stopped) return;
    this.state = state;
    this.onState(state);
  }

  /** Ask, where the stream does not tell. */
  async check() {
    if (this.stopped || document.hidden || this.isAsking || this.state === "over") return;
    const isLive = this.state === "live" && Date.now() - this.heard < SILENCE_MS;
    if (isLive) return;
    if (this.state === null && hub !== null && Date.now() - this.heard < POLL_MS) return; // the hub has not answered yet
    this.isAsking = true;
    try {
      const list = await api.eventList(this.jobId, this.after);
      if (this.state !== "live") this.become("polling");
      this.pass(list.items);
      if (list.over) this.become("over");
    } catch {
      this.become("polling"); // the page's own questions say what is wrong
    } finally {
      this.isAsking = false;
    }
  }
}
