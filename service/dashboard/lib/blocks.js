// Blocks of a schedule: each is searched by trials of its own, after the one before.

/** The block that a trial belongs to, or null. */
export const blockOf = (job, number) => job.blocks?.find(({ first, trials }) => number >= first && number < first + trials) ?? null;

/**
 * Each block with its share of the reference's energy (null: not known), how many of its trials have ended, the rows of those
 * that are measured, and the best one, {number, score}, or null.
 */
export function blockRows(job, points, numbers) {
  const energies = new Map(job.reference.layers.map((layer) => [layer.name, layer.included_pj ?? 0]));
  const total = [...energies.values()].reduce((sum, energy) => sum + energy, 0);
  const scores = points.scores(numbers);
  return job.blocks.map((block) => {
    const share = total > 0 ? block.layers.reduce((sum, name) => sum + (energies.get(name) ?? 0), 0) / total : null;
    const [rows, all] = [[], []];
    for (let row = 0; row < points.length; row++) {
      if (blockOf({ blocks: [block] }, points.number[row]) === null) continue;
      if (!["queued", "running"].includes(points.statusOf(row))) all.push(row);
      if (points.isDone(row)) rows.push(row);
    }
    const top = rows.reduce((best, row) => (best < 0 || scores[row] > scores[best] ? row : best), -1);
    return { block, share, ended: all.length, rows, best: top < 0 ? null : { number: points.number[top], score: scores[top] } };
  });
}

/** Layers that cost something and that no block settles. */
export function layersLeft(job) {
  const settled = new Set(job.blocks.flatMap(({ layers }) => layers));
  return job.reference.layers.filter(({ name, included_pj }) => included_pj > 0 && !settled.has(name)).map(({ name }) => name);
}
