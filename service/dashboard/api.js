// The service, asked over HTTP. The browser's cache asks with the entity tag, so what has not changed costs a 304.

/** What the service refused, with its problem document. */
export class Refused extends Error {
  constructor(problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { cache: "no-cache", ...options });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  if (answer.status === 401) location.assign("/login");
  let problem = { title: answer.statusText, status: answer.status };
  try {
    problem = { ...problem, ...(await answer.json()) };
  } catch {
    // a proxy's page: its status has to do
  }
  throw new Refused(problem);
}

const id = encodeURIComponent;

export const jobs = (cursor) => ask(`/v1/jobs?limit=50${cursor ? `&cursor=${id(cursor)}` : ""}`);
export const job = (jobId) => ask(`/v1/jobs/${id(jobId)}`);
export const trial = (jobId, number) => ask(`/v1/jobs/${id(jobId)}/trials/${number}`);
export const artifact = (jobId, number, name) => `/v1/jobs/${id(jobId)}/trials/${number}/artifacts/${id(name)}`;
export const exported = (jobId, suffix) => `/v1/jobs/${id(jobId)}/trials.${suffix}`;
export const events = (jobId, after) => `/v1/jobs/${id(jobId)}/events?after=${after}`;

const COLUMNS = "number,status,metric,cost,score,front,energy_pj,bits,finished_s";

/** Every trial of a job as columns. */
export const points = (jobId) => ask(`/v1/jobs/${id(jobId)}/points?fields=${COLUMNS}`, { headers: { accept: "application/json" } });

/** The first trials in an order, of those with some statuses. */
export async function trials(jobId, { sort, statuses, limit }) {
  if (statuses?.size === 0) return { items: [], next_cursor: null };
  const query = new URLSearchParams({ sort, limit: String(limit) });
  if (statuses !== null) query.set("filter", `status:${[...statuses].join("|")}`);
  return ask(`/v1/jobs/${id(jobId)}/trials?${query}`);
}

const send = (method, path, body) =>
  ask(path, { method, ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }) });

/** pause, resume, stop, cancel, retry, extend or clone: the job as it is then. */
export const verb = (jobId, name, body) => send("POST", `/v1/jobs/${id(jobId)}:${name}`, body);
export const remove = (jobId) => send("DELETE", `/v1/jobs/${id(jobId)}`);
