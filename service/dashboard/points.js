// Every trial of a job as columns, as the service sends them; rows are made only of the few that are shown.

const MEASURED = "done";

export class Points {
  /** `columns`: what /points answers; null: none yet. */
  constructor(columns) {
    this.columns = columns ?? { number: [], status: [], metric: [], cost: [], score: [], front: [], energy_pj: [], bits: [], finished_s: [] };
    this.length = this.columns.number.length;
    this.index = new Map(this.columns.number.map((number, index) => [number, index]));
  }

  /** The trial at a place, as a value. */
  at(index) {
    const trial = {};
    for (const name of ["number", "status", "metric", "cost", "score", "front", "energy_pj", "bits", "finished_s"]) trial[name] = this.columns[name][index];
    return trial;
  }

  /** The trial with a number, or null. */
  find(number) {
    const index = this.index.get(number);
    return index === undefined ? null : this.at(index);
  }

  /** Places of the trials that have metric and cost and have one of the statuses, by rising cost. */
  plotted(statuses) {
    const { metric, cost, status } = this.columns;
    const kept = [];
    for (let index = 0; index < this.length; index++) {
      if (metric[index] !== null && cost[index] !== null && statuses.has(status[index])) kept.push(index);
    }
    return kept.sort((a, b) => cost[a] - cost[b] || a - b);
  }

  isMeasured(index) {
    return this.columns.status[index] === MEASURED;
  }

  isOnFront(number) {
    return this.columns.front[this.index.get(number)] === true;
  }

  /** How often a better score was found: {number, x, score}, x the seconds after the job's creation. */
  records() {
    const { number, status, score, finished_s: finished } = this.columns;
    const order = [];
    for (let index = 0; index < this.length; index++) {
      if (status[index] === MEASURED && score[index] !== null && finished[index] !== null) order.push(index);
    }
    order.sort((a, b) => finished[a] - finished[b] || a - b);
    const found = [];
    for (const index of order) {
      if (found.length === 0 || score[index] > found.at(-1).score) found.push({ number: number[index], x: finished[index], score: score[index] });
    }
    return { found, last: order.length ? finished[order.at(-1)] : 0 };
  }
}

/** The smallest and the largest of many numbers; spreading them into Math.min would overflow the stack. */
export function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
