// Which states of trials are shown: a box for each state that any trial is in.

import { h, put } from "./dom.js";

const ORDER = ["done", "running", "queued", "pruned", "infeasible", "failed", "cancelled"];

export class States {
  /** `changed()` is called when the reader shows or hides a state. */
  constructor(changed) {
    this.changed = changed;
    this.shown = new Set(ORDER); // replaced, never changed: a new set is a new filter
    this.drawn = "";
    this.element = h("fieldset", {}, h("legend", { class: "visually-hidden" }, "States of trials that are shown"));
  }

  get isAll() {
    return ORDER.every((state) => this.shown.has(state));
  }

  /** `counts`: state -> how many trials. */
  update(counts) {
    const text = JSON.stringify(counts);
    if (text === this.drawn) return;
    this.drawn = text;
    const focused = this.element.contains(document.activeElement) ? document.activeElement.value : null;
    const present = ORDER.filter((state) => counts[state] > 0 || !this.shown.has(state));
    put(this.element, this.element.firstChild, present.length < 2 ? null : present.map((state) => this.box(state, counts[state])));
    if (focused !== null) this.element.querySelector(`input[value="${focused}"]`)?.focus();
  }

  box(state, count) {
    const box = h("input", { type: "checkbox", value: state, onchange: () => this.toggle(state, box.checked) });
    box.checked = this.shown.has(state);
    return h("label", { class: "state-box" }, box, ` ${state} `, h("span", { class: "muted" }, count.toLocaleString("en-US")));
  }

  toggle(state, isShown) {
    const shown = new Set(this.shown);
    if (isShown) shown.add(state);
    else shown.delete(state);
    this.shown = shown;
    this.changed();
  }
}
