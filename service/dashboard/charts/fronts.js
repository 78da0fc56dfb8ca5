// The fronts of several jobs in one chart, over the share of each one's reference.

import { html, useEffect, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import { axis, axisOption } from "../lib/axis.js";
import * as format from "../lib/format.js";
import { Chart } from "./chart.js";

const COLOURS = ["trial", "front", "best", "parameters", "inputs", "outputs"];
const TYPES = ["solid", "dashed", "dotted"];

export function Fronts({ jobs }) {
  const [fronts, setFronts] = useState([]);
  const key = jobs.map((job) => `${job.id} ${job.version}`).join();
  useEffect(() => {
    let isCurrent = true;
    Promise.all(jobs.map(async (job) => ({ job, items: (await api.front(job.id)).items }))).then((answer) => isCurrent && setFronts(answer), () => {});
    return () => { isCurrent = false; };
  }, [key]);
  const drawn = fronts.filter(({ items }) => items.length > 0);
  const units = new Set(drawn.map(({ job }) => job.cost_unit));
  const isShare = units.size > 1;
  const cost = ({ job }, item) => (isShare ? item.cost / job.reference_cost : item.cost);
  const label = (value) => (isShare ? format.tidyPercent(value) : format.tidyCost(value, [...units][0] ?? "energy_pj"));
  const metrics = [...new Set(drawn.map(({ job }) => format.metricName(job)))];
  const option = (colours) => {
    const xAxis = axis(drawn.flatMap((front) => front.items.map((item) => cost(front, item))), { isLog: true, label, name: isShare ? "cost, of each job's reference" : "cost of one inference", count: 8 });
    const yAxis = axis(drawn.flatMap(({ items }) => items.map((item) => item.metric)), { name: metrics.join(", "), label: (value) => (drawn.every(({ job }) => job.metric_is_share) ? format.tidyPercent(value) : format.plain(value)) });
    return {
      legend: { top: 0, textStyle: { color: colours.text } },
      grid: { left: 66, right: 20, top: 32, bottom: 46 },
      xAxis: axisOption(xAxis, colours),
      yAxis: axisOption(yAxis, colours, { isX: false }),
      series: drawn.map((front, index) => ({
        name: `${front.job.name || front.job.model} ${front.job.id.slice(0, 4)}`, type: "line", step: "end", silent: true, symbol: "diamond", symbolSize: 8,
        itemStyle: { color: colours[COLOURS[index % COLOURS.length]] }, lineStyle: { color: colours[COLOURS[index % COLOURS.length]], width: 2, type: TYPES[index % TYPES.length] },
        data: front.items.map((item) => [xAxis.at(cost(front, item)), item.metric]),
      })),
    };
  };
  return html`<${Chart} id="fronts" title="Fronts of these jobs" hint=${metrics.length > 1 ? "their metrics differ: compare with care" : ""} height=${330} option=${option} label=${`fronts of ${drawn.length} jobs`} empty=${drawn.length === 0 ? "None of these jobs has a measured trial." : null}
    table=${() => ({ columns: ["job", "trial", "metric", "cost"], rows: drawn.flatMap(({ job, items }) => items.map((item) => [job.name || job.id, item.number, item.metric, item.cost])) })} />`;
}
