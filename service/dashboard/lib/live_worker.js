// The one connection of all tabs: it asks for the events of every job that any tab follows, and hands them to the tabs.

const RETRY_MS = 2000;
const ALIVE_MS = 10_000;
const KEPT = 2000; // events of a job that a later tab may still ask for

const followers = new Map(); // key -> {port, jobId, after}
const jobs = new Map(); // id -> {last, isOver, log}
let source = null;
let address = "";
let timer = null;

self.onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => (data.type === "join" ? join(port, data) : leave(data.follower));
};

function join(port, { follower, jobId, after }) {
  followers.set(follower, { port, jobId, after });
  const job = jobs.get(jobId);
  // what came between the tab's question and its joining: from memory, or by asking the service again from there
  if (job === undefined || job.isOver || after < job.first) jobs.set(jobId, { first: after, last: after, isOver: false, log: [] });
  else {
    const missed = job.log.filter((event) => event.id > after);
    if (missed.length) port.postMessage({ follower, type: "events", events: missed });
  }
  if (source?.readyState === 1) port.postMessage({ follower, type: "live" });
  connect();
}

function leave(follower) {
  const left = followers.get(follower);
  followers.delete(follower);
  if (left !== undefined && ![...followers.values()].some(({ jobId }) => jobId === left.jobId)) jobs.delete(left.jobId);
  connect();
}

const tell = (message, jobId = null) => {
  for (const [follower, { port, jobId: followed }] of followers) if (jobId === null || followed === jobId) port.postMessage({ follower, ...message });
};

/** Open a stream for the jobs that are followed now, unless there is one. */
function connect() {
  const open = [...jobs].filter(([, job]) => !job.isOver).slice(0, 50);
  const wanted = open.map(([jobId]) => jobId).sort().join();
  const asksAgain = open.some(([, job]) => job.log.length === 0 && job.asked !== job.last);
  if (source !== null && source.readyState !== 2 && wanted === address && !asksAgain) return;
  clearTimeout(timer);
  source?.close();
  source = null;
  address = wanted;
  if (open.length === 0) return;
  for (const [, job] of open) job.asked = job.last;
  source = new EventSource(`/v1/events?${open.map(([jobId, job]) => `job=${jobId}:${job.last}`).join("&")}`);
  source.onopen = () => tell({ type: "live" });
  source.onerror = () => {
    tell({ type: "down" });
    source?.close(); // the browser would ask from the same versions again
    source = null;
    clearTimeout(timer);
    timer = setTimeout(connect, RETRY_MS);
  };
  source.onmessage = ({ data }) => receive(JSON.parse(data));
}

function receive({ job_id: jobId, event, over }) {
  const job = jobs.get(jobId);
  if (job === undefined) return;
  if (over) {
    job.isOver = true;
    tell({ type: "over" }, jobId);
    if ([...jobs.values()].every((other) => other.isOver)) {
      source?.close();
      source = null;
      address = "";
    }
    return;
  }
  job.last = Math.max(job.last, event.id);
  job.log.push(event);
  if (job.log.length > KEPT) job.first = job.log.splice(0, KEPT / 2).at(-1).id;
  tell({ type: "events", events: [event] }, jobId);
}

setInterval(() => { if (source?.readyState === 1) tell({ type: "live" }); }, ALIVE_MS);
