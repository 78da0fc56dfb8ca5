// One chart: drawn by ECharts, described in words, with its numbers as a table and as files. Colours follow the page's theme;
// on paper it is a picture in the light one.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { palette, useTheme } from "../lib/theme.js";
import * as echarts from "../vendor/echarts.js";

const FONT = "system-ui, 'DejaVu Sans', sans-serif";

const base = (colours) => ({
  animation: false,
  backgroundColor: "transparent",
  textStyle: { fontFamily: FONT, color: colours.text },
  aria: { enabled: false }, // the element has a label of its own
});

/**
 * `option(colours)`: an ECharts option. `label`: the chart in a sentence. `table()`: {columns, rows}, the chart's numbers.
 * `onReady(instance, element)`: after it was drawn the first time; what it returns is called at the end.
 */
export function Chart({ id, title, hint, option, label, table, height = 300, onReady, onDraw, onKeyDown, controls, children, empty }) {
  const holder = useRef(null);
  const chart = useRef(null);
  const theme = useTheme();
  const [isVisible, setVisible] = useState(false);
  const latest = useRef(option);
  latest.current = option;
  useEffect(() => (empty ? undefined : whenVisible(holder.current, () => setVisible(true))), [Boolean(empty)]);
  useEffect(() => {
    if (!isVisible || empty) return undefined;
    const instance = echarts.init(holder.current, null, { renderer: "canvas" });
    chart.current = instance;
    draw(instance, latest.current);
    const observer = new ResizeObserver(() => instance.resize());
    observer.observe(holder.current);
    const stopPrinting = printable(instance, holder.current, () => draw(instance, latest.current));
    const end = onReady?.(instance, holder.current);
    return () => {
      end?.();
      stopPrinting();
      observer.disconnect();
      instance.dispose();
      chart.current = null;
    };
  }, [isVisible, Boolean(empty)]);
  useLayoutEffect(() => {
    if (chart.current === null) return;
    draw(chart.current, option);
    onDraw?.(chart.current, holder.current);
  });
  return html`<figure class="card chart" id=${id} data-theme-count=${theme}>
    <div class="row"><h2>${title} ${hint && html`<span class="muted small hint">${hint}</span>`}</h2>
      <div class="actions">${controls}${!empty && html`<${Export} name=${id} chart=${chart} option=${option} table=${table} />`}</div></div>
    ${empty ? html`<p class="muted nothing">${empty}</p>` : html`
      <div class="canvas" ref=${holder} style=${{ height: `${height}px` }} role="img" aria-label=${label}
        tabindex=${onKeyDown ? 0 : null} onKeyDown=${onKeyDown}></div>
      ${children}
      ${table && html`<${Twin} table=${table} title=${title} />`}`}
  </figure>`;
}

function draw(instance, option) {
  const colours = palette();
  instance.setOption({ ...base(colours), ...option(colours) }, { notMerge: true });
}

/** Call `then` once the element comes near the window. */
function whenVisible(element, then) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    then();
  }, { rootMargin: "300px" });
  observer.observe(element);
  return () => observer.disconnect();
}

/** On paper a picture takes the place of the canvas, whose size fits the window and not the paper. */
function printable(instance, element, redraw) {
  const picture = document.createElement("img");
  picture.className = "on-paper";
  picture.alt = "";
  const before = () => {
    redraw(); // in the colours for paper
    picture.src = instance.getDataURL({ pixelRatio: 2, backgroundColor: "#fff" });
    element.append(picture);
  };
  const after = () => {
    picture.remove();
    redraw();
  };
  const media = window.matchMedia("print");
  const changed = (event) => (event.matches ? before() : after());
  media.addEventListener("change", changed);
  window.addEventListener("beforeprint", before);
  return () => {
    media.removeEventListener("change", changed);
    window.removeEventListener("beforeprint", before);
  };
}

// --- the same in words and files -------------------------------------------------------------------------------------

const ROWS = 200;

/** The numbers of a chart as a table, made when it is opened. */
function Twin({ table, title }) {
  const [isOpen, setOpen] = useState(false);
  const made = isOpen ? table() : null;
  return html`<details class="twin" onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary class="small">${title} as a table</summary>
    ${made && html`<div class="scroll" tabindex="0" role="region" aria-label=${`${title} as a table`}><table class="rows small">
      <thead><tr>${made.columns.map((column) => html`<th scope="col">${column}</th>`)}</tr></thead>
      <tbody>${made.rows.slice(0, ROWS).map((row) => html`<tr>${row.map((cell, index) => (index === 0 ? html`<th scope="row">${cell}</th>` : html`<td>${cell}</td>`))}</tr>`)}</tbody>
    </table></div>${made.rows.length > ROWS ? html`<p class="muted small">The first ${ROWS} of ${made.rows.length} rows; the CSV file has all.</p>` : null}`}
  </details>`;
}

/** Hand the reader a file. */
export function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const quoted = (value) => {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // no formula of a spreadsheet
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

export const toCsv = ({ columns, rows }) => `${[columns, ...rows].map((row) => row.map(quoted).join(",")).join("\n")}\n`;

/** The chart as an SVG document, drawn anew by ECharts' renderer for servers. */
export function toSvg(option, width, height) {
  const colours = palette();
  const instance = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
  instance.setOption({ ...base(colours), ...option(colours), backgroundColor: colours.card });
  const text = instance.renderToSVGString();
  instance.dispose();
  return text;
}

function Export({ name, chart, option, table }) {
  const size = () => [chart.current.getWidth(), chart.current.getHeight()];
  const png = async () => {
    const picture = await fetchData(chart.current.getDataURL({ pixelRatio: 2, backgroundColor: palette().card }));
    save(`${name}.png`, picture);
  };
  return html`<details class="menu"><summary class="button" aria-label=${`Save ${name}`} title="Save this chart">⤓</summary>
    <div class="menu-items">
      <button type="button" onClick=${png}>PNG</button>
      <button type="button" onClick=${() => save(`${name}.svg`, new Blob([toSvg(option, ...size())], { type: "image/svg+xml" }))}>SVG</button>
      ${table && html`<button type="button" onClick=${() => save(`${name}.csv`, new Blob([toCsv(table())], { type: "text/csv" }))}>CSV</button>`}
    </div></details>`;
}

/** A `data:` address as a blob, without asking for it: the page's policy lets nothing be fetched but its own service. */
function fetchData(address) {
  const [head, body] = address.split(",");
  const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: head.slice(5).split(";")[0] });
}
