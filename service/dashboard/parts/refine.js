// "Search on from here": the job of a trial, with the candidates of each tensor that lie around the trial's own.

import * as api from "../lib/api.js";
import { pruned } from "./spec.js";

const AROUND = 1; // candidates on either side, by bits

const escaped = (name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** The candidates of a tensor around one of them, by bits. `bits`: quantizer -> bits. */
export function neighbours(candidates, chosen, bits) {
  const ordered = [...candidates].sort((a, b) => (bits.get(a) ?? 0) - (bits.get(b) ?? 0));
  const place = ordered.indexOf(chosen);
  return place < 0 ? [chosen] : ordered.slice(Math.max(0, place - AROUND), place + AROUND + 1);
}

/** The specification of a job that searches around a trial. */
export async function around(jobId, number) {
  const [job, trial, choices] = await Promise.all([api.job(jobId), api.trial(jobId, number), api.choices(jobId)]);
  const spec = pruned(job.spec);
  const run = await api.dryRun(spec);
  const bits = new Map(choices.choices.flatMap((choice) => choice.labels.map((label, index) => [label, choice.bits[index]])));
  const groups = new Map(); // layers that share a choice -> slot -> candidates
  for (const slot of run.slots) {
    const chosen = trial.choices[slot.name];
    if (chosen === undefined || slot.layers.length === 0) continue;
    const key = slot.layers.join("|");
    const group = groups.get(key) ?? { pattern: slot.layers.map(escaped).join("|") };
    group[slot.slot] = neighbours(slot.candidates, chosen, bits);
    groups.set(key, group);
  }
  const limits = { ...(spec.limits ?? {}), by_name: [...groups.values()] };
  return { ...spec, name: `${job.name || job.model}, around trial ${number}`, limits };
}
