// Addresses: `#/jobs/ID?trial=8&tab=compare`. Whoever opens one sees the same view, selection and sliders.

/** The path and the parameters of an address; links of version 0.1 (`#/jobs/ID/trials/8`) still work. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  const parameters = Object.fromEntries(new URLSearchParams(query));
  if (parts[0] === "jobs" && parts[2] === "trials") {
    return { parts: parts.slice(0, 2), parameters: { trial: parts[3], ...parameters } };
  }
  return { parts, parameters };
}

/** An address; parameters that are null or empty are left out. */
export function build(parts, parameters = {}) {
  const entries = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = entries.map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll("%2C", ",").replaceAll("%3A", ":")}`);
  return `#/${parts.map(encodeURIComponent).join("/")}${query.length ? `?${query.join("&")}` : ""}`;
}

const WRITE_MS = 150; // browsers ignore addresses that change too often, as a slider's would
const listeners = new Set();
let hash = globalThis.location?.hash ?? "";
let timer = null;

/** The address as the page shows it; that of the browser follows it in a moment. */
export const current = () => parse(hash);

/** Call `listener` when the address changes; the returned function ends it. */
export function onRoute(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function follow() {
  clearTimeout(timer);
  timer = null;
  hash = location.hash;
  listeners.forEach((listener) => listener());
}

function write() {
  clearTimeout(timer);
  if (timer !== null && location.hash !== hash) history.replaceState(null, "", hash);
  timer = null;
}

if (globalThis.location) {
  for (const name of ["hashchange", "popstate"]) globalThis.addEventListener(name, follow);
  globalThis.addEventListener("pagehide", write);
}

/** Change parameters of the present address. `replace`: without a step that "back" would return to. */
export function change(patch, { replace = false } = {}) {
  const { parts, parameters } = current();
  const next = build(parts, { ...parameters, ...patch });
  if (next === hash) return;
  if (!replace) write();
  hash = next;
  if (replace) {
    clearTimeout(timer);
    timer = setTimeout(write, WRITE_MS);
  } else history.pushState(null, "", next);
  listeners.forEach((listener) => listener());
}
