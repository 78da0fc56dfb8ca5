// One chart: drawn by ECharts, described in words, with its numbers as a table and as files. Colours follow the page's theme;
// on paper it is a picture in the light one.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { inFrame, whenCalm } from "../lib/frames.js";
import { palette, useTheme } from "../lib/theme.js";
import { toCsv } from "./csv.js";
import * as echarts from "../vendor/echarts.js";

const FONT = "system-ui, 'DejaVu Sans', sans-serif";

const base = (colours) => ({
  animation: false,
  backgroundColor: "transparent",
  textStyle: { fontFamily: FONT, color: colours.text },
  aria: { enabled: false }, // the element has a label of its own
});

/**
 * `option(colours, isPicture)`: an ECharts option; as a picture it has everything, also what `underlay` draws. `stamp`: values
 * that the option is made of: while they stay the same, nothing is drawn. `isUrgent`: drawn at once, not when the reader pauses.
 * `underlay(pen, instance, colours, scale)`: draws below the chart, `scale` pixels a pixel, when one of `underlayStamp` changes. `label`: the chart in a sentence.
 * `table()`: {columns, rows}, the chart's numbers. `onReady(instance, element)`: after it was drawn the first time; what it
 * returns is called at the end. `minWidth`: in pixels; a narrower window scrolls.
 */
export function Chart({ id, title, hint, option, stamp, isUrgent, underlay, underlayStamp, label, table, height = 300, minWidth = null, onReady, onDraw, onKeyDown, controls, children, empty }) {
  const holder = useRef(null);
  const chart = useRef(null);
  const drawn = useRef(null);
  const theme = useTheme();
  const [isVisible, setVisible] = useState(Boolean(isUrgent));
  const latest = useRef({});
  latest.current = { option, underlay, onDraw, underlayStamp };
  useEffect(() => (empty || isVisible ? undefined : whenVisible(holder.current, () => inFrame(holder, () => setVisible(true)))), [Boolean(empty)]);
  useLayoutEffect(() => {
    if (!isVisible || empty) return undefined;
    const instance = echarts.init(holder.current, null, { renderer: "canvas" });
    const ground = underlay ? new Underlay(holder.current, instance) : null;
    chart.current = { instance, ground };
    draw(chart.current, latest.current);
    drawn.current = { stamp, theme };
    const observer = new ResizeObserver(() => {
      const element = holder.current; // the first call comes at once, of the size that the chart has
      if (element === null || (element.clientWidth === instance.getWidth() && element.clientHeight === instance.getHeight())) return;
      instance.resize();
      ground?.draw(latest.current, true);
    });
    observer.observe(holder.current);
    const stopPrinting = printable(() => latest.current.option, instance, holder.current);
    const end = onReady?.(instance, holder.current);
    return () => {
      end?.();
      stopPrinting();
      observer.disconnect();
      instance.dispose();
      ground?.remove();
      chart.current = null;
    };
  }, [isVisible, Boolean(empty)]);
  useLayoutEffect(() => {
    if (chart.current === null || isSame(drawn.current, { stamp, theme })) return;
    drawn.current = { stamp, theme };
    const work = () => {
      if (chart.current === null) return;
      draw(chart.current, latest.current);
      latest.current.onDraw?.(chart.current.instance, holder.current);
    };
    if (isUrgent) work();
    else whenCalm(holder, work);
  });
  const canvas = html`<div class="canvas" ref=${holder} style=${{ height: `${height}px`, minWidth: minWidth && `${minWidth}px` }} role="img" aria-label=${label}
    tabindex=${onKeyDown ? 0 : null} onKeyDown=${onKeyDown}></div>`;
  return html`<figure class="card chart" id=${id} data-theme-count=${theme}>
    <div class="row"><h2>${title} ${hint && html`<span class="muted small hint">${hint}</span>`}</h2>
      <div class="actions">${controls}${!empty && html`<${Export} name=${id} holder=${holder} option=${option} table=${table} />`}</div></div>
    ${empty ? html`<p class="muted nothing">${empty}</p>` : html`
      ${minWidth === null ? canvas : html`<div class="scroll" tabindex="0" role="region" aria-label=${`${title}, wider than a narrow window`}>${canvas}</div>`}
      ${children}
      ${table && html`<${Twin} table=${table} title=${title} />`}`}
  </figure>`;
}

const isSame = (before, now) => now.stamp !== undefined && before !== null && before.theme === now.theme && before.stamp !== undefined
  && before.stamp.length === now.stamp.length && now.stamp.every((value, index) => Object.is(value, before.stamp[index]));

function draw({ instance, ground }, { option, ...rest }) {
  const colours = palette();
  instance.setOption({ ...base(colours), ...option(colours, false) }, { notMerge: true });
  ground?.draw(rest, false, colours);
}

/** A canvas below a chart, for what would be too slow in it. */
class Underlay {
  constructor(element, instance) {
    this.instance = instance;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "underlay";
    element.prepend(this.canvas);
    this.drawn = null;
  }

  draw({ underlay, underlayStamp }, isResized = false, colours = palette()) {
    const stamp = [...underlayStamp, colours];
    if (!isResized && this.drawn?.every((value, index) => Object.is(value, stamp[index]))) return;
    this.drawn = stamp;
    const [width, height] = [this.instance.getWidth(), this.instance.getHeight()];
    const scale = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * scale, height: height * scale });
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    const pen = this.canvas.getContext("2d");
    underlay(pen, this.instance, colours, scale);
  }

  remove() {
    this.canvas.remove();
  }
}

/** The whole chart as a PNG in a `data:` address, drawn anew. */
function pictureOf(option, width, height, colours, backgroundColor) {
  const instance = echarts.init(document.createElement("div"), null, { renderer: "canvas", width, height, devicePixelRatio: 2 });
  instance.setOption({ ...base(colours), ...option(colours, true) });
  const address = instance.getDataURL({ pixelRatio: 2, backgroundColor });
  instance.dispose();
  return address;
}

let isAllDrawn = false;

/** Draw every chart at once, as on a page that may be printed. */
export function drawAll() {
  isAllDrawn = true;
}

/** Call `then` once the element comes near the window. */
function whenVisible(element, then) {
  if (isAllDrawn) {
    then();
    return undefined;
  }
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    then();
  }, { rootMargin: "300px" });
  observer.observe(element);
  return () => observer.disconnect();
}

/** On paper a picture takes the place of the canvas, whose size fits the window and not the paper. */
function printable(option, instance, element) {
  const picture = document.createElement("img");
  picture.className = "on-paper";
  picture.alt = "";
  const before = () => {
    picture.src = pictureOf(option(), instance.getWidth(), instance.getHeight(), palette({ isFresh: true }), "#fff");
    element.append(picture);
  };
  const after = () => picture.remove();
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

/** The chart as an SVG document, drawn anew by ECharts' renderer for servers. */
export function toSvg(option, width, height) {
  const colours = palette();
  const instance = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
  instance.setOption({ ...base(colours), ...option(colours, true), backgroundColor: colours.card });
  const text = instance.renderToSVGString();
  instance.dispose();
  return text;
}

function Export({ name, holder, option, table }) {
  const size = () => [holder.current.clientWidth, holder.current.clientHeight];
  const png = () => save(`${name}.png`, blobOf(pictureOf(option, ...size(), palette(), palette().card)));
  return html`<details class="menu"><summary class="button" aria-label=${`Save ${name}`} title="Save this chart">⤓</summary>
    <div class="menu-items">
      <button type="button" onClick=${png}>PNG</button>
      <button type="button" onClick=${() => save(`${name}.svg`, new Blob([toSvg(option, ...size())], { type: "image/svg+xml" }))}>SVG</button>
      ${table && html`<button type="button" onClick=${() => save(`${name}.csv`, new Blob([toCsv(table())], { type: "text/csv" }))}>CSV</button>`}
    </div></details>`;
}

/** A `data:` address as a blob, without asking for it: the page's policy lets nothing be fetched but its own service. */
function blobOf(address) {
  const [head, body] = address.split(",");
  const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: head.slice(5).split(";")[0] });
}
