// What happens in a job, told as it happens (server-sent events). Where that fails, asking again and again has to do.

const CALM_MS = 700; // news that come faster than this are told together

export class Live {
  /** `told()` is called when something has happened. */
  constructor(path, told) {
    this.told = told;
    this.timer = null;
    this.isOpen = false;
    if (typeof EventSource === "undefined") return;
    this.source = new EventSource(path);
    this.source.onopen = () => { this.isOpen = true; };
    this.source.onerror = () => { this.isOpen = false; };
    this.source.onmessage = () => {
      this.isOpen = true;
      this.timer ??= setTimeout(() => { this.timer = null; this.told(); }, CALM_MS);
    };
  }

  close() {
    this.isOpen = false;
    clearTimeout(this.timer);
    this.source?.close();
  }
}
