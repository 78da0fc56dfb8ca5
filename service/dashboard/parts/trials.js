// The trials of a job as a table: the twin of the front for readers without it, and where failures show their reasons. Of many
// rows only those in sight are made.

import { cls, html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import * as api from "../lib/api.js";
import * as format from "../lib/format.js";
import { orderBy } from "../lib/order.js";
import { STATUSES } from "../lib/points.js";
import { save } from "../charts/chart.js";
import { toCsv } from "../charts/csv.js";
import { SortableHead, useNarrow } from "./ui.js";

const ROW_PX = 33;
const VIRTUAL = 250; // rows from which they have one height, and only those in sight are made
const AROUND = 12;

const columnsOf = (job, points, numbers) => [
  { name: "Trial", value: (row) => points.number[row], text: (row) => String(points.number[row]), isNumber: true },
  { name: "Score", value: (row) => (points.isDone(row) ? points.scores(numbers)[row] : NaN), text: (row) => (points.isDone(row) ? format.score(points.scores(numbers)[row]) : "–"), isNumber: true, isBestHigh: true },
  { name: "Metric", title: format.title(format.metricName(job)), value: (row) => points.metric[row], text: (row) => format.metric(points.metric[row], job), isNumber: true, isBestHigh: job.metric_direction === "max" },
  { name: "Energy", value: (row) => points.energy_pj[row], text: (row) => format.energy(points.energy_pj[row]), isNumber: true },
  { name: "Of reference", value: (row) => points.cost[row], text: (row) => (job.reference_cost ? format.percent(points.cost[row] / job.reference_cost, 1) : "–"), isNumber: true, isWide: true },
  { name: "Bits", value: (row) => points.bits[row], text: (row) => format.whole(points.bits[row]), isNumber: true, isWide: true },
  { name: "Ended", value: (row) => points.finished_s[row], text: (row) => (Number.isNaN(points.finished_s[row]) ? "–" : format.duration(points.finished_s[row])), isNumber: true, isWide: true, isHidden: true },
];

/** Rows in the table's order; what was not measured comes last. */
function ordered(rows, column, descending, length) {
  const sign = descending ? -1 : 1;
  const keys = new Float64Array(length).fill(Infinity);
  for (const row of rows) {
    const value = column.value(row);
    if (!Number.isNaN(value)) keys[row] = sign * value;
  }
  return orderBy(keys, rows);
}

export function TrialTable({ job, points, numbers, statuses, setStatuses, isIn, clearArea, selected, compared, pick, compare }) {
  const [sort, setSort] = useState({ name: "Score", descending: true });
  const [text, setText] = useState("");
  const [hidden, setHidden] = useState(() => new Set(["Ended"]));
  const columns = columnsOf(job, points, numbers);
  const counts = points.once("counts", () => points.counts());
  const rows = useMemo(() => {
    const matching = [];
    const needle = text.trim().toLowerCase();
    for (let row = 0; row < points.length; row++) {
      if (!statuses.has(points.statusOf(row)) || (isIn !== null && !isIn(row))) continue;
      if (needle && !String(points.number[row]).startsWith(needle) && !(points.reasons.get(points.number[row]) ?? "").toLowerCase().includes(needle)) continue;
      matching.push(row);
    }
    return ordered(matching, columns.find((column) => column.name === sort.name), sort.descending, points.length);
  }, [points, points.revision, points.reasons.size, statuses, isIn, sort, text, numbers]);
  const shown = columns.filter((column) => !hidden.has(column.name));
  const csv = () => save(`trials-${job.id}.csv`, new Blob([toCsv({ columns: ["trial", "status", "reason", ...columns.slice(1).map((column) => column.title ?? column.name)], rows: Array.from(rows, (row) => [points.number[row], points.statusOf(row), points.reasons.get(points.number[row]) ?? "", ...columns.slice(1).map((column) => column.value(row))]) })], { type: "text/csv" }));
  const present = STATUSES.filter((status) => counts[status] > 0 || !statuses.has(status));
  return html`<section class="card trials" id="trials"><div class="row"><h2>Trials</h2>
      <p class="small downloads">These ${format.whole(rows.length)}: <button type="button" class="plain link" onClick=${csv}>CSV</button> · all with their quantizers: <a href=${api.exported(job.id, "csv")} download>CSV</a> · <a href=${api.exported(job.id, "parquet")} download>Parquet</a></p></div>
    <div class="row filters"><fieldset><legend class="visually-hidden">Statuses of trials that are shown</legend>
      ${present.map((status) => html`<label class="status-box" key=${status}><input type="checkbox" value=${status} checked=${statuses.has(status)} onChange=${() => setStatuses(toggled(statuses, status))} /> ${status} <span class="muted">${format.whole(counts[status])}</span></label>`)}</fieldset>
      <span class="actions"><input type="search" placeholder="number or reason" aria-label="Filter by number or reason" value=${text} onInput=${(event) => setText(event.currentTarget.value)} />
        <details class="menu"><summary class="button">Columns</summary><div class="menu-items">${columns.slice(1).map((column) => html`<label key=${column.name}><input type="checkbox" checked=${!hidden.has(column.name)} onChange=${() => setHidden(toggled(hidden, column.name))} /> ${column.title ?? column.name}</label>`)}</div></details></span></div>
    ${isIn !== null && html`<p class="small">Only the trials of the selected area. <button type="button" class="plain link" onClick=${clearArea}>All trials</button></p>`}
    <${Body} key=${rows.length > VIRTUAL} job=${job} points=${points} numbers=${numbers} columns=${shown} rows=${rows} sort=${sort} setSort=${setSort} selected=${selected} compared=${compared} pick=${pick} compare=${compare} />
  </section>`;
}

function toggled(set, member) {
  const next = new Set(set);
  if (!next.delete(member)) next.add(member);
  return next;
}

function Body({ job, points, numbers, columns, rows, sort, setSort, selected, compared, pick, compare }) {
  const isVirtual = rows.length > VIRTUAL;
  const box = useRef(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  useEffect(() => {
    if (!isVirtual) return undefined;
    const observer = new ResizeObserver(() => setHeight(box.current.clientHeight));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, [isVirtual]);
  const first = isVirtual ? Math.max(0, Math.floor(top / ROW_PX) - AROUND) : 0;
  const last = isVirtual ? Math.min(rows.length, Math.ceil((top + height) / ROW_PX) + AROUND) : rows.length;
  const isNarrow = useNarrow();
  const width = columns.length + 2;
  const space = (count) => (count > 0 ? html`<tr aria-hidden="true" class="space"><td colspan=${width} style=${{ height: `${count * ROW_PX}px` }}></td></tr>` : null);
  return html`<div class=${cls("scroll", isVirtual && "virtual")} ref=${box} tabindex="0" role="region" aria-label="trials" onScroll=${isVirtual ? (event) => setTop(event.currentTarget.scrollTop) : null}>
    <table class="rows" aria-rowcount=${rows.length + 1}>
      <${SortableHead} columns=${[...columns, { name: "Status" }]} sort=${sort} setSort=${(next) => next.name !== "Status" && setSort(next)} />
      <tbody>${space(first)}
        ${Array.from(rows.slice(first, last), (row) => html`<${Row} key=${points.number[row]} job=${job} points=${points} numbers=${numbers} row=${row} columns=${columns} isNarrow=${isNarrow && !isVirtual} isSelected=${points.number[row] === selected} isCompared=${compared.includes(points.number[row])} pick=${pick} compare=${compare} />`)}
        ${space(rows.length - last)}
        ${rows.length === 0 && html`<tr><td colspan=${width} class="muted">No trials.</td></tr>`}</tbody></table></div>`;
}

/** `isNarrow`: what was not measured leaves its place to the reason. */
function Row({ job, points, numbers, row, columns, isNarrow, isSelected, isCompared, pick, compare }) {
  const number = points.number[row];
  const isReason = isNarrow && !points.isMeasured(row);
  const shown = isReason ? columns.slice(0, 1) : columns;
  return html`<tr class=${cls(isSelected && "selected", points.statusOf(row))} onClick=${(event) => { if (!event.target.closest("button, input, a")) pick(number, event.shiftKey); }}>
    ${shown.map((column, index) => (index === 0
      ? html`<th scope="row" class="number" key="Trial"><button type="button" class="plain link" aria-pressed=${String(isSelected)} onClick=${(event) => pick(number, event.shiftKey)}>${column.text(row)}</button></th>`
      : html`<td class=${cls("number", column.isWide && "wide-only")} key=${column.name}>${column.text(row)}</td>`))}
    <td class="small state" colspan=${isReason ? columns.filter((column) => !column.isWide).length : null}><div>${stateOf(job, points, numbers, row)}</div><button type="button" class="plain compare" aria-pressed=${String(isCompared)} aria-label=${`compare trial ${number}`} title="compare" onClick=${() => compare(number)}>${isCompared ? "☑" : "☐"}</button></td></tr>`;
}

function stateOf(job, points, numbers, row) {
  const status = points.statusOf(row);
  const number = points.number[row];
  const reason = points.reasons.get(number);
  if (status !== "done") return html`<span>${status}</span>${reason && html`<div class="muted clip" title=${reason}>${reason}</div>`}`;
  if (number === job.best?.number) return "best score";
  return points.isOnFront(row, numbers.sign) ? "on the front" : "";
}

/** What failed, and why: reasons with how often they occurred. */
export function Failures({ points, pick, retry }) {
  const groups = new Map();
  for (let row = 0; row < points.length; row++) {
    const status = points.statusOf(row);
    if (!["failed", "pruned", "infeasible"].includes(status)) continue;
    const reason = points.reasons.get(points.number[row]) ?? "no reason was stored";
    const key = `${status}: ${reason.replace(/-?\d+(\.\d+)?/g, "…")}`;
    const group = groups.get(key) ?? { status, reason, numbers: [] };
    group.numbers.push(points.number[row]);
    groups.set(key, group);
  }
  const rows = [...groups.values()].sort((a, b) => b.numbers.length - a.numbers.length).slice(0, 50);
  return html`<section class="card" id="failures"><h2>What failed, and why</h2>
    ${rows.length === 0 ? html`<p class="muted">Nothing failed, was pruned or was infeasible.</p>` : html`<div class="scroll"><table class="rows small"><thead><tr><th scope="col">Status</th><th scope="col" class="number">Trials</th><th scope="col">Reason</th></tr></thead>
      <tbody data-answer="failed">${rows.map(({ status, reason, numbers }) => html`<tr key=${`${status} ${reason}`}><td><span class=${`chip ${status}`}>${status}</span></td><td class="number">${numbers.length}</td>
        <td class="wrap">${reason}<div>${numbers.slice(0, 12).map((number) => html`<button type="button" class="plain link" key=${number} onClick=${() => pick(number, false)}>${number}</button> `)}${numbers.length > 12 ? "…" : ""}</div></td></tr>`)}</tbody></table></div>
      ${retry && html`<p>${retry}</p>`}`}</section>`;
}
