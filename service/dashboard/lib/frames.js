// Work that may wait: a piece of it in each frame, so that the page answers meanwhile.

const waiting = new Map();
let isScheduled = false;

/** Run `work` in one of the next frames; a later call with the same key replaces it. Returns what cancels it. */
export function inFrame(key, work) {
  waiting.set(key, work);
  schedule();
  return () => { if (waiting.get(key) === work) waiting.delete(key); };
}

const CALM_MS = 120;
const timers = new Map();

/** As `inFrame`, but only when nothing has asked for the same for a moment: while a slider moves, it waits. */
export function whenCalm(key, work) {
  clearTimeout(timers.get(key));
  timers.set(key, setTimeout(() => {
    timers.delete(key);
    inFrame(key, work);
  }, CALM_MS));
}

function schedule() {
  if (isScheduled || waiting.size === 0) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    const next = waiting.entries().next().value;
    if (next === undefined) return;
    waiting.delete(next[0]);
    try {
      next[1]();
    } finally {
      schedule();
    }
  });
}

/** Run `work` when the page has nothing else to do. */
export const requestIdle = globalThis.requestIdleCallback?.bind(globalThis) ?? ((work) => setTimeout(work, 100));

/** `call` at most once a frame: at once, then with the latest arguments. */
export function oncePerFrame(call) {
  let latest = null;
  let isWaiting = false;
  const next = () => {
    if (latest === null) {
      isWaiting = false;
      return;
    }
    const values = latest;
    latest = null;
    requestAnimationFrame(next);
    call(...values);
  };
  return (...values) => {
    if (isWaiting) {
      latest = values;
      return;
    }
    isWaiting = true;
    requestAnimationFrame(next);
    call(...values);
  };
}
