// State that several parts of the page share. A part is drawn again only if what it reads has changed.

import { useEffect, useState } from "./html.js";

export class Store {
  constructor(state) {
    this.state = state;
    this.listeners = new Set();
  }

  /** Replace some fields; nothing happens if none of them differs. */
  set(patch) {
    if (Object.entries(patch).every(([name, value]) => Object.is(this.state[name], value))) return;
    this.state = { ...this.state, ...patch };
    for (const listener of [...this.listeners]) listener(this.state);
  }

  /** Call `listener(state)` after each change, until the returned function is called. */
  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

/** What `select(state)` returns, kept up to date. */
export function useStore(store, select = (state) => state) {
  const [value, setValue] = useState(() => select(store.state));
  useEffect(() => {
    const update = (state) => setValue(() => select(state));
    update(store.state);
    return store.subscribe(update);
  }, [store]);
  return value;
}
