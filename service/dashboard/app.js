// The page: which view the address names, and whether the service answers.

import { Refused } from "./api.js";
import { h, put } from "./dom.js";
import { JobView } from "./job.js";
import { JobsView } from "./jobs.js";

const root = document.getElementById("view");
const banner = document.getElementById("connection");

let view = null;

/** Say that the service does not answer; null when it does again. */
function connection(error) {
  banner.hidden = error === null;
  if (error !== null) banner.textContent = `The service does not answer (${error.message}); trying again…`;
}

/** What a view does with a failed question: what was refused will be refused again, anything else may pass. */
function failed(error) {
  if (error instanceof Refused && error.problem.status < 500) {
    connection(null);
    put(root, h("section", { class: "empty" }, h("h1", {}, error.problem.title), h("p", {}, error.message),
      h("p", {}, h("a", { href: "/#/" }, "All jobs"))));
    return "final";
  }
  if (!(error instanceof Refused) && !(error instanceof TypeError)) console.error(error);
  connection(error);
  return "again";
}

function route() {
  const [, jobId, number] = location.hash.match(/^#\/jobs\/([^/]+)(?:\/trials\/(\d+))?$/) ?? [];
  const selected = number === undefined ? null : Number(number);
  if (jobId !== undefined && view instanceof JobView && view.jobId === jobId) {
    view.select(selected);
    return;
  }
  view?.close();
  const context = { root, failed, answered: () => connection(null) };
  view = jobId === undefined ? new JobsView(context) : new JobView(context, decodeURIComponent(jobId), selected);
}

window.addEventListener("hashchange", route);
route();
