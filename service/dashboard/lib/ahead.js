// What a page needs first, asked for while the other modules are still on their way: the document runs this module on its own,
// and whoever asks the same later (`lib/api.js`) gets the answer that is under way.

const ASKED = "fewbitsAsked"; // the bundle has a copy of this module: what both share is a property of the window

export const jobPath = (jobId) => `/v1/jobs/${encodeURIComponent(jobId)}`;

/** The columns of the first chart. */
export const firstPointsPath = (jobId) => `${jobPath(jobId)}/points?fields=number%2Cstatus%2Cmetric%2Ccost`;

export const FIRST_JOBS = "/v1/jobs?limit=50";

/** The questions of the page that an address names. */
export function firstQuestions(hash) {
  const [name = "", jobId = ""] = hash.replace(/^#\/?/, "").split("?")[0].split("/").map(decodeURIComponent);
  if (name === "") return [FIRST_JOBS];
  return name === "jobs" && jobId !== "" ? [jobPath(jobId), firstPointsPath(jobId)] : [];
}

/** The response to a question that was asked ahead, once; undefined if it was not. */
export function answerTo(path) {
  const response = globalThis[ASKED]?.get(path);
  globalThis[ASKED]?.delete(path);
  return response;
}

if (globalThis[ASKED] === undefined && globalThis.location?.protocol.startsWith("http") && location.pathname === "/") {
  globalThis[ASKED] = new Map(firstQuestions(location.hash).map((path) => [path, fetch(path, { cache: "no-cache" })]));
  for (const response of globalThis[ASKED].values()) response.catch(() => {}); // whoever asks is told
}
