"""`python -m benchmarks.worst_requests`: what others notice while the dearest requests known run.

Starts `fewbits serve --no-worker` as users do, sends it the largest documents of every family of
`tests/security/costly.py` from several clients at once, and asks `/healthz` and the list of jobs all the while.
Target (`--check`): 99 of 100 answers of `/healthz` come within 250 ms, and no request ends the service.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.main_job import FEWBITS, free_port, until
from tests.security.costly import FAMILIES, large

P99_LIMIT_S: Final = 0.25
#: Kilobytes of a document: networks of 110 and 450 are accepted and priced whole, almost 4 MB are read and refused.
SIZES_KB: Final = (450, 110, 3500)
#: Families that are no jobs; all others are dry runs, the dearest operation on jobs.
PRICED: Final = ("a priced chain", "unknown costs", "unknown layers")
#: Clients that send at once.
CLIENTS: Final = 8
REQUESTS: Final = 50
QUESTIONS: Final = ("/healthz", "/v1/jobs")


@contextmanager
def serving() -> Iterator[tuple[str, psutil.Process]]:
    """A service with its default limits; its address and process."""
    with tempfile.TemporaryDirectory(prefix="fewbits-bench-") as home:
        port = free_port()
        process = subprocess.Popen(
            [str(FEWBITS), "serve", "--no-worker", "--port", str(port)],
            env={**os.environ, "FEWBITS_HOME": home, "FEWBITS_LOG_LEVEL": "ERROR"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: answers(url), 120)
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def requests(count: int) -> list[tuple[str, bytes]]:
    """Path and body: every family in one size after the other, so that all occur in a short run."""
    documents = [(name, kilobytes) for kilobytes in SIZES_KB for name in sorted(FAMILIES)]
    return [
        ("/v1/cost" if name in PRICED else "/v1/jobs:validate", large(name, kilobytes))
        for name, kilobytes in documents[:count]
    ]


class Watch:
    """Asks other questions until it is stopped: how long each answer took, and the memory of the service."""

    def __init__(self, url: str, service: psutil.Process) -> None:
        self.seconds: dict[str, list[float]] = {path: [] for path in QUESTIONS}
        self.peak_mb = 0.0
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(url, path)) for path in QUESTIONS]
        self._threads.append(threading.Thread(target=self._weigh, args=(service,)))
        for thread in self._threads:
            thread.start()

    def _ask(self, url: str, path: str) -> None:
        with httpx.Client(base_url=url, timeout=60) as http:
            while not self._done.wait(0.02):
                began = time.perf_counter()
                http.get(path).raise_for_status()
                self.seconds[path].append(time.perf_counter() - began)

    def _weigh(self, service: psutil.Process) -> None:
        while not self._done.wait(0.2):
            total = 0
            for process in (service, *service.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak_mb = max(self.peak_mb, total / 2**20)

    def stop(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()


def measure(count: int) -> dict[str, Any]:
    """Send the requests and watch."""
    with serving() as (url, service):
        watch = Watch(url, service)
        until(lambda: len(watch.seconds["/healthz"]) >= 100, 60)
        quiet = {path: quantiles(watch.seconds[path]) for path in QUESTIONS}
        for path in QUESTIONS:
            watch.seconds[path].clear()
        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            statuses = Counter(pool.map(lambda request: send(url, *request), requests(count)))
        wall_s = time.perf_counter() - began
        watch.stop()
        loaded = {path: quantiles(watch.seconds[path]) for path in QUESTIONS}
        alive = answers(url)
    return {
        "requests": count,
        "clients": CLIENTS,
        "wall_s": wall_s,
        "statuses": dict(sorted(statuses.items())),
        "quiet": quiet,
        "loaded": loaded,
        "peak_mb": watch.peak_mb,
        "alive": alive,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}",
    }


def send(url: str, path: str, body: bytes) -> int:
    """The status of the answer."""
    headers = {"content-type": "application/json"}
    return httpx.post(f"{url}{path}", content=body, headers=headers, timeout=600).status_code


def quantiles(seconds: list[float]) -> dict[str, float]:
    """In seconds."""
    points = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"count": len(seconds), "p50": points[49], "p99": points[98], "worst": max(seconds)}


def show(results: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} x {status}" for status, count in results["statuses"].items())
    table = Table(
        title=f"{results['requests']} requests by {CLIENTS} clients in {results['wall_s']:.0f} s: {counts};"
        f" peak {results['peak_mb']:.0f} MB; {results['machine']}"
    )
    table.add_column("question")
    for column in ("answers", "p50, ms", "p99, ms", "worst, ms", "p99 without them, ms"):
        table.add_column(column, justify="right")
    for path in QUESTIONS:
        loaded, quiet = results["loaded"][path], results["quiet"][path]
        times = (loaded["p50"], loaded["p99"], loaded["worst"], quiet["p99"])
        table.add_row(path, str(loaded["count"]), *(f"{1000 * seconds:.0f}" for seconds in times))
    Console(width=100).print(table)


def missed(results: dict[str, Any]) -> list[str]:
    """The missed targets."""
    p99 = results["loaded"]["/healthz"]["p99"]
    faults = (
        [] if p99 < P99_LIMIT_S else [f"/healthz p99 {1000 * p99:.0f} ms, target {1000 * P99_LIMIT_S:.0f}"]
    )
    faults += [f"{n} x {s}" for s, n in results["statuses"].items() if s >= 500 and s != 503]
    return faults if results["alive"] else [*faults, "the service has ended"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one size of each family")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    options = parser.parse_args()
    results = measure(len(FAMILIES) if options.quick else REQUESTS)
    print(json.dumps(results, indent=1)) if options.json else show(results)
    faults = missed(results) if options.check else []
    for fault in faults:
        print(f"target missed: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
