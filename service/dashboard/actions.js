// Buttons for the actions that the status of a job allows (the job's `allowed`).

import * as api from "./api.js";
import { h } from "./dom.js";

/** verb -> label, what it does, and the question that is asked before, if any. */
const VERBS = {
  pause: ["Pause", "start no new trial; running trials continue"],
  resume: ["Resume", "continue a paused job"],
  stop: ["Stop", "finish running trials, then report the best", "Stop this job? Running trials are finished, then the best one is reported."],
  cancel: ["Cancel", "end now; measured trials are kept", "End this job now? Measured trials are kept."],
  retry: ["Retry failed", "run the failed trials again"],
  extend: ["Extend…", "add trials to the budget"],
  clone: ["Clone", "start a new job like this one", "Start a new job like this one?"],
  delete: ["Delete", "remove it with its trials and files", "Remove this job with its trials and files? This cannot be undone."],
};

/** `done(job)` is called with the job as it is then, or null if it is gone; `failed(error)` if it was refused. */
export function buttons(job, done, failed) {
  return Object.entries(VERBS)
    .filter(([verb]) => job.allowed.includes(verb))
    .map(([verb, [label, title, question]]) =>
      h("button", { type: "button", class: verb === "delete" || verb === "cancel" ? "danger" : null, title, onclick: () => act(verb, question, job, done, failed) }, label));
}

async function act(verb, question, job, done, failed) {
  if (verb === "extend") {
    askTrials(job, done, failed);
    return;
  }
  if (question && !window.confirm(question)) return;
  await attempt(() => (verb === "delete" ? api.remove(job.id) : api.verb(job.id, verb)), verb, done, failed);
}

async function attempt(send, verb, done, failed) {
  try {
    const job = await send();
    done(verb, job);
  } catch (error) {
    failed(error);
  }
}

/** A small form for the number of trials. */
function askTrials(job, done, failed) {
  const input = h("input", { type: "number", name: "trials", min: 1, max: 100000, value: Math.max(1, job.spec.budget.trials), required: true });
  const form = h("form", { method: "dialog" },
    h("h2", {}, "Extend the job"),
    h("p", {}, h("label", {}, "Additional trials: ", input)),
    h("div", { class: "actions" }, h("button", { value: "go" }, "Extend"), h("button", { value: "no", formnovalidate: true }, "Cancel")));
  const dialog = h("dialog", { "aria-label": "extend the job" }, form);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (dialog.returnValue === "go") attempt(() => api.verb(job.id, "extend", { trials: Number(input.value) }), "extend", done, failed);
  });
  document.body.append(dialog);
  dialog.showModal();
}
