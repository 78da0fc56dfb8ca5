// Small parts that every page uses.

import * as format from "../lib/format.js";
import { cls, html, useEffect, useRef, useState } from "../lib/html.js";
import { Store, useStore } from "../lib/store.js";

export const Chip = ({ status }) => html`<span class=${cls("chip", status)}>${status}</span>`;

export const Progress = ({ job }) => html`<progress max="1" value=${job.progress.fraction} aria-label=${`progress: ${job.progress.done} of ${job.progress.total} trials`}></progress>`;

/** An input that keeps what is being written until it is left or Enter is pressed, whatever is drawn anew meanwhile. */
export function Input({ value, commit, ...attributes }) {
  const [draft, setDraft] = useState(null);
  return html`<input ...${attributes} value=${draft ?? value} onInput=${(event) => setDraft(event.currentTarget.value)}
    onChange=${(event) => { setDraft(null); commit(event.currentTarget.value); }} />`;
}

/** A word, and what it means here, on demand. */
export const Term = ({ children, text }) => html`<span class="term">${children}<details class="explain"><summary aria-label="what is this?">?</summary><div class="explanation">${text}</div></details></span>`;

/** Text of the service, whose `code` stands between backticks. */
export const Prose = ({ text }) => text.split("`").map((part, index) => (index % 2 ? html`<code key=${index}>${part}</code>` : part));

/** When something was, with the seconds on demand; `isExact`: with them. */
export const Moment = ({ at, isExact }) => html`<time datetime=${at} title=${format.moment(at)} class="moment">${isExact ? format.exactMoment(at) : format.shortMoment(at)}</time>`;

export const Empty = ({ title, children }) => html`<section class="empty"><h1>${title}</h1>${children}</section>`;

export const Loading = () => html`<p class="muted" role="status">Loading…</p>`;

/** A dialog over the page. `close()` is called when the reader leaves it. */
export function Dialog({ title, close, children }) {
  const element = useRef(null);
  useEffect(() => {
    element.current.showModal();
  }, []);
  return html`<dialog ref=${element} aria-label=${title} onClose=${close} onClick=${(event) => event.target === element.current && close()}>
    <h2>${title}</h2>${children}</dialog>`;
}

/** Ask before something that cannot be undone. */
export function Confirm({ title, text, label, isDanger, confirm, close }) {
  return html`<${Dialog} title=${title} close=${close}><p>${text}</p>
    <div class="actions"><button type="button" class=${cls("primary", isDanger && "danger")} value="go" autofocus onClick=${() => { close(); confirm(); }}>${label}</button>
    <button type="button" value="no" onClick=${close}>Back</button></div><//>`;
}

const NARROW = window.matchMedia("(max-width: 640px)"); // as in views.css

/** Whether the window is as narrow as a phone's. */
export function useNarrow() {
  const [isNarrow, setNarrow] = useState(NARROW.matches);
  useEffect(() => {
    const changed = () => setNarrow(NARROW.matches);
    NARROW.addEventListener("change", changed);
    return () => NARROW.removeEventListener("change", changed);
  }, []);
  return isNarrow;
}

// --- messages --------------------------------------------------------------------------------------------------------

const notices = new Store({ items: [] });
let counter = 0;

/** Tell the reader something for some seconds; `isFault`: until it is closed. */
export function notify(text, { isFault = false } = {}) {
  const item = { key: counter++, text, isFault };
  notices.set({ items: [...notices.state.items, item] });
  if (!isFault) setTimeout(() => dismiss(item.key), 6000);
}

const dismiss = (key) => notices.set({ items: notices.state.items.filter((item) => item.key !== key) });

/** Tell what a question was refused for; every fault of its body by its place. */
export function notifyError(error) {
  const faults = (error.problem?.errors ?? []).map((fault) => `${fault.pointer ?? fault.parameter ?? ""} ${fault.detail}`.trim());
  notify([error.message, ...faults.filter((fault) => !error.message.includes(fault))].join("; "), { isFault: true });
}

export function Notices() {
  const items = useStore(notices, (state) => state.items);
  return html`<div class="notices" role="status" aria-live="polite">${items.map((item) => html`<p key=${item.key} class=${cls("notice", item.isFault && "fault")} role=${item.isFault ? "alert" : null}>
    <${Prose} text=${item.text} /> <button type="button" class="plain" aria-label="Close message" onClick=${() => dismiss(item.key)}>×</button></p>`)}</div>`;
}

// --- asking ----------------------------------------------------------------------------------------------------------

/**
 * What a question answers, asked when `key` changes (null: not at all) and every `pauseMs` while the tab is visible.
 * Returns [answer, error, again].
 */
export function useAnswer(question, key, pauseMs = null) {
  const [state, setState] = useState({ answer: null, error: null, key: null });
  const latest = useRef(question);
  latest.current = question;
  const run = useRef(async () => {});
  useEffect(() => {
    if (key === null) return undefined;
    let isCurrent = true;
    run.current = async () => {
      try {
        const answer = await latest.current();
        if (isCurrent) setState({ answer, error: null, key });
      } catch (error) {
        if (isCurrent) setState((before) => ({ ...before, error, key }));
      }
    };
    run.current();
    const timer = pauseMs === null ? null : setInterval(() => document.hidden || run.current(), pauseMs);
    return () => {
      isCurrent = false;
      clearInterval(timer);
    };
  }, [key, pauseMs]);
  return [state.answer, state.error, () => run.current()];
}

/** What the service does not answer, in the page's own words. */
export const Fault = ({ error }) => (error ? html`<p class="fault" role="alert"><${Prose} text=${error.message} /></p>` : null);

/** A table whose heads sort it. `columns`: [{name, value, text, isNumber}]. */
export function SortableHead({ columns, sort, setSort }) {
  return html`<thead><tr>${columns.map((column) => {
    const direction = sort.name !== column.name ? "none" : sort.descending ? "descending" : "ascending";
    return html`<th scope="col" key=${column.name} class=${cls(column.isNumber && "number", column.isWide && "wide-only")} aria-sort=${direction}>
      <button type="button" class="plain" onClick=${() => setSort({ name: column.name, descending: sort.name === column.name ? !sort.descending : Boolean(column.isBestHigh) })}>${column.title ?? column.name}</button></th>`;
  })}</tr></thead>`;
}
