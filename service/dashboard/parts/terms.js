// What the page's words mean, each in a sentence or two with the numbers of this job.

import * as format from "../lib/format.js";
import { otherReferences } from "../lib/references.js";
import { factor } from "../lib/score.js";

/** `numbers`: of `scoring()`. */
export function terms(job, numbers, points = null, analysis = null) {
  const reference = format.cost(job.reference_cost, job.cost_unit);
  const others = otherReferences(job).map(({ name, value }) => `The ${name} would cost ${format.cost(value, job.cost_unit)}. `).join("");
  const half = factor(numbers.budget / 2, numbers);
  const name = format.metricName(job);
  const best = job.best;
  const rate = numbers.rate === 2 ? "halving" : `division by ${format.plain(numbers.rate)}`;
  return {
    score: `The ${name} times the factor: what the search makes as large as it can.${best ? ` Trial ${best.number} has ${format.metric(best.metric, job)} and the factor ${factor(best.cost, numbers).toFixed(3)}, so its score is ${format.score(best.score)}.` : ""}`,
    factor: `1 at the reference's ${reference}; each ${rate} of the cost adds ${format.plain(numbers.deltaP / 100)}, so half of the reference's cost has ${half.toFixed(3)}: as good as ${format.percent(half - 1, 1)} more ${name}.`,
    reference: `${reference}: what one inference costs with the model as it was given, ${job.spec.goal.kind === "energy" ? `in ${job.spec.goal.reference_internal} with sums in ${job.spec.goal.reference_accumulator}, under the profile ${job.spec.goal.profile}` : job.spec.goal.kind === "bits" ? `at ${job.spec.goal.ref_bits} bits` : "unquantized"}. ${others}It is computed by a model, not measured.`,
    front: `The trials that no other one beats in both ${name} and cost${points ? `: ${points.front(numbers.sign).length} of ${points.done().length} measured` : ""}. To gain on one side from here you must give on the other.`,
    hypervolume: `The share of the area between no cost and the reference's that the front covers${analysis ? `: ${format.percent(analysis.hypervolume, 1)} now` : ""}. When it stops growing, the search finds nothing new.`,
    knee: "The trial of the front that is farthest above the line between its ends: beyond it, more metric becomes expensive.",
    stress: `A factor on the reference's cost: at ${format.plain(numbers.stress)} the factor is 1 at ${format.cost(numbers.budget, job.cost_unit)}.${numbers.ignoresStress ? " The profile horowitz-qkeras ignores it, as QKeras does." : ""}`,
    forgives: `How much of the ${name} a trial may lose, in percent, each time its cost is divided by ${format.plain(numbers.rate)}.`,
    demands: `How much ${name} a trial must gain, in percent, each time its cost is multiplied by ${format.plain(numbers.rate)} beyond the reference's.`,
  };
}

/** The goal in words. */
export const goalText = (numbers) => `each ${numbers.rate === 2 ? "halving" : `division by ${format.plain(numbers.rate)}`} forgives ${format.plain(numbers.deltaP)} %`;
