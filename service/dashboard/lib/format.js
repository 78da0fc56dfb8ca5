// Numbers as people read them.

const ENERGY_UNITS = [[1e12, "J"], [1e9, "mJ"], [1e6, "µJ"], [1e3, "nJ"], [1, "pJ"]];

/** The unit in which picojoules of this size are short, and what to divide by. */
export function energyUnit(valuePj) {
  const [factor, unit] = ENERGY_UNITS.find(([least]) => Math.abs(valuePj) >= least) ?? [1, "pJ"];
  return { factor, unit };
}

export function energy(valuePj) {
  if (valuePj === null || valuePj === undefined || Number.isNaN(valuePj)) return "–";
  const { factor, unit } = energyUnit(valuePj);
  return `${significant(valuePj / factor)} ${unit}`;
}

export function significant(value, digits = 3) {
  if (value === 0) return "0";
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(decimals, 12));
}

const UNITS = { macs: "MACs", bops: "BOPs", ebops: "EBOPs", peak_activation_bits: "bits" };

/** A cost in the job's unit: picojoules, bits, bytes, or a count of operations. */
export const cost = (value, unit) =>
  unit === "energy_pj" ? energy(value) : `${whole(value)} ${UNITS[unit] ?? unit}`;

/** What a cost counts, as the name of an axis. */
export const unitName = (unit) => ({ bits: "size (bits)", macs: "multiplications (MACs)", bops: "bit operations", ebops: "effective bit operations", peak_activation_bits: "peak memory of activations (bits)" })[unit] ?? unit;

/** Commas between thousands. `Intl.NumberFormat` does the same, but to make one takes longer than to draw a chart. */
function grouped(text) {
  const [whole, ...fraction] = text.split(".");
  return [whole.replace(/\B(?=(\d{3})+$)/g, ","), ...fraction].join(".");
}

/** A number without needless digits. */
export function plain(value) {
  const text = String(Number(value.toPrecision(6)));
  return text.includes("e") ? text : grouped(text);
}

export const percent = (share, digits = 2) =>
  share === null || share === undefined || Number.isNaN(share) ? "–" : `${(100 * share).toFixed(digits)} %`;

/** A metric of the job: in percent if it is a share. */
export const metric = (value, job) => (job.metric_is_share || value === null || value === undefined || Number.isNaN(value) ? percent(value) : significant(value, 4));

/** The name of the job's metric, and where a smaller one is better the word for it. */
export const metricName = (job) => job.metric_name.replaceAll("_", " ");

/** With a capital letter. */
export const title = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const score = (value) => (value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(4));

export const whole = (value) =>
  value === null || value === undefined || Number.isNaN(value) ? "–" : grouped(String(Math.round(value)));

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const total = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${rest} s` : `${rest} s`;
}

export function bytes(count) {
  if (count < 1024) return `${count} bytes`;
  return count < 1 << 20 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / (1 << 20)).toFixed(1)} MiB`;
}

export const moment = (text) => (text ? new Date(text).toLocaleString() : "–");

const formats = new Map();
const inWords = (text, options) => {
  if (!text) return "–";
  const key = Object.keys(options).join();
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(undefined, options));
  return formats.get(key).format(new Date(text));
};
const DAY_AND_MINUTE = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" };

/** A moment to the minute: Nov 30, 07:44 PM; with the year where it is another one. */
export const shortMoment = (text) => inWords(text, text && new Date(text).getFullYear() !== new Date().getFullYear() ? { ...DAY_AND_MINUTE, year: "numeric" } : DAY_AND_MINUTE);

/** A moment to the second. */
export const exactMoment = (text) => inWords(text, { ...DAY_AND_MINUTE, second: "2-digit" });

/** A number of assignments, which may have hundreds of digits. */
export function size(digits) {
  return digits.length <= 9 ? grouped(digits) : `${digits[0]}.${digits.slice(1, 3)} × 10^${digits.length - 1}`;
}

/** A percentage without needless digits: 12.5 %, 3 %. */
export const tidyPercent = (share) => `${Number((100 * share).toPrecision(4))} %`;

/** A count in a few characters: 12k, 3.4M. */
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const [factor, unit] = [[1e9, "G"], [1e6, "M"], [1e3, "k"]].find(([least]) => Math.abs(value) >= least) ?? [1, ""];
  return `${Number((value / factor).toPrecision(3))}${unit}`;
}

/** A quantizer's expression in a few characters: `quantized_bits(4,0,1,alpha=1.0)` is `q_bits(4,0,1)`. */
export const shortLabel = (text) => text.replace("quantized_", "q_").replace("stochastic_", "st_").replace(/,?\s*alpha=[^,)]*/, "").slice(0, 18);

/** How long ago a moment was. */
export function ago(text) {
  const seconds = Math.max(0, (Date.now() - Date.parse(text)) / 1000);
  return seconds < 5 ? "now" : `${duration(seconds)} ago`;
}

/** An energy that a reader wrote: "1 nJ", "850pJ", "0.5"; picojoules, null where it is none. */
export function readEnergy(text) {
  const match = text.trim().replace(",", ".").match(/^([\d.]+(?:e[+-]?\d+)?)\s*(pJ|nJ|µJ|uJ|mJ|J)?$/i);
  if (match === null || !(Number(match[1]) > 0)) return null;
  const unit = (match[2] ?? "pJ").replace("u", "µ").toLowerCase();
  const [factor] = ENERGY_UNITS.find(([, name]) => name.toLowerCase() === unit);
  return Number(match[1]) * factor;
}

/** An energy for an axis, without needless digits: 5 nJ. */
export function tidyEnergy(valuePj) {
  const { factor, unit } = energyUnit(valuePj);
  return `${Number((valuePj / factor).toPrecision(4))} ${unit}`;
}

/** A cost for an axis. */
export const tidyCost = (value, unit) => (unit === "energy_pj" ? tidyEnergy(value) : `${short(value)} ${UNITS[unit] ?? unit}`);
