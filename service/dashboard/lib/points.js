// Every trial of a job as columns of numbers, brought up to date by events; and what follows from them: scores, ranks, the
// front, how both grew. Rows are made only of the few that are shown.

import { orderBy } from "./order.js";
import { scoresOf } from "./score.js";

export const STATUSES = ["done", "running", "queued", "pruned", "infeasible", "failed", "cancelled"];
const CODES = new Map(STATUSES.map((status, code) => [status, code]));
const DONE = 0;
const codeOf = (status) => CODES.get(status) ?? CODES.get("queued");
const COLUMNS = ["metric", "cost", "energy_pj", "bits", "finished_s"];
const FRONT = 2000; // members from which sorting is faster
const RECENT = 8; // goals whose scores and ranks are remembered

export class Points {
  constructor() {
    this.length = 0;
    this.version = 0; // of the job, after the last event that was applied
    this.revision = 0; // grows with every change
    this.number = new Int32Array(0);
    this.status = new Uint8Array(0);
    for (const name of COLUMNS) this[name] = new Float64Array(0);
    this.reasons = new Map();
    this.epochs = new Map(); // of running trials: number -> the latest epoch and its metrics; another map after each change
    this.cache = new Map();
    this.recent = new Map();
  }

  /** `columns`: what /points answers: all trials, or (`after` above 0) those that changed. */
  static from(columns) {
    const points = new Points();
    points.merge(columns);
    return points;
  }

  merge(columns) {
    if (this.length === 0) this.fill(columns);
    else {
      for (let row = 0; row < columns.number.length; row++) {
        const values = { status: columns.status[row] };
        for (const name of COLUMNS) if (name in columns) values[name] = columns[name][row];
        this.put(columns.number[row], values);
      }
    }
    if (columns.cost_unit === "energy_pj" && !("energy_pj" in columns)) this.energy_pj.set(this.cost);
    this.version = Math.max(this.version, columns.version);
    this.revision++;
  }

  /** The first rows, which are ordered by number. */
  fill(columns) {
    this.length = columns.number.length;
    this.number = Int32Array.from(columns.number);
    this.status = Uint8Array.from(columns.status, codeOf);
    for (const name of COLUMNS) this[name] = Float64Array.from(columns[name] ?? new Array(this.length), (value) => value ?? NaN);
  }

  /** Add columns that `from` was made without; what events have brought meanwhile stays. */
  complete(columns) {
    for (let index = 0; index < columns.number.length; index++) {
      const row = this.row(columns.number[index]);
      if (row < 0) continue;
      for (const name of COLUMNS) if (name in columns && Number.isNaN(this[name][row])) this[name][row] = columns[name][index] ?? NaN;
    }
    this.revision++;
  }

  /** Apply an event of the job; true if a trial has changed. `createdAt`: of the job, in milliseconds. */
  apply(event, createdAt) {
    if (event.id <= this.version) return false;
    this.version = event.id;
    const { trial, type, data } = event;
    if (trial === null) return false;
    this.note(event);
    if (type === "trial.queued") this.put(trial, { status: "queued" });
    else if (type === "trial.claimed") this.put(trial, { status: "running" });
    else if (type === "trial.ended") {
      this.put(trial, { ...data, finished_s: (Date.parse(event.created_at) - createdAt) / 1000 });
      if (data.reason) this.reasons.set(trial, data.reason);
    } else return false;
    this.revision++;
    return true;
  }

  /** Keep the latest epoch of a running trial, also from an event that is older than the columns. */
  note({ trial, type, data }) {
    if (type !== "trial.epoch" && !this.epochs.has(trial)) return;
    this.epochs = new Map(this.epochs);
    if (type === "trial.epoch") this.epochs.set(trial, { epoch: data.epoch, metrics: data.metrics });
    else this.epochs.delete(trial);
  }

  /** Running trials and what `name` is on their validation data so far: [{number, epoch, value}]. */
  running(name) {
    const list = [];
    for (const [number, { epoch, metrics }] of this.epochs) {
      const row = this.row(number);
      const value = metrics[`val_${name}`];
      if (row >= 0 && this.statusOf(row) === "running" && Number.isFinite(value)) list.push({ number, epoch, value });
    }
    return list;
  }

  put(number, values) {
    let row = this.row(number);
    if (row < 0) row = this.insert(number);
    if (values.status !== undefined) this.status[row] = codeOf(values.status);
    for (const name of COLUMNS) if (name in values) this[name][row] = values[name] ?? NaN;
  }

  /** The row of a trial; -1: there is none. */
  row(number) {
    if (number < this.length && this.number[number] === number) return number; // numbers without gaps
    let [low, high] = [0, this.length - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (this.number[middle] === number) return middle;
      if (this.number[middle] < number) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  insert(number) {
    if (this.length === this.number.length) this.grow();
    let row = this.length++;
    while (row > 0 && this.number[row - 1] > number) row--;
    for (const name of ["number", "status", ...COLUMNS]) this[name].copyWithin(row + 1, row, this.length - 1);
    this.number[row] = number;
    for (const name of COLUMNS) this[name][row] = NaN;
    return row;
  }

  grow() {
    const size = Math.max(64, Math.ceil(this.number.length * 1.5));
    for (const name of ["number", "status", ...COLUMNS]) {
      const larger = new this[name].constructor(size);
      larger.set(this[name]);
      this[name] = larger;
    }
  }

  statusOf(row) {
    return STATUSES[this.status[row]];
  }

  isDone(row) {
    return this.status[row] === DONE && !Number.isNaN(this.metric[row]) && !Number.isNaN(this.cost[row]);
  }

  isMeasured(row) {
    return !Number.isNaN(this.metric[row]) && !Number.isNaN(this.cost[row]);
  }

  /** Computed once for each revision and key. */
  once(key, compute) {
    const hit = this.cache.get(key);
    if (hit?.revision === this.revision) return hit.value;
    const value = compute();
    this.cache.set(key, { revision: this.revision, value });
    return value;
  }

  /** The same for what depends on a goal too: of many goals (a slider moves through them) only the last few are remembered. */
  onceFor(numbers, name, compute) {
    const key = `${name} ${this.revision} ${JSON.stringify(numbers)}`;
    let value = this.recent.get(key);
    if (value === undefined) value = compute();
    else this.recent.delete(key);
    this.recent.set(key, value);
    if (this.recent.size > RECENT) this.recent.delete(this.recent.keys().next().value);
    return value;
  }

  /** Rows of the trials that are done and were measured. */
  done() {
    return this.once("done", () => {
      const rows = new Uint32Array(this.length);
      let count = 0;
      for (let row = 0; row < this.length; row++) if (this.isDone(row)) rows[count++] = row;
      return rows.subarray(0, count);
    });
  }

  /** Score of each row under `numbers` of `scoring()`; NaN where nothing was measured. */
  scores(numbers) {
    const logarithms = this.once("logarithms", () => this.cost.slice(0, this.length).map(Math.log));
    return this.onceFor(numbers, "scores", () => scoresOf(this.metric, this.cost, logarithms, numbers));
  }

  /** Rows of the trials that are done, best score first, of equal ones the earlier; `isIn(row)` leaves some out. */
  ranking(numbers, isIn = null) {
    const ranking = this.onceFor(numbers, "ranking", () => orderBy(this.scores(numbers).map((value) => -value), this.done()));
    return isIn === null ? ranking : ranking.filter(isIn);
  }

  /** The rank of each row, from 1; 0 for rows without one. */
  ranks(numbers) {
    return this.onceFor(numbers, "ranks", () => {
      const ranks = new Uint32Array(this.length);
      this.ranking(numbers).forEach((row, place) => { ranks[row] = place + 1; });
      return ranks;
    });
  }

  /** The best `count` rows, without ordering the others. */
  best(numbers, count, isIn = null) {
    const values = this.scores(numbers);
    const top = [];
    let least = -Infinity;
    for (const row of this.done()) {
      const value = values[row];
      if ((top.length === count && value <= least) || (isIn !== null && !isIn(row))) continue;
      let place = top.length;
      while (place > 0 && values[top[place - 1]] < value) place--;
      top.splice(place, 0, row);
      if (top.length > count) top.pop();
      least = values[top.at(-1)];
    }
    return top;
  }

  /** Rows of the front by rising cost: done, and no other one is as good in metric and cost and better in one of them. */
  front(sign) {
    return this.once(`front ${sign}`, () => this.growFront(sign) ?? this.sortedFront(sign)).slice();
  }

  /** The front, trial by trial: a new one is put into its place, and those that it beats leave. Null if there are many. */
  growFront(sign) {
    const { cost, metric } = this;
    const members = [];
    for (const row of this.done()) {
      let [low, high] = [0, members.length]; // the place after all that cost as much or less
      while (low < high) {
        const middle = (low + high) >> 1;
        if (cost[members[middle]] <= cost[row]) low = middle + 1;
        else high = middle;
      }
      const merit = sign * metric[row];
      const before = low === 0 ? -1 : members[low - 1];
      if (before >= 0 && (sign * metric[before] > merit || (sign * metric[before] === merit && cost[before] < cost[row]))) continue;
      let first = low;
      while (first > 0 && cost[members[first - 1]] === cost[row] && sign * metric[members[first - 1]] < merit) first--;
      let end = low;
      while (end < members.length && sign * metric[members[end]] <= merit) end++;
      members.splice(first, end - first, row);
      if (members.length > FRONT) return null;
    }
    return members;
  }

  sortedFront(sign) {
    const members = [];
    let [reached, cost] = [-Infinity, NaN];
    for (const row of this.byCost(sign)) {
      const merit = sign * this.metric[row];
      if (merit > reached || (merit === reached && this.cost[row] === cost)) {
        members.push(row);
        [reached, cost] = [merit, this.cost[row]];
      }
    }
    return members;
  }

  isOnFront(row, sign) {
    return this.once(`members ${sign}`, () => new Set(this.front(sign))).has(row);
  }

  /** The smallest and the largest cost of the trials that are done, or null. */
  costs() {
    return this.once("costs", () => {
      const rows = this.done();
      return rows.length === 0 ? null : extent(this.cost.length === rows.length ? this.cost : Float64Array.from(rows, (row) => this.cost[row]));
    });
  }

  /** Rows that are done, by cost, of equal cost the better metric first; `sign`: -1 where a smaller one is better. */
  byCost(sign = 1) {
    return this.once(`by cost ${sign}`, () => {
      const byMerit = orderBy(this.metric.slice(0, this.length).map((value) => -sign * value), this.done());
      return orderBy(this.cost, byMerit);
    });
  }

  /** Rows that are done, in the order in which they ended. */
  byEnd() {
    return this.once("ends", () => orderBy(this.finished_s.slice(0, this.length).map((end) => end || 0), this.done()));
  }

  /** Rows at which the best score rose, in the order in which they ended. */
  records(numbers) {
    const values = this.scores(numbers);
    const rows = [];
    for (const row of this.byEnd()) if (rows.length === 0 || values[row] > values[rows.at(-1)]) rows.push(row);
    return rows;
  }

  /** How many trials have each status. */
  counts() {
    const counts = Object.fromEntries(STATUSES.map((status) => [status, 0]));
    for (let row = 0; row < this.length; row++) counts[this.statusOf(row)]++;
    return counts;
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

/** The front's member that is farthest above the line between its ends, both axes scaled to 0..1; null without one. */
export function knee(points, rows, sign) {
  if (rows.length === 0) return null;
  const [first, last] = [rows[0], rows.at(-1)];
  const costs = points.cost[last] - points.cost[first];
  const merits = sign * (points.metric[last] - points.metric[first]);
  if (costs <= 0 || merits <= 0) return last;
  const height = (row) => (sign * (points.metric[row] - points.metric[first])) / merits - (points.cost[row] - points.cost[first]) / costs;
  return rows.reduce((best, row) => (height(row) > height(best) ? row : best), rows[0]);
}
