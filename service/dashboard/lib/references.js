// What a model costs unquantized, in types that its job's reference does not have.

/** [{name, value}], in the job's cost unit. */
export const otherReferences = (job) => Object.entries(job.reference_values ?? {})
  .filter(([, value]) => Math.abs(value - job.reference_cost) > 1e-9 * job.reference_cost)
  .map(([type, value]) => ({ name: `model in ${type}`, value }));
