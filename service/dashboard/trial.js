// The selected trial: its numbers, files, quantizers and energy per layer, and learning curve.

import * as api from "./api.js";
import { Curve } from "./curve.js";
import { h, put } from "./dom.js";
import * as format from "./format.js";

const PARTS = [
  ["operations_pj", "operations"],
  ["parameters_pj", "parameters"],
  ["inputs_pj", "inputs"],
  ["outputs_pj", "outputs"],
];
const FILES = {
  "model.keras": "trained Keras model",
  "quantizers.json": "quantizer of every tensor",
  "weights.npz": "integer weights and scales",
  "preprocessing.json": "preprocessing to apply to each input",
  "report.json": "metric, energy, configuration, versions",
  "recipe.json": "everything needed to reproduce the trial",
  "network.npz": "integers of the spiking network",
  "settings.json": "how its integers were quantized",
};

export class TrialPanel {
  constructor() {
    this.key = null;
    this.element = h("aside", { class: "card trial", "aria-label": "selected trial" });
    this.clear();
  }

  clear() {
    this.key = null;
    put(this.element, h("h2", {}, "Selected trial"), h("p", { class: "muted" }, "No trial yet."));
  }

  show(key, trial, job, onFront) {
    this.key = key;
    put(this.element, head(trial, job, onFront), facts(trial, job), files(trial), layers(trial), history(trial, job), details(trial));
  }
}

function head(trial, job, onFront) {
  const badges = [trial.number === job.best?.number ? "best score" : null, onFront ? "on the front" : null, trial.status === "done" ? null : trial.status];
  return h("div", {},
    h("h2", {}, `Trial ${trial.number} `, badges.filter(Boolean).map((badge) => h("span", { class: "chip" }, badge))),
    trial.reason ? h("p", { class: "fault" }, trial.reason) : null);
}

function facts(trial, job) {
  if (trial.metric === null) return h("p", { class: "muted small" }, `${trial.epochs_done} epochs done, attempt ${trial.attempt}`);
  const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
  return h("dl", { class: "facts" },
    fact("Score", format.score(trial.score)),
    fact(format.title(format.metricName(job)), format.metric(trial.metric, job)),
    spreadOf(trial, job).map(([name, value]) => fact(name, value)),
    fact("Energy", format.energy(trial.energy_pj)),
    fact("Of reference", format.percent(trial.cost / job.reference_cost, 1)),
    fact("Size", `${format.whole(trial.bits)} bits`),
    testLooks(trial, job).map(([name, value]) => fact(name, value)));
}

/** What was measured of a trial on the test data, and which look at them it was. */
function testLooks(trial, job) {
  return (job.test_looks ?? []).filter((look) => look.trial === trial.number).map((look) => [
    look.kind === "report" ? "On test data" : "Trained further, on test data",
    h("span", {}, look.metric === null ? "" : `${format.metric(look.metric, job)} `, h("span", { class: look.optimistic ? "fault small" : "muted small" }, look.note)),
  ]);
}

/** What several executions of a trial have between them. */
function spreadOf(trial, job) {
  if (!trial.spread) return [];
  const { std, min, max } = trial.spread;
  return [[`Of ${trial.executions.length} executions`, `mean; deviation ${format.metric(std, job)}, from ${format.metric(min, job)} to ${format.metric(max, job)}`]];
}

function files(trial) {
  if (trial.artifacts.length === 0) return null;
  return h("section", {}, h("h3", {}, "Files"),
    h("ul", { class: "files small" }, trial.artifacts.map((artifact) =>
      h("li", {}, h("a", { href: api.artifact(trial.job_id, trial.number, artifact.name), download: true }, artifact.name),
        h("span", { class: "muted" }, ` ${format.bytes(artifact.size_bytes)}${FILES[artifact.name] ? ` · ${FILES[artifact.name]}` : ""}`)))));
}

function layers(trial) {
  if (trial.layers.length === 0) return null;
  const isPriced = trial.layers.some((layer) => layer.included_pj !== null);
  const largest = Math.max(...trial.layers.map((layer) => layer.included_pj ?? 0), 1e-12);
  return h("section", {}, h("h3", {}, "Layers"),
    isPriced ? h("p", { class: "legend small" }, PARTS.map(([part, label]) => h("span", { class: "key" }, h("i", { class: `swatch ${part}` }), label))) : null,
    h("div", { class: "scroll" }, h("table", { class: "rows layers small" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Layer"), h("th", { scope: "col" }, "Quantizers"), isPriced ? h("th", { scope: "col" }, "Energy") : null)),
      h("tbody", {}, trial.layers.map((layer) => layerRow(layer, isPriced, largest))))));
}

function layerRow(layer, isPriced, largest) {
  const tensors = Object.entries(layer.slots);
  const kind = [layer.class_name, layer.width ? `${layer.width} wide` : null].filter(Boolean).join(", ");
  return h("tr", {},
    h("th", { scope: "row" }, layer.name, h("div", { class: "muted" }, kind)),
    h("td", {}, tensors.length === 0 ? h("span", { class: "muted" }, "–") : tensors.map(([slot, tensor]) => quantizer(slot, tensor))),
    isPriced ? h("td", { class: "energy" }, layer.included_pj === null ? "–" : [energyBar(layer, largest), h("span", {}, format.energy(layer.included_pj))]) : null);
}

function quantizer(slot, tensor) {
  const bits = tensor.bits === null ? "float" : `${tensor.bits} bit`;
  return h("div", { class: "tensor" }, h("span", { class: "muted" }, `${slot} `), h("span", { class: `bits ${bitsClass(tensor.bits)}` }, bits), ` ${tensor.quantizer ?? ""}`);
}

function bitsClass(bits) {
  if (bits === null) return "";
  return bits <= 2 ? "few" : bits <= 4 ? "some" : "many";
}

function energyBar(layer, largest) {
  const all = PARTS.map(([part, label]) => `${label} ${format.energy(layer[part])}${isIncluded(layer, part) ? "" : " (not included)"}`).join(", ");
  const title = `${all}; included ${format.energy(layer.included_pj)}`;
  const bar = h("div", { class: "stack", role: "img", "aria-label": title, title });
  for (const part of layer.included ? PARTS.map(([name]) => name).filter((name) => isIncluded(layer, name)) : ["included_pj"]) {
    const piece = h("i", { class: part });
    piece.style.width = `${(100 * layer[part]) / largest}%`;
    bar.append(piece);
  }
  return bar;
}

/** Whether a part, such as `inputs_pj`, enters the energy of the network; true where an older version stored no parts. */
function isIncluded(layer, part) {
  return layer.included?.includes(part.replace("_pj", "")) ?? true;
}

function history(trial, job) {
  if (trial.epochs.length === 0) return null;
  return h("section", {}, h("h3", {}, "Learning curve"), new Curve(trial.epochs, trial.best_epoch, job).element);
}

function details(trial) {
  const line = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
  const durations = Object.entries(trial.durations_s);
  const versions = Object.entries(trial.versions);
  return h("details", {}, h("summary", {}, "Seed, durations, versions"),
    h("dl", { class: "facts small" },
      line("Seed", String(trial.seed)),
      line("Attempts", String(trial.attempt)),
      line("Best epoch", trial.best_epoch === null ? "–" : String(trial.best_epoch + 1)),
      durations.length ? line("Durations", durations.map(([name, value]) => `${name} ${format.significant(value)} s`).join(", ")) : [],
      versions.length ? line("Versions", versions.map(([name, value]) => `${name} ${value}`).join(", ")) : []));
}
