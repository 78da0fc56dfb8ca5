"""The main job, measured: trials a minute, seconds of a trial by step, memory of API and worker, import times.

Starts the embedded service in a temporary folder, submits the example search and observes it over HTTP.
Targets (`--check`): API below 150 MB and without TensorFlow, bookkeeping below 5 % of the time; the service and
its worker ready in 8 s, the API alone in 1.5 s (on a database that exists), `fewbits --help` printed in 0.3 s.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
FEWBITS = Path(sys.executable).with_name("fewbits")
STEPS = ("build", "compile", "train", "evaluate", "save")
ENDED = ("done", "failed", "cancelled")

API_LIMIT_MB = 150
BOOKKEEPING_LIMIT = 0.05
READY_LIMIT_S = 8.0
API_START_LIMIT_S = 1.5
HELP_LIMIT_S = 0.3


class PeakMemory:
    """Peak resident memory, in MB, of the API process and of the largest worker process."""

    def __init__(self, api: int) -> None:
        self.api_mb = self.worker_mb = 0.0
        self._api = psutil.Process(api)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            try:
                self.api_mb = max(self.api_mb, self._api.memory_info().rss / 2**20)
                for child in self._api.children(recursive=True):
                    self.worker_mb = max(self.worker_mb, child.memory_info().rss / 2**20)
            except psutil.NoSuchProcess:
                continue

    def stop(self) -> None:
        self._done.set()
        self._thread.join()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(condition: Any, patience_s: float, every_s: float = 0.1) -> Any:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(every_s)
    raise SystemExit(f"gave up after {patience_s:.0f} s")


def run_job(job: dict[str, Any], workers: int) -> dict[str, Any]:
    """Start the service, run the job, and return the measurements."""
    with tempfile.TemporaryDirectory(prefix="fewbits-bench-") as home:
        port = free_port()
        began = time.perf_counter()
        service = serving(home, port, "--workers", str(workers))
        http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        memory = PeakMemory(service.pid)
        try:
            until(lambda: answers(http, "/readyz"), 120)
            ready_s = time.perf_counter() - began
            return observe(http, job, memory) | {
                "ready_s": ready_s,
                "tensorflow_in_api": loads_tensorflow(service.pid),
            }
        finally:
            memory.stop()
            service.send_signal(signal.SIGTERM)
            service.wait(60)
            http.close()


def serving(home: str, port: int, *options: str) -> subprocess.Popen[bytes]:
    """A starting service with its files in `home`."""
    return subprocess.Popen(
        [str(FEWBITS), "serve", "--port", str(port), *options],
        env={**os.environ, "FEWBITS_HOME": home, "FEWBITS_LOG_LEVEL": "WARNING"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def api_start_s(starts: int) -> float:
    """Median seconds until the API alone answers, on a database created by an earlier start."""
    seconds = []
    with tempfile.TemporaryDirectory(prefix="fewbits-bench-") as home:
        for _ in range(starts + 1):
            port = free_port()
            began = time.perf_counter()
            service = serving(home, port, "--no-worker")
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
                until(lambda http=http: answers(http, "/healthz"), 60, every_s=0.005)
            seconds.append(time.perf_counter() - began)
            service.send_signal(signal.SIGTERM)
            service.wait(60)
    return statistics.median(seconds[1:])


def help_s() -> float:
    """Median seconds of `fewbits --help`."""

    def once() -> float:
        began = time.perf_counter()
        subprocess.run([str(FEWBITS), "--help"], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    return statistics.median(once() for _ in range(5))


def answers(http: httpx.Client, path: str) -> bool:
    try:
        return http.get(path).status_code == 200
    except httpx.TransportError:
        return False


def loads_tensorflow(pid: int) -> bool:
    """True if the process has TensorFlow's library mapped."""
    return any("tensorflow" in (mapping.path or "") for mapping in psutil.Process(pid).memory_maps())


def observe(http: httpx.Client, job: dict[str, Any], memory: PeakMemory) -> dict[str, Any]:
    """Submit the job and measure it from outside and by the durations that its trials report."""
    answer = http.post("/v1/jobs", json=job)
    answer.raise_for_status()
    path = f"/v1/jobs/{answer.json()['id']}"
    until(lambda: http.get(path).json()["status"] in ENDED, 3600)
    trials = [
        http.get(f"{path}/trials/{trial['number']}").json()
        for trial in http.get(f"{path}/trials", params={"limit": 1000}).json()["items"]
        if trial["status"] == "done"
    ]
    if not trials:
        raise SystemExit(f"no trial was measured: {http.get(path).json()['reason']}")
    starts = [datetime.fromisoformat(trial["started_at"]) for trial in trials]
    ends = [datetime.fromisoformat(trial["finished_at"]) for trial in trials]
    wall_s = (max(ends) - min(starts)).total_seconds()
    busy_s = sum(sum(trial["durations_s"].values()) for trial in trials)
    return {
        "trials": len(trials),
        "wall_s": wall_s,
        "trials_per_minute": 60 * len(trials) / wall_s,
        "step_s": {
            step: statistics.median(trial["durations_s"].get(step, 0.0) for trial in trials) for step in STEPS
        },
        # one worker: what is not a step of a trial is claiming, storing, asking the oracle, and messages
        "bookkeeping_s": (wall_s - busy_s) / len(trials),
        "bookkeeping_share": (wall_s - busy_s) / wall_s,
        "api_mb": memory.api_mb,
        "worker_mb": memory.worker_mb,
    }


def import_s(module: str) -> float:
    """Median seconds that a new interpreter takes to import a module, without its own start."""
    return max(0.0, timed(f"import {module}") - timed("pass"))


def timed(code: str) -> float:
    def once() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL, cwd=ROOT)
        return time.perf_counter() - began

    return statistics.median(once() for _ in range(3))


def show(results: dict[str, Any]) -> None:
    table = Table(
        title=f"main job: {results['job']}, {results['trials']} trials, 1 worker, {results['machine']}"
    )
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("target", justify="right")
    rows = [("trials a minute", f"{results['trials_per_minute']:.1f}", "")]
    rows += [
        (f"{step}, s a trial (median)", f"{seconds:.3f}", "") for step, seconds in results["step_s"].items()
    ]
    rows += [
        ("bookkeeping, s a trial (mean)", f"{results['bookkeeping_s']:.3f}", ""),
        ("bookkeeping, share", f"{results['bookkeeping_share']:.1%}", f"< {BOOKKEEPING_LIMIT:.0%}"),
        ("API, peak MB", f"{results['api_mb']:.0f}", f"< {API_LIMIT_MB}"),
        ("TensorFlow in the API process", "yes" if results["tensorflow_in_api"] else "no", "no"),
        ("worker process, peak MB", f"{results['worker_mb']:.0f}", ""),
        ("service ready, worker included, s", f"{results['ready_s']:.1f}", f"< {READY_LIMIT_S:g}"),
        ("API alone answers, s", f"{results['api_start_s']:.2f}", f"< {API_START_LIMIT_S:g}"),
        ("fewbits --help, s", f"{results['help_s']:.2f}", f"< {HELP_LIMIT_S:g}"),
        ("import service.app, s", f"{results['import_s']['service.app']:.2f}", ""),
        ("import search.training.trial, s", f"{results['import_s']['search.training.trial']:.2f}", ""),
    ]
    for row in rows:
        table.add_row(*row)
    Console(width=100).print(table)


def missed(results: dict[str, Any]) -> list[str]:
    """The missed targets."""
    checks = {
        f"API memory {results['api_mb']:.0f} MB": results["api_mb"] < API_LIMIT_MB,
        "TensorFlow in the API process": not results["tensorflow_in_api"],
        f"bookkeeping {results['bookkeeping_share']:.1%}": results["bookkeeping_share"] < BOOKKEEPING_LIMIT,
        f"service ready in {results['ready_s']:.1f} s": results["ready_s"] < READY_LIMIT_S,
        f"API alone answers in {results['api_start_s']:.2f} s": results["api_start_s"] < API_START_LIMIT_S,
        f"fewbits --help in {results['help_s']:.2f} s": results["help_s"] < HELP_LIMIT_S,
    }
    return [name for name, met in checks.items() if not met]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--job", type=Path, default=ROOT / "examples" / "digits.yaml")
    parser.add_argument("--quick", action="store_true", help="six trials")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    options = parser.parse_args()
    job = yaml.safe_load(options.job.read_text())
    if options.quick:
        job["budget"] = {"trials": 6}
    results = run_job(job, workers=1)
    results |= {
        "job": options.job.name,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "api_start_s": api_start_s(2 if options.quick else 7),
        "help_s": help_s(),
        "import_s": {module: import_s(module) for module in ("service.app", "search.training.trial")},
    }
    print(json.dumps(results, indent=2)) if options.json else show(results)
    faults = missed(results)
    for fault in faults:
        print(f"target missed: {fault}", file=sys.stderr)
    return int(options.check and bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
