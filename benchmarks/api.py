"""How fast the API answers with 100,000 trials stored, on SQLite and on PostgreSQL.

    python -m benchmarks.api [--quick] [--json] [--check]

The service runs in a separate process on loopback; this one sends requests. PostgreSQL is that of
FEWBITS_TEST_DATABASE_URL or of loopback, in a schema that is removed afterwards; it is skipped if no server responds.
Times are those of whole requests, measured by the client; CPU is the processor time of the service for one; events are
timed from the end of the commit to their arrival. `--check` exits 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psutil
import psycopg
from sqlalchemy import text

from benchmarks.stored import JOB, fill
from service.store import events, jobs
from service.store.events import Entry, EventType
from service.store.migrate import upgrade
from service.store.session import Database

#: Question -> target in milliseconds: 95 of 100 responses take less.
TARGETS = {
    "submit a job": 100.0,
    "a page of 100 trials, by number": 50.0,
    "a page of 100 trials, by score": 50.0,
    "a page of 100 trials, filtered": 50.0,
    "points of 10,000 trials": 150.0,
    "points of 50,000 trials": 500.0,
    "304 for a list of trials": 10.0,
    "304 for points": 10.0,
    "an event after its commit": 1000.0,
    "an event, 200 streams open": 1000.0,
}
#: Shown without a target.
WITHOUT_TARGET = ("a page of 100 trials, by loss", "a job of 50,000 trials", "the list of jobs")
STREAMS = 200


@dataclass(frozen=True)
class ResponseTimes:
    """Times of one question in milliseconds."""

    database: str
    question: str
    repeats: int
    p50_ms: float
    p95_ms: float
    cpu_ms: float  #: of the service, by request: it does not depend on what else the machine does
    target_ms: float | None

    @property
    def missed(self) -> bool:
        """True if the target is not met."""
        return self.target_ms is not None and self.p95_ms >= self.target_ms


def percentiles(database: str, question: str, times_s: list[float], cpu_s: float) -> ResponseTimes:
    """The percentiles of these times; `cpu_s` is the processor time of one."""
    ordered = sorted(times_s)
    p95 = ordered[max(0, math.ceil(0.95 * len(ordered)) - 1)]
    p50 = ordered[len(ordered) // 2]
    return ResponseTimes(
        database, question, len(ordered), 1000 * p50, 1000 * p95, 1000 * cpu_s, TARGETS.get(question)
    )


# --- the service ---------------------------------------------------------------------------------------------------


@contextmanager
def databases(home: Path, kinds: list[str]) -> Iterator[dict[str, str]]:
    """URLs of the available databases; what was created in them is removed."""
    addresses = {"SQLite": f"sqlite:///{home / 'fewbits.db'}"} if "sqlite" in kinds else {}
    server = os.environ.get("FEWBITS_TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/test")
    schema = f"fewbits_bench_{uuid.uuid4().hex[:12]}"
    try:
        if "postgresql" in kinds:
            with psycopg.connect(server, autocommit=True, connect_timeout=3) as connection:
                connection.execute(f'CREATE SCHEMA "{schema}"')
            addresses["PostgreSQL"] = f"{server}?options=-csearch_path%3D{schema}"
    except psycopg.OperationalError:
        print("no PostgreSQL server: skipped", file=sys.stderr)
    try:
        yield addresses
    finally:
        if "PostgreSQL" in addresses:
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f'DROP SCHEMA "{schema}" CASCADE')


@contextmanager
def serving(home: Path, database_url: str) -> Iterator[tuple[str, psutil.Process]]:
    """The service in a separate process: its address, and the process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "FEWBITS_HOME": str(home),
        "FEWBITS_DATABASE_URL": database_url,
        "FEWBITS_LOG_LEVEL": "ERROR",
        "FEWBITS_REQUESTS_PER_MINUTE": "0",
    }
    command = [sys.executable, "-m", "service.cli", "serve", "--no-worker", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url, process)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once the service answers; SystemExit if it ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{url}/healthz", timeout=2)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the service did not start")


# --- questions -----------------------------------------------------------------------------------------------------


def timed(repeats: int, ask: Callable[[], httpx.Response], status: int) -> list[float]:
    """How long each answer took; the first two, which fill caches, do not count."""
    times = []
    for index in range(repeats + 2):
        start = time.perf_counter()
        answer = ask()
        if index >= 2:
            times.append(time.perf_counter() - start)
        if answer.status_code != status:
            raise SystemExit(f"{answer.url} answered {answer.status_code}: {answer.text[:300]}")
    return times


def cpu_s(process: psutil.Process) -> float:
    """Processor time the process has used."""
    used = process.cpu_times()
    return float(used.user + used.system)


def questions(
    name: str, url: str, process: psutil.Process, ids: dict[str, str], repeats: int
) -> Iterator[ResponseTimes]:
    """Everything but the events."""
    trials, points = f"/v1/jobs/{ids['large']}/trials", f"/v1/jobs/{ids['large']}/points"
    with httpx.Client(base_url=url, timeout=60) as http:

        def getting(path: str, **headers: str) -> Callable[[], httpx.Response]:
            return lambda: http.get(path, headers=headers)

        def submit() -> httpx.Response:
            return http.post("/v1/jobs", json=JOB, headers={"Idempotency-Key": secrets.token_hex(16)})

        tags = {path: http.get(path).headers["etag"] for path in (trials, points)}
        conditions = "status:done,energy_pj<3000,metric>=0.8"
        cursor = http.get(f"{trials}?limit=1000").json()["next_cursor"]
        plans: list[tuple[str, Callable[[], httpx.Response], int]] = [
            ("submit a job", submit, 202),
            ("a page of 100 trials, by number", getting(f"{trials}?limit=100&cursor={cursor}"), 200),
            ("a page of 100 trials, by score", getting(f"{trials}?limit=100&sort=-score"), 200),
            ("a page of 100 trials, filtered", getting(f"{trials}?limit=100&filter={conditions}"), 200),
            ("a page of 100 trials, by loss", getting(f"{trials}?limit=100&sort=loss"), 200),
            ("points of 10,000 trials", getting(f"/v1/jobs/{ids['middle']}/points"), 200),
            ("points of 50,000 trials", getting(points), 200),
            ("304 for a list of trials", getting(trials, **{"If-None-Match": tags[trials]}), 304),
            ("304 for points", getting(points, **{"If-None-Match": tags[points]}), 304),
            ("a job of 50,000 trials", getting(f"/v1/jobs/{ids['large']}"), 200),
            ("the list of jobs", getting("/v1/jobs?limit=50"), 200),
        ]
        for question, ask, status in plans:
            before = cpu_s(process)
            times = timed(repeats, ask, status)
            yield percentiles(name, question, times, (cpu_s(process) - before) / (repeats + 2))


# --- events --------------------------------------------------------------------------------------------------------


def event_figures(
    name: str, url: str, process: psutil.Process, database: Database, job_id: str, repeats: int
) -> Iterator[ResponseTimes]:
    """How late an event arrives, at one stream and at many."""
    for question, streams in (("an event after its commit", 1), ("an event, 200 streams open", STREAMS)):
        before = cpu_s(process)
        times = asyncio.run(_late(url, database, job_id, streams, repeats))
        yield percentiles(name, question, times, (cpu_s(process) - before) / len(times))


async def _late(url: str, database: Database, job_id: str, streams: int, repeats: int) -> list[float]:
    """From the end of each commit to the arrival at every stream, in seconds."""
    committed: dict[int, float] = {}
    arrived: dict[int, list[float]] = {}
    opened, with_all = asyncio.Event(), asyncio.Event()
    count = 0
    limits = httpx.Limits(max_connections=None)
    with database.reading() as session:
        last = jobs.get(session, job_id).version

    async def listen(http: httpx.AsyncClient) -> None:
        nonlocal count
        headers = {"Accept": "text/event-stream"}
        async with http.stream("GET", f"/v1/jobs/{job_id}/events?after={last}", headers=headers) as answer:
            if answer.status_code != 200:
                raise SystemExit(f"the stream answered {answer.status_code}")
            async for line in answer.aiter_lines():
                if line.startswith("retry:"):
                    count += 1
                    if count == streams:
                        opened.set()
                if line.startswith("id:"):
                    times = arrived.setdefault(int(line[3:]), [])
                    times.append(time.perf_counter())
                    if len(times) == streams:
                        with_all.set()

    def commit() -> int:
        with database.transaction() as session:
            events.append(session, job_id, Entry(EventType.JOB_WARNING, {"message": "a benchmark"}))
            return jobs.get(session, job_id).version

    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as http:
        tasks = [asyncio.create_task(listen(http)) for _ in range(streams)]
        await asyncio.wait_for(opened.wait(), 60)
        for _ in range(repeats):
            with_all.clear()
            number = await asyncio.to_thread(commit)
            committed[number] = time.perf_counter()
            await asyncio.wait_for(with_all.wait(), 30)
            await asyncio.sleep(random.uniform(0.0, 0.3))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [max(0.0, at - committed[number]) for number, times in arrived.items() for at in times]


# --- all of it -----------------------------------------------------------------------------------------------------


def measure(kinds: list[str], repeats: int, event_repeats: int) -> Iterator[ResponseTimes]:
    """Every figure on every database."""
    with tempfile.TemporaryDirectory(prefix="fewbits-bench-") as folder:
        home = Path(folder)
        with databases(home, kinds) as addresses:
            for name, url in addresses.items():
                database = Database(url.replace("postgresql://", "postgresql+psycopg://"))
                upgrade(database.engine)
                print(f"{name}: storing 100,000 trials ...", file=sys.stderr)
                ids = fill(database)
                settle(database)
                with serving(home, url) as (address, process):
                    yield from questions(name, address, process, ids, repeats)
                    yield from event_figures(name, address, process, database, ids["small"], event_repeats)
                database.dispose()


def settle(database: Database) -> None:
    """Do what PostgreSQL's autovacuum would do some minutes after inserting many rows."""
    if database.engine.dialect.name == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE trials"))
    else:
        with database.transaction() as session:
            session.execute(text("ANALYZE"))


def table(figures: list[ResponseTimes]) -> str:
    """The figures as a Markdown table, a column for each database."""
    names = list(dict.fromkeys(figure.database for figure in figures))
    by = {(figure.database, figure.question): figure for figure in figures}
    all_questions = dict.fromkeys(figure.question for figure in figures)
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    head = "".join(f" {name} p50 | p95 | CPU |" for name in names)
    lines = [f"100,000 trials stored, milliseconds; {machine}", "", f"| question | target |{head}"]
    lines.append("|---|---:|" + "---:|---:|---:|" * len(names))
    for question in all_questions:
        target = TARGETS.get(question)
        shown = "-" if target is None else f"< {target:g}"
        row = [by[name, question] for name in names]
        cells = "".join(
            f" {figure.p50_ms:.1f} | {figure.p95_ms:.1f} | {figure.cpu_ms:.1f} |" for figure in row
        )
        lines.append(f"| {question} | {shown} |{cells}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and with --check say whether the targets are met."""
    parser = argparse.ArgumentParser(description="How fast the API answers with 100,000 trials stored.")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="few repeats: about a minute")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument(
        "--database", choices=["sqlite", "postgresql"], action="append", help="only this one; may be repeated"
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was begun is removed then, too
    kinds = options.database or ["sqlite", "postgresql"]
    repeats, event_repeats = (12, 4) if options.quick else (100, 20)
    figures = list(measure(kinds, repeats, event_repeats))
    print(json.dumps([asdict(figure) for figure in figures], indent=2) if options.json else table(figures))
    missed = [figure for figure in figures if figure.missed]
    for figure in missed:
        print(f"missed: {figure.database}: {figure.question}: {figure.p95_ms:.1f} ms", file=sys.stderr)
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
