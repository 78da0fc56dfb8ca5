// Axes: from values to pixels, and where the ticks stand.

import { extent } from "./points.js";

const log10 = Math.log10;

export function linear([low, high], [from, to]) {
  const scale = (value) => from + ((value - low) / (high - low)) * (to - from);
  scale.ticks = (count) => linearTicks(low, high, count);
  scale.domain = [low, high];
  return scale;
}

/** Logarithmic; the domain must be positive. */
export function logarithmic([low, high], [from, to]) {
  const scale = (value) => from + ((log10(value) - log10(low)) / (log10(high) - log10(low))) * (to - from);
  scale.ticks = (count) => logTicks(low, high, count);
  scale.domain = [low, high];
  return scale;
}

function linearTicks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const ticks = [];
  for (let index = Math.ceil(low / step); index * step <= high * (1 + 1e-12); index++) ticks.push(index * step);
  return ticks;
}

const ENOUGH = 4; // ticks
const FACTORS = [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8]]; // of a decade, from few to many

function logTicks(low, high, count) {
  const span = log10(high / low);
  const first = span > count / 2 ? 0 : span > count / 3 ? 1 : 2;
  for (const factors of FACTORS.slice(first)) {
    const ticks = ticksOf(low, high, factors);
    if (ticks.length >= Math.min(ENOUGH, count)) return ticks;
  }
  return linearTicks(low, high, count); // too narrow for any factors
}

function ticksOf(low, high, factors) {
  const ticks = [];
  for (let power = Math.floor(log10(low)); power <= Math.ceil(log10(high)); power++) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (value >= low && value <= high) ticks.push(value);
    }
  }
  return ticks;
}

const FEW = 12; // values of which all are shown

/**
 * The smallest and the largest of most values: without the few that lie far below the others and would press these together.
 * `kept`: values that are always inside.
 */
export function usualRange(values, kept = []) {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length < FEW) return extent(sorted);
  const top = sorted[sorted.length - 1];
  const least = Math.min(sorted[Math.floor(0.1 * sorted.length)], extent(kept)[0]);
  const edge = least - 0.35 * (top - least || Math.abs(top) || 1);
  return [sorted.find((value) => value >= edge), top];
}

/** The range of the values with a margin, in the scale's own sense; never empty. */
export function domain(values, { isLog = false, margin = 0.06 } = {}) {
  const [low, high] = extent(values);
  if (isLog) {
    const factor = Math.max((high / low) ** margin, 1.05);
    return [low / factor, high * factor];
  }
  const space = (high - low) * margin || Math.abs(high) * margin || 1;
  return [low - space, high + space];
}
