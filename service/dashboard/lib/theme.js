// Colours of the page for what is drawn on a canvas: read from the style sheet, so that light, dark, forced colours and print
// have one definition.

import { useEffect, useState } from "./html.js";

const NAMES = [
  "ground", "card", "line", "text", "muted", "accent", "trial", "front", "best", "reference", "ring", "fault", "shade",
  "operations", "parameters", "inputs", "outputs", "training", "validation", "constraint",
];
/** Few to many bits; distinguishable without colour vision, by lightness alone. */
const RAMP = ["ramp-0", "ramp-1", "ramp-2", "ramp-3", "ramp-4"];

const queries = ["(prefers-color-scheme: dark)", "(forced-colors: active)", "print"].map((query) => window.matchMedia(query));

function resolve(probe, name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

let latest = null; // until the theme changes

/**
 * Name -> colour as `rgb(...)`, which a canvas understands, also where the style sheet names a system colour. `isFresh`: read
 * anew, as on paper.
 */
export function palette({ isFresh = false } = {}) {
  if (latest !== null && !isFresh) return latest;
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const colours = Object.fromEntries(NAMES.map((name) => [name, resolve(probe, name)]));
  colours.ramp = RAMP.map((name) => resolve(probe, name));
  probe.remove();
  latest = isFresh ? null : colours;
  return colours;
}

const listeners = new Set();
const notify = () => {
  latest = null;
  listeners.forEach((listener) => listener());
};
for (const query of queries) query.addEventListener("change", notify);

/** Call `listener` when the colours change; the returned function ends it. */
export function onThemeChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const THEMES = ["auto", "light", "dark"];
const KEY = "fewbits-theme";

/** The reader's choice; the system's by default. */
export function theme() {
  try {
    return localStorage.getItem(KEY) ?? "auto";
  } catch {
    return "auto"; // storage is forbidden
  }
}

export function setTheme(name) {
  document.documentElement.dataset.theme = name;
  try {
    if (name === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, name);
  } catch {
    // storage is forbidden: the choice lasts as long as the page
  }
  notify();
}

document.documentElement.dataset.theme = theme();

/** A number that changes with the colours. */
export function useTheme() {
  const [count, setCount] = useState(0);
  useEffect(() => onThemeChange(() => setCount((value) => value + 1)), []);
  return count;
}
