"""How fast the dashboard is with 1,000, 10,000 and 50,000 trials, in a headless Chromium, beside optuna-dashboard.

    python -m benchmarks.dashboard [--quick] [--json] [--check] [--peer PYTHON] [--sizes N ...] [--parts PART ...]

The service runs in a separate process on loopback. `first chart`: from the navigation to the drawn chart, in a browser
without a cache; `hover`: from a movement of the pointer to the tip; `re-rank`: from a movement of a slider to the
frame that shows the new ranking; `area`: the same from the end of a drag that marks an area; `heap`: of the page after
garbage collection; `CPU`: of the page's main thread, which other load on the machine changes little; `live`: growth of
the heap over events of an hour, one a second, delivered at once.

PYTHON is that of an environment with optuna-dashboard (`pip install optuna-dashboard`): the same trials are then stored
in an Optuna study, and its Pareto front is opened. Of 50,000 trials that takes it minutes, so it has fewer repeats.
`--check` exits 1 if a target is missed; they are for a quiet machine. `--parts`: own, peer, live; by default all.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks.api import serving
from benchmarks.stored import fill
from service.store import events
from service.store.events import Entry, EventType
from service.store.migrate import upgrade
from service.store.session import Database

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Page

#: Name of a job in `benchmarks.stored` -> trials.
SIZES = {"small": 1_000, "middle": 10_000, "large": 50_000}

PARTS = ("own", "peer", "live")
#: Repeats of the other dashboard's first chart.
PEER_REPEATS = {1_000: 5, 10_000: 2, 50_000: 1}
#: Seconds to the first chart.
FIRST_CHART_S = {1_000: 1.0, 10_000: 1.5, 50_000: 2.5}
HOVER_MS = 16.0
RERANK_MS = 50.0
HEAP_MB = 40.0
GROWTH_MB = 20.0
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-precise-memory-info"]

READY = "() => document.querySelector('#front .canvas')?.pixelOf !== undefined"

#: Moves a pointer over the chart; milliseconds of each movement, to the tip and the style that it needs.
HOVER = """count => {
  const element = document.querySelector('#front .canvas');
  const box = element.getBoundingClientRect();
  const times = [];
  for (let step = 0; step < count; step++) {
    const event = new PointerEvent('pointermove', { clientX: box.left + 70 + ((step * 37) % (box.width - 90)),
      clientY: box.top + 30 + ((step * 23) % (box.height - 80)), pointerType: 'mouse', bubbles: true });
    const start = performance.now();
    element.dispatchEvent(event);
    element.querySelector('.tip').getBoundingClientRect();
    times.push(performance.now() - start);
  }
  return times;
}"""

#: Moves the slider of what is forgiven; milliseconds until a frame shows the new ranking and the curves of equal score.
RERANK = """async count => {
  const slider = document.querySelector('#slider-dp');
  const output = slider.parentElement.querySelector('output');
  const times = [];
  for (let step = 0; step < count; step++) {
    slider.value = 1 + (step % 20);
    const before = output.textContent;
    const start = performance.now();
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    while (output.textContent === before) await new Promise(then => setTimeout(then, 0));
    await new Promise(then => requestAnimationFrame(() => setTimeout(then, 0)));
    times.push(performance.now() - start);
    await new Promise(then => setTimeout(then, 120));
  }
  return times;
}"""

#: Marks areas of the chart; milliseconds from the end of each drag until a frame shows the ranking of its trials.
AREA = """async count => {
  const button = [...document.querySelectorAll('#front button')].find(item => item.textContent === 'Select area');
  button.click();
  await new Promise(then => setTimeout(then, 300));
  const element = document.querySelector('#front .canvas');
  const box = element.getBoundingClientRect();
  const send = (type, x, y) => element.dispatchEvent(new PointerEvent(type, {
    clientX: box.left + x, clientY: box.top + y, button: 0, pointerType: 'mouse', pointerId: 1, bubbles: true }));
  element.setPointerCapture = () => {};
  const frame = () => new Promise(then => requestAnimationFrame(() => setTimeout(then, 0)));
  const shown = () => [...document.querySelectorAll('#tab-panel > p')].map(line => line.textContent).join();
  const times = [];
  for (let step = 0; step < count; step++) {
    const before = shown();
    send('pointerdown', 80, 40);
    send('pointermove', 300 + 20 * (step % 9), 380);
    const start = performance.now();
    send('pointerup', 300 + 20 * (step % 9), 380);
    for (let turn = 0; shown() === before; turn++) {
      if (turn > 2000) throw new Error('the marked area changed nothing');
      await new Promise(then => setTimeout(then, 0));
    }
    await frame();
    times.push(performance.now() - start);
    await new Promise(then => setTimeout(then, 300));
  }
  return times;
}"""


@dataclass(frozen=True)
class Figure:
    """One figure of one page; `target` None: it is only shown."""

    page: str
    trials: int
    name: str
    value: float
    unit: str
    target: float | None

    @property
    def missed(self) -> bool:
        """True if the target is not met."""
        return self.target is not None and self.value > self.target


def p95(times: list[float]) -> float:
    """95 of 100 are at most this."""
    ordered = sorted(times)
    return ordered[max(0, math.ceil(0.95 * len(ordered)) - 1)]


def median(times: list[float]) -> float:
    """The middle one."""
    return sorted(times)[len(times) // 2]


# --- this dashboard --------------------------------------------------------------------------------------------------


def heap_mb(cdp: CDPSession) -> float:
    """What the page's heap holds after garbage collection."""
    cdp.send("HeapProfiler.collectGarbage")
    return float(cdp.send("Runtime.getHeapUsage")["usedSize"]) / 1e6


def cpu_ms(cdp: CDPSession) -> float:
    """Processor time that the page's main thread has used since the session was opened."""
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return 1000 * float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


def opened(browser: Browser, address: str, ready: str, timeout_s: float) -> tuple[Page, float]:
    """A page in a browser without a cache, and the seconds until it was ready."""
    page = browser.new_context(viewport={"width": 1400, "height": 900}, bypass_csp=True).new_page()
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(ready, timeout=1000 * timeout_s, polling="raf")
    return page, time.perf_counter() - start


def own_figures(browser: Browser, url: str, job_id: str, trials: int, repeats: int) -> Iterator[Figure]:
    """The figures of this dashboard."""
    address = f"{url}/#/jobs/{job_id}"
    times = []
    for _ in range(repeats):
        page, took_s = opened(browser, address, READY, 60)
        times.append(took_s)
        page.context.close()
    yield Figure("fewbits", trials, "first chart", median(times), "s", FIRST_CHART_S[trials])
    page = browser.new_context(viewport={"width": 1400, "height": 900}, bypass_csp=True).new_page()
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address, wait_until="commit")
    page.wait_for_function(READY, timeout=60_000, polling="raf")
    yield Figure("fewbits", trials, "first chart, CPU", cpu_ms(cdp), "ms", None)
    page.wait_for_selector(".trial[aria-busy=false]")
    page.wait_for_timeout(2000)  # what comes after the first chart; the stream of events is never idle
    yield Figure("fewbits", trials, "hover, 95 %", p95(page.evaluate(HOVER, 60 * repeats)), "ms", HOVER_MS)
    before_ms = cpu_ms(cdp)
    reranked = page.evaluate(RERANK, 5 * repeats)
    yield Figure("fewbits", trials, "re-rank, median", median(reranked), "ms", RERANK_MS)
    yield Figure("fewbits", trials, "re-rank, CPU", (cpu_ms(cdp) - before_ms) / len(reranked), "ms", None)
    areas = page.evaluate(AREA, 3 * repeats)
    yield Figure("fewbits", trials, "area, median", median(areas), "ms", RERANK_MS)
    yield Figure("fewbits", trials, "heap", heap_mb(cdp), "MB", HEAP_MB)
    page.context.close()


def live_figure(browser: Browser, url: str, database: Database, job_id: str, count: int) -> Figure:
    """The growth of the heap over many events."""
    page, _ = opened(browser, f"{url}/#/jobs/{job_id}", READY, 60)
    page.wait_for_selector(".live.live")
    cdp = page.context.new_cdp_session(page)
    before = heap_mb(cdp)
    measured = {
        "attempt": 1,
        "status": "done",
        "metric": 0.9,
        "cost": 900.0,
        "energy_pj": 900.0,
        "bits": 7000,
    }
    for first in range(0, count, 100):
        with database.transaction() as session:
            entries = (
                Entry(EventType.TRIAL_ENDED, measured, number % 900) for number in range(first, first + 100)
            )
            events.append(session, job_id, *entries)
        page.wait_for_timeout(150)
    page.wait_for_timeout(3000)
    growth = heap_mb(cdp) - before
    page.context.close()
    return Figure("fewbits", 1_000, f"live, growth over {count} events", growth, "MB", GROWTH_MB)


# --- optuna-dashboard ------------------------------------------------------------------------------------------------

#: Stores the trials in an Optuna study.
STUDY = """
import json, sys
import optuna
from optuna.distributions import FloatDistribution
optuna.logging.set_verbosity(optuna.logging.ERROR)
points = json.load(sys.stdin)
study = optuna.create_study(storage=sys.argv[1], study_name="study", directions=["maximize", "minimize"])
study.add_trials([
    optuna.trial.create_trial(params={"x": cost}, distributions={"x": FloatDistribution(0, 1e9)}, values=[metric, cost])
    for metric, cost in zip(points["metric"], points["cost"]) if metric is not None
])
"""
PEER_READY = "() => document.querySelector('.js-plotly-plot .main-svg') !== null"


@contextmanager
def peer_serving(python: Path, home: Path, points: Any) -> Iterator[str]:
    """optuna-dashboard over a study of these trials: its address."""
    storage = f"sqlite:///{home / 'optuna.db'}"
    stored = subprocess.run(
        [str(python), "-c", STUDY, storage], input=json.dumps(points), text=True, check=False
    )
    if stored.returncode:
        raise SystemExit("the Optuna study could not be stored")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(python.parent / "optuna-dashboard"), storage, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                httpx.get(url, timeout=2)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)
        (home / "optuna.db").unlink(missing_ok=True)


def peer_figures(browser: Browser, python: Path, home: Path, points: Any, repeats: int) -> Iterator[Figure]:
    """The figures of optuna-dashboard that can be compared."""
    trials = len(points["metric"])
    with peer_serving(python, home, points) as url:
        times, page = [], None
        for _ in range(repeats):
            if page is not None:
                page.context.close()
            page, took_s = opened(browser, f"{url}/dashboard/studies/1", PEER_READY, 900)
            times.append(took_s)
        assert page is not None
        yield Figure("optuna-dashboard", trials, "first chart", median(times), "s", None)
        yield Figure(
            "optuna-dashboard", trials, "heap", heap_mb(page.context.new_cdp_session(page)), "MB", None
        )
        page.context.close()


# --- all of it -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What is measured: quickly or in full, of which numbers of trials, which parts, beside which peer."""

    is_quick: bool
    sizes: tuple[int, ...]
    parts: tuple[str, ...]
    peer: Path | None

    @property
    def repeats(self) -> int:
        """How often each figure is measured."""
        return 1 if self.is_quick else 5

    def peer_repeats(self, trials: int) -> int:
        """How often the other dashboard is opened; 0: not at all."""
        if self.peer is None or "peer" not in self.parts:
            return 0
        if self.is_quick:
            return int(trials == min(SIZES.values()))
        return PEER_REPEATS[trials]


def measure(plan: Plan) -> Iterator[Figure]:
    """Every figure of the plan."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("FEWBITS_TEST_CHROMIUM") or shutil.which("chromium")
    if path is None:
        raise SystemExit("no Chromium browser on the path or at FEWBITS_TEST_CHROMIUM")
    with tempfile.TemporaryDirectory(prefix="fewbits-bench-") as folder, sync_playwright() as playwright:
        home = Path(folder)
        database_url = f"sqlite:///{home / 'fewbits.db'}"
        database = Database(database_url)
        upgrade(database.engine)
        ids = fill(database)
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
        with serving(home, database_url) as (url, _):
            for name, trials in SIZES.items():
                if trials not in plan.sizes:
                    continue
                if "own" in plan.parts:
                    yield from own_figures(browser, url, ids[name], trials, plan.repeats)
                if plan.peer is not None and plan.peer_repeats(trials):
                    fields = "fields=metric,cost"
                    points = httpx.get(f"{url}/v1/jobs/{ids[name]}/points?{fields}", timeout=60).json()
                    yield from peer_figures(browser, plan.peer, home, points, plan.peer_repeats(trials))
            if "live" in plan.parts:
                yield live_figure(browser, url, database, ids["small"], 400 if plan.is_quick else 3600)
        browser.close()
        database.dispose()


def table(figures: list[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = [f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}", ""]
    lines += ["| page | trials | figure | value | target |", "|---|---:|---|---:|---:|"]
    for figure in figures:
        target = "-" if figure.target is None else f"< {figure.target:g} {figure.unit}"
        lines.append(
            f"| {figure.page} | {figure.trials:,} | {figure.name} | {figure.value:.2f} {figure.unit} | {target} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and with --check say whether the targets are met."""
    parser = argparse.ArgumentParser(description="How fast the dashboard is.")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="few repeats: about two minutes")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--peer", type=Path, help="Python of an environment with optuna-dashboard")
    parser.add_argument("--sizes", type=int, nargs="+", choices=SIZES.values(), default=list(SIZES.values()))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args(arguments)
    plan = Plan(options.quick, tuple(options.sizes), tuple(options.parts), options.peer)
    figures = []
    for figure in measure(plan):
        figures.append(figure)
        print(
            f"{figure.page} {figure.trials} {figure.name}: {figure.value:.2f} {figure.unit}", file=sys.stderr
        )
    print(json.dumps([asdict(figure) for figure in figures], indent=2) if options.json else table(figures))
    return 1 if options.check and any(figure.missed for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
