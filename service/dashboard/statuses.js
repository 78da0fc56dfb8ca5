// Which statuses of trials are shown: a box for each status that any trial has.

import { h, put } from "./dom.js";

const ORDER = ["done", "running", "queued", "pruned", "infeasible", "failed", "cancelled"];

export class Statuses {
  /** `changed()` is called when the reader shows or hides a status. */
  constructor(changed) {
    this.changed = changed;
    this.shown = new Set(ORDER); // replaced, never changed: a new set is a new filter
    this.drawn = "";
    this.element = h("fieldset", {}, h("legend", { class: "visually-hidden" }, "Statuses of trials that are shown"));
  }

  get isAll() {
    return ORDER.every((status) => this.shown.has(status));
  }

  /** `counts`: status -> how many trials. */
  update(counts) {
    const text = JSON.stringify(counts);
    if (text === this.drawn) return;
    this.drawn = text;
    const focused = this.element.contains(document.activeElement) ? document.activeElement.value : null;
    const present = ORDER.filter((status) => counts[status] > 0 || !this.shown.has(status));
    put(this.element, this.element.firstChild, present.length < 2 ? null : present.map((status) => this.box(status, counts[status])));
    if (focused !== null) this.element.querySelector(`input[value="${focused}"]`)?.focus();
  }

  box(status, count) {
    const box = h("input", { type: "checkbox", value: status, onchange: () => this.toggle(status, box.checked) });
    box.checked = this.shown.has(status);
    return h("label", { class: "status-box" }, box, ` ${status} `, h("span", { class: "muted" }, count.toLocaleString("en-US")));
  }

  toggle(status, isShown) {
    const shown = new Set(this.shown);
    if (isShown) shown.add(status);
    else shown.delete(status);
    this.shown = shown;
    this.changed();
  }
}
