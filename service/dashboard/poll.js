// Asking again and again, one question at a time.

const MAX_PAUSE_MS = 15000;

/**
 * Run `step` now and again until `stop()` is called. `step` returns the pause in milliseconds before the next run, or
 * null to end. A step that throws is told to `failed` and tried again after growing pauses. While the tab is hidden
 * nothing is asked.
 */
export function poll(step, failed) {
  let timer = null;
  let stopped = false;
  let running = false;
  let failures = 0;
  let ended = false;

  async function run() {
    timer = null;
    if (stopped || running || ended) return;
    if (document.hidden) return; // becoming visible runs it
    running = true;
    let pause;
    try {
      pause = await step();
      failures = 0;
    } catch (error) {
      if (stopped) return;
      pause = failed(error) === "final" ? null : Math.min(1000 * 2 ** failures++, MAX_PAUSE_MS);
    } finally {
      running = false;
    }
    if (stopped) return;
    if (pause === null) ended = true;
    else timer = setTimeout(run, pause);
  }

  function now() {
    clearTimeout(timer);
    run();
  }

  const visible = () => document.hidden || now();
  document.addEventListener("visibilitychange", visible);
  run();
  return {
    now() {
      ended = false;
      now();
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", visible);
    },
  };
}
