// Dots on a canvas: a few as copies of one drawn dot, many as squares, so that 50,000 of them stay fluid.

const RADIUS = 4;
const MANY = 3000;

/** A dot drawn once, `ratio` device pixels to one of the page. */
function stamp(radius, ratio, draw) {
  const size = Math.ceil((radius + 1) * 2 * ratio);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.translate(size / ratio / 2, size / ratio / 2);
  pen.beginPath();
  pen.arc(0, 0, radius, 0, 2 * Math.PI);
  draw(pen);
  return canvas;
}

/** Draws dots; `xs`, `ys`: pixels of the page; `hollow(index)`: whether a dot is only a ring. */
export function drawDots(canvas, width, height, xs, ys, hollow) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const [fill, edge] = [style.getPropertyValue("--trial").trim(), style.getPropertyValue("--card").trim()];
  canvas.dataset.dots = String(xs.length);
  if (xs.length > MANY) drawMany(pen, ratio, xs, ys, hollow, fill);
  else drawFew(pen, ratio, xs, ys, hollow, fill, edge);
}

/** Each with an edge, so that those that overlap can be told apart. */
function drawFew(pen, ratio, xs, ys, hollow, fill, edge) {
  const full = stamp(RADIUS, ratio, (brush) => {
    brush.globalAlpha = 0.75;
    brush.fillStyle = fill;
    brush.fill();
    brush.globalAlpha = 1;
    brush.strokeStyle = edge;
    brush.lineWidth = 0.8;
    brush.stroke();
  });
  const ring = stamp(RADIUS, ratio, (brush) => {
    brush.strokeStyle = fill;
    brush.lineWidth = 1.2;
    brush.stroke();
  });
  const half = full.width / 2;
  for (let index = 0; index < xs.length; index++) {
    pen.drawImage(hollow(index) ? ring : full, xs[index] * ratio - half, ys[index] * ratio - half);
  }
}

/** Small translucent squares: where they are dense, the cloud is dark. */
function drawMany(pen, ratio, xs, ys, hollow, fill) {
  const size = Math.round((xs.length > 4 * MANY ? 2 : 3) * ratio);
  pen.fillStyle = fill;
  for (const pass of [true, false]) {
    pen.globalAlpha = pass ? 0.15 : 0.4;
    for (let index = 0; index < xs.length; index++) {
      if (hollow(index) === pass) pen.fillRect(Math.round(xs[index] * ratio - size / 2), Math.round(ys[index] * ratio - size / 2), size, size);
    }
  }
}
