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

function logTicks(low, high, count) {
  const span = log10(high / low);
  if (span < 0.3) return linearTicks(low, high, count); // too narrow for 1-2-5
  const factors = span > count / 2 ? [1] : span > count / 3 ? [1, 3] : [1, 2, 5];
  const ticks = [];
  for (let power = Math.floor(log10(low)); power <= Math.ceil(log10(high)); power++) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (value >= low && value <= high) ticks.push(value);
    }
  }
  return ticks;
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
