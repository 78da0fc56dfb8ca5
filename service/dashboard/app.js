// The page: which view the address names, who its reader is, and whether the service answers.

import { html, render, useEffect, useState } from "./lib/html.js";
import * as api from "./lib/api.js";
import { current, onRoute } from "./lib/route.js";
import { Store, useStore } from "./lib/store.js";
import { THEMES, setTheme, theme } from "./lib/theme.js";
import { Loading, Notices } from "./parts/ui.js";

/** First part of the address -> module and its page. Modules are loaded when they are needed. */
const PAGES = {
  "": () => import("./views/jobs.js").then((module) => module.JobsPage),
  jobs: () => import("./views/job.js").then((module) => module.JobPage),
  new: () => import("./views/new_job.js").then((module) => module.NewJobPage),
  queue: () => import("./views/queue.js").then((module) => module.QueuePage),
  library: () => import("./views/library.js").then((module) => module.LibraryPage),
  account: () => import("./views/account.js").then((module) => module.AccountPage),
};

const connection = new Store({ error: null });
const setConnection = (error) => connection.set({ error });

function useRoute() {
  const [route, setRoute] = useState(current);
  useEffect(() => onRoute(() => setRoute(current())), []);
  return route;
}

function App() {
  const { parts, parameters } = useRoute();
  const [session, setSession] = useState(null);
  const name = parts[0] === "jobs" && parts.length < 2 ? "" : parts[0] ?? "";
  const [page, setPage] = useState({ name: null, View: null, error: null });
  useEffect(() => { api.session().then(setSession, () => {}); }, [name]);
  useEffect(() => {
    let isCurrent = true;
    (PAGES[name] ?? PAGES[""])().then((View) => isCurrent && setPage({ name, View, error: null }), (error) => isCurrent && setPage({ name, View: null, error }));
    for (const link of document.querySelectorAll("nav.pages a")) link.toggleAttribute("aria-current", link.dataset.page === (name === "jobs" ? "" : name));
    for (const link of document.querySelectorAll("nav.pages a[aria-current]")) link.setAttribute("aria-current", "page");
    return () => { isCurrent = false; };
  }, [name]);
  const { View, error } = page;
  return html`<${Connection} />
    ${error && html`<p class="fault" role="alert">This part of the page could not be loaded: the service may have been updated. <button type="button" onClick=${() => location.reload()}>Load the page again</button></p>`}
    ${page.name !== name || View === null ? !error && html`<${Loading} />` : html`<${View} key=${parts.slice(0, 2).join("/")} jobId=${parts[1]} parameters=${parameters} connection=${setConnection} session=${session} />`}
    <${Notices} />`;
}

/** Says that the service does not answer, until it does again. */
function Connection() {
  const error = useStore(connection, (state) => state.error);
  return html`<p id="connection" class="banner" role="status" hidden=${error === null}>${error === null ? "" : `The service does not answer (${error.message}); trying again…`}</p>`;
}

/** Who reads this page: tenant, scope, log-out; and its colours. */
function Reader() {
  const [session, setSession] = useState(null);
  const [colours, setColours] = useState(theme());
  useEffect(() => { api.session().then(setSession, () => {}); }, []);
  const choose = (name) => {
    setTheme(name);
    setColours(name);
  };
  const leave = async () => {
    await api.logOut();
    location.assign("/login");
  };
  return html`<label class="visually-hidden" for="theme">Colours</label>
    <select id="theme" class="quiet" title="colours" value=${colours} onChange=${(event) => choose(event.currentTarget.value)}>${THEMES.map((name) => html`<option key=${name} value=${name} selected=${name === colours}>${{ auto: "◐ auto", light: "○ light", dark: "● dark" }[name]}</option>`)}</select>
    ${session && html`<a class="who" href="#/account" title="usage, quotas and keys">${session.tenant} <span class="chip">${session.scope}</span></a>
      ${session.key_id && html`<button type="button" class="quiet" onClick=${leave}>Log out</button>`}`}`;
}

document.getElementById("skip").addEventListener("click", () => document.getElementById("view").focus());
render(html`<${Reader} />`, document.getElementById("reader"));
render(html`<${App} />`, document.getElementById("view"));
