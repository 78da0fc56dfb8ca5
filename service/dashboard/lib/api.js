// The service, asked over HTTP. The browser's cache asks with the entity tag, so what has not changed costs a 304.

import { answerTo, firstPointsPath, jobPath } from "./ahead.js";

/** What the service refused, with its problem document. */
export class Refused extends Error {
  constructor(problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }
}

/** Where the login page leads back to. */
const loginPath = () => `/login?to=${encodeURIComponent(`${location.pathname}${location.hash}`)}`;

async function ask(path, options) {
  const ahead = options === undefined ? answerTo(path) : undefined;
  const answer = await (ahead ?? fetch(path, { cache: "no-cache", ...options }));
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  if (answer.status === 401) location.assign(loginPath());
  let problem = { title: answer.statusText, status: answer.status };
  try {
    problem = { ...problem, ...(await answer.json()) };
  } catch {
    // a proxy's page: its status has to do
  }
  throw new Refused(problem);
}

const id = encodeURIComponent;
const query = (parameters) => {
  const entries = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return entries.length ? `?${new URLSearchParams(entries)}` : "";
};

const send = (method, path, body, headers = {}) =>
  ask(path, { method, headers: body === undefined ? headers : { "content-type": "application/json", ...headers }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });

let asking = null;
/** Who reads the page; parts of it that ask at once share the answer. */
export function session() {
  asking ??= ask("/v1/session").finally(() => { asking = null; });
  return asking;
}
export const logOut = () => send("DELETE", "/v1/session");
export const jobSchema = () => ask("/v1/schemas/job");
export const queue = () => ask("/v1/queue");

// --- jobs ---

export const jobs = ({ cursor, filter, limit = 50 } = {}) => ask(`/v1/jobs${query({ limit, cursor, filter })}`);
export const job = (jobId) => ask(jobPath(jobId));
export const dryRun = (spec) => send("POST", "/v1/jobs:validate", spec);
export const submit = (spec, key) => send("POST", "/v1/jobs", spec, { "idempotency-key": key });
export const front = (jobId) => ask(`/v1/jobs/${id(jobId)}/pareto`);
export const analysis = (jobId) => ask(`/v1/jobs/${id(jobId)}/analysis`);
export const attempts = (jobId) => ask(`/v1/jobs/${id(jobId)}/attempts`);
export const choices = (jobId, numbers) => ask(`/v1/jobs/${id(jobId)}/choices${query({ numbers: numbers?.join(",") })}`);
/** The events of a job after one of them. */
export const eventList = (jobId, after) => ask(`/v1/jobs/${id(jobId)}/events${query({ after })}`, { headers: { accept: "application/json" } });
export const exported = (jobId, suffix) => `/v1/jobs/${id(jobId)}/trials.${suffix}`;

const DRAWN = "number,status,metric,cost"; // those of the first chart
const REST = "energy_pj,bits,finished_s";
const pointsPath = (jobId, fields, after = null) => `${jobPath(jobId)}/points${query({ fields, after })}`;

/** The trials of a job as columns: what the first chart needs. */
export const points = (jobId) => ask(firstPointsPath(jobId));
/** The columns that `points` leaves out. */
export const otherPoints = (jobId) => ask(pointsPath(jobId, `number,${REST}`));
/** All columns of the trials that changed since a version. */
export const pointsAfter = (jobId, after) => ask(pointsPath(jobId, `${DRAWN},${REST}`, after));

/** pause, resume, stop, cancel, retry, extend or clone: the job as it is then. */
export const verb = (jobId, name, body) => send("POST", `/v1/jobs/${id(jobId)}:${name}`, body);
export const change = (jobId, body) => send("PATCH", `/v1/jobs/${id(jobId)}`, body);
export const remove = (jobId) => send("DELETE", `/v1/jobs/${id(jobId)}`);

// --- trials ---

export const trial = (jobId, number) => ask(`/v1/jobs/${id(jobId)}/trials/${number}`);
export const artifact = (jobId, number, name) => `/v1/jobs/${id(jobId)}/trials/${number}/artifacts/${id(name)}`;
/** A file of a trial that is JSON. */
export const document = (jobId, number, name) => ask(artifact(jobId, number, name), { cache: "no-cache" });
/** What a trial gets right, class by class. */
export const classes = (jobId, number) => ask(`/v1/jobs/${id(jobId)}/trials/${number}/classes`);
/** Histograms of the integer weights. */
export const weights = (jobId, number) => ask(`/v1/jobs/${id(jobId)}/trials/${number}/weights`);
export const finalTraining = (jobId, number) => ask(`/v1/jobs/${id(jobId)}/trials/${number}/final`);
export const finalize = (jobId, number, epochs) => send("POST", `/v1/jobs/${id(jobId)}/trials/${number}:finalize`, { epochs });

/** Number and reason of the trials that ended without success. */
export const reasons = (jobId) =>
  ask(`/v1/jobs/${id(jobId)}/trials${query({ filter: "status:failed|pruned|infeasible|cancelled", fields: "number,reason", limit: 1000 })}`);

/** The terms of a layer's energy: `request` is a cost request. */
export const cost = (request) => send("POST", "/v1/cost", request);

const exportsPath = (jobId, number) => `/v1/jobs/${id(jobId)}/trials/${number}/exports`;
export const exportsOf = (jobId, number) => ask(exportsPath(jobId, number));
export const createExport = (jobId, number, body) => send("POST", exportsPath(jobId, number), body);
export const exportFile = (jobId, number, name) => `${exportsPath(jobId, number)}/${id(name)}/file`;
export const formatsOf = (jobId, number) => ask(`/v1/jobs/${id(jobId)}/trials/${number}/formats`);

// --- models and data ---

export const models = () => ask("/v1/models?limit=500");
export const datasets = () => ask("/v1/datasets?limit=500");
export const upload = (kind, uploadId) => ask(`/v1/${kind}/${id(uploadId)}`);
export const removeUpload = (kind, uploadId) => send("DELETE", `/v1/${kind}/${id(uploadId)}`);
export const declareUpload = (kind, body) => send("POST", `/v1/${kind}`, body);

// --- keys ---

export const keys = () => ask("/v1/keys");
export const createKey = (body) => send("POST", "/v1/keys", body);
export const revokeKey = (keyId) => send("DELETE", `/v1/keys/${id(keyId)}`);
