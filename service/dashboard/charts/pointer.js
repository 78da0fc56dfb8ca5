// Pointing at dots: the nearest one within reach is found over a grid of pixels, the same way for ten dots and for 50,000;
// dragging marks a rectangle.

const CELL = 24;
const REACH = 20;
const DRAG = 6; // pixels from which a click is a drag

/** Dots at pixels, by cells of a grid. */
export class Grid {
  /** `xs`, `ys`: pixels; `rows`: what is found there. */
  constructor(xs, ys, rows) {
    Object.assign(this, { xs, ys, rows });
    this.cells = new Map();
    for (let index = 0; index < rows.length; index++) {
      const key = this.key(Math.floor(xs[index] / CELL), Math.floor(ys[index] / CELL));
      const cell = this.cells.get(key);
      if (cell === undefined) this.cells.set(key, [index]);
      else cell.push(index);
    }
  }

  key(column, line) {
    return line * 100003 + column;
  }

  /** The row of the dot that is nearest to a pixel, or -1 beyond reach. */
  nearest(x, y) {
    const [column, line] = [Math.floor(x / CELL), Math.floor(y / CELL)];
    let [best, least] = [-1, REACH * REACH];
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) {
        for (const index of this.cells.get(this.key(column + dx, line + dy)) ?? []) {
          const distance = (this.xs[index] - x) ** 2 + (this.ys[index] - y) ** 2;
          if (distance < least) [best, least] = [this.rows[index], distance];
        }
      }
    }
    return best;
  }
}

/**
 * Listen to a pointer over an element. `at(x, y)`: what is there (a row, -1: nothing); `hover(row, x, y)`;
 * `click(row, event)`; `drag({x0, y0, x1, y1}, event)`: a rectangle in pixels was marked. Returns what ends it.
 */
export function watchPointer(element, { at, hover, click, drag }) {
  let start = null;
  const frame = document.createElement("div");
  frame.className = "drag-frame";
  const place = (event) => {
    const box = element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const move = (event) => {
    const [x, y] = place(event);
    if (start !== null && event.pointerType !== "touch" && Math.hypot(x - start[0], y - start[1]) > DRAG) {
      hover(-1, x, y);
      Object.assign(frame.style, { left: `${Math.min(x, start[0])}px`, top: `${Math.min(y, start[1])}px`, width: `${Math.abs(x - start[0])}px`, height: `${Math.abs(y - start[1])}px` });
      if (!frame.isConnected) element.append(frame);
      return;
    }
    const row = at(x, y);
    element.classList.toggle("pointing", row >= 0);
    hover(row, x, y);
  };
  const down = (event) => {
    if (event.button !== 0) return;
    start = place(event);
    if (event.pointerType !== "touch") element.setPointerCapture?.(event.pointerId);
  };
  const up = (event) => {
    if (start === null) return;
    const [x, y] = place(event);
    const [x0, y0] = start;
    start = null;
    frame.remove();
    if (Math.hypot(x - x0, y - y0) > DRAG) {
      if (event.pointerType !== "touch") drag({ x0: Math.min(x, x0), x1: Math.max(x, x0), y0: Math.min(y, y0), y1: Math.max(y, y0) }, event);
    } else {
      const row = at(x, y);
      if (row >= 0) click(row, event);
    }
  };
  const leave = () => {
    if (start === null) hover(-1, 0, 0);
  };
  const cancel = () => {
    start = null;
    frame.remove();
  };
  const listeners = { pointermove: move, pointerdown: down, pointerup: up, pointerleave: leave, pointercancel: cancel };
  for (const [name, listener] of Object.entries(listeners)) element.addEventListener(name, listener);
  return () => {
    for (const [name, listener] of Object.entries(listeners)) element.removeEventListener(name, listener);
    frame.remove();
  };
}
