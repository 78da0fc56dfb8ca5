// Axes of charts: a range, its ticks and their labels. A logarithmic axis is a linear one over logarithms, so that its ticks
// can stand at 1, 2 and 5.

import * as format from "./format.js";
import { domain, linear, logarithmic } from "./scale.js";

/** `values`: what must be visible; `range`: a zoom, which replaces it. */
export function axis(values, { isLog = false, range = null, count = 6, label = format.plain, name = "", floor = null } = {}) {
  const usable = values.filter((value) => Number.isFinite(value) && (!isLog || value > 0));
  const whole = usable.length ? domain(usable, { isLog }) : isLog ? [1, 10] : [0, 1];
  if (floor !== null && whole[0] < floor) whole[0] = floor;
  const [low, high] = range ?? whole;
  const scale = (isLog ? logarithmic : linear)([low, high], [0, 1]);
  const at = isLog ? Math.log10 : (value) => value;
  const ticks = scale.ticks(count);
  return {
    isLog,
    low,
    high,
    name,
    at,
    from: isLog ? (place) => 10 ** place : (place) => place,
    label,
    option: {
      type: "value",
      min: at(low),
      max: at(high),
      ticks: ticks.map(at),
      labels: new Map(ticks.map((tick) => [at(tick), label(tick)])),
    },
  };
}

/** The part of an ECharts option that an axis made here needs. */
export function axisOption(made, colours, { isX = true, nameGap = isX ? 30 : 48 } = {}) {
  const { ticks, labels, ...rest } = made.option;
  const text = (value) => labels.get(value) ?? labels.get(ticks.find((tick) => Math.abs(tick - value) < 1e-9)) ?? "";
  return {
    ...rest,
    name: made.name,
    nameLocation: "middle",
    nameGap,
    nameTextStyle: { color: colours.text, fontSize: 12 },
    axisLine: { show: isX, lineStyle: { color: colours.muted } },
    axisTick: { show: isX, customValues: ticks, lineStyle: { color: colours.muted } },
    axisLabel: { customValues: ticks, formatter: text, color: colours.muted, hideOverlap: true, fontSize: 12 },
    splitLine: { show: true, customValues: ticks, lineStyle: { color: colours.line } },
    splitNumber: ticks.length,
  };
}
