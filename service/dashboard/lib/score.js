// The forgiving factor, as `search/scoring/forgiving_factor.py` computes it, for many trials at once.

const SMALLEST_FACTOR = 1e-3;
const QKERAS_PROFILE = "horowitz-qkeras";

/** How a job scores. `numbers` replace the goal's delta_p, delta_n, rate and stress. */
export function scoring(job, numbers = {}) {
  const goal = { ...job.spec.goal, ...numbers };
  const ignoresStress = goal.kind === "energy" && goal.profile === QKERAS_PROFILE;
  return {
    deltaP: goal.delta_p,
    deltaN: goal.delta_n,
    rate: goal.rate,
    stress: goal.stress,
    ignoresStress,
    budget: job.reference_cost * (ignoresStress ? 1 : goal.stress),
    sign: job.metric_direction === "min" ? -1 : 1,
  };
}

/** 1 + delta * log_rate(budget / cost). */
export function factor(cost, { deltaP, deltaN, rate, budget }) {
  const percent = cost < budget ? deltaP : deltaN;
  return 1 + ((percent / 100) * (Math.log(budget) - Math.log(cost))) / Math.log(rate);
}

/** The score of a trial: its merit times the factor, or divided by it where the merit is below 0. */
export function score(metric, cost, numbers) {
  const merit = metric * numbers.sign;
  const forgiving = factor(cost, numbers);
  return merit >= 0 ? merit * forgiving : merit / Math.max(forgiving, SMALLEST_FACTOR);
}

/** `score` of every row; `logarithms`: of the costs, which stay the same while the goal changes. Rows without a value: NaN. */
export function scoresOf(metric, cost, logarithms, { deltaP, deltaN, rate, budget, sign }) {
  const values = new Float64Array(logarithms.length);
  const limit = Math.log(budget);
  const [below, above] = [deltaP / 100 / Math.log(rate), deltaN / 100 / Math.log(rate)];
  for (let row = 0; row < values.length; row++) {
    const merit = metric[row] * sign;
    const forgiving = 1 + (cost[row] < budget ? below : above) * (limit - logarithms[row]);
    values[row] = merit >= 0 ? merit * forgiving : merit / Math.max(forgiving, SMALLEST_FACTOR);
  }
  return values;
}

/** The metric that has a score at a cost; NaN where no metric has it. */
export function metricOf(value, cost, numbers) {
  const forgiving = factor(cost, numbers);
  const merit = value >= 0 ? (forgiving > 0 ? value / forgiving : NaN) : value * Math.max(forgiving, SMALLEST_FACTOR);
  return merit * numbers.sign;
}
