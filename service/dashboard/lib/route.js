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

/** Change parameters of the present address. `replace`: without a step that "back" would return to. */
export function change(patch, { replace = false } = {}) {
  const { parts, parameters } = parse(location.hash);
  const next = build(parts, { ...parameters, ...patch });
  if (next === location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", next);
  window.dispatchEvent(new Event("hashchange"));
}
