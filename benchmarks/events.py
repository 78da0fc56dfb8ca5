"""`python -m benchmarks.events`: how late an event is when many streams listen, and what they cost when none comes.

Serves the application on a real socket in a separate process, opens the streams in this one, writes events into the
database as a worker does, and takes the time from the commit until the last stream has each.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import psutil
import uvicorn

from search.history import EpochReport, JobStatus
from service.app import create_app
from service.settings import Settings
from service.store import claims, jobs
from service.store.leases import Claim
from service.store.migrate import upgrade
from service.store.session import Database
from tests.service.filled import LEASE, Filler


def serve(settings: Settings, port: int) -> None:
    """The server's process."""
    uvicorn.run(
        create_app(settings), port=port, log_config=None, access_log=False, timeout_graceful_shutdown=1
    )


async def listen(
    client: httpx.AsyncClient, path: str, seen: dict[int, list[float]], ready: asyncio.Event
) -> None:
    """Note when each event comes."""
    async with client.stream("GET", path, headers={"accept": "text/event-stream"}) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                seen.setdefault(int(line[4:]), []).append(time.perf_counter())
                ready.set()


def epoch(database: Database, claim: Claim, number: int) -> tuple[int, float]:
    """One epoch reported, as a worker does; the event's id, and the moment after the commit."""
    with database.transaction() as session:
        claims.add_epochs(session, claim, [EpochReport(number, {"loss": 1.0}, 0.1)], LEASE)
    committed = time.perf_counter()
    with database.reading() as session:
        return jobs.get(session, claim.job_id).version, committed


async def measure(
    url: str, database: Database, claim: Claim, streams: int, events: int, server: psutil.Process
) -> None:
    """Open the streams, write the events, print the figures."""
    path = f"{url}/v1/jobs/{claim.job_id}/events"
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=600, limits=limits, headers={"host": "127.0.0.1"}) as client:
        seen: dict[int, list[float]] = {}
        ready = [asyncio.Event() for _ in range(streams)]
        tasks = [asyncio.create_task(listen(client, path, seen, event)) for event in ready]
        await asyncio.gather(*(event.wait() for event in ready))
        threads, before = server.num_threads(), server.cpu_times().user + server.cpu_times().system
        await asyncio.sleep(10)
        idle = (server.cpu_times().user + server.cpu_times().system - before) / 10
        late: list[float] = []
        for number in range(events):
            version, committed = await asyncio.to_thread(epoch, database, claim, number)
            while len(seen.get(version, ())) < streams:
                await asyncio.sleep(0.005)
            late.append(max(seen[version]) - committed)
        for task in tasks:
            task.cancel()
    late.sort()
    print(f"streams                        {streams}")
    print(f"threads of the server          {threads}")
    print(f"its share of a core, idle      {100 * idle:.1f} %")
    print(f"last stream has it, median     {1000 * statistics.median(late):.0f} ms after the commit")
    print(f"                    p95        {1000 * late[int(0.95 * len(late))]:.0f} ms")


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--events", type=int, default=40)
    parser.add_argument("--database", default="", help="SQLAlchemy URL of an empty database; default: SQLite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        settings = Settings(home=Path(name), database_url=options.database)
        database = Database(settings.database)
        upgrade(database.engine)
        app = create_app(settings)
        filler = Filler(database, app.state.blobs, Path(name))
        filled = filler.job()
        claim = filler.start(filler.queue(filled, 1)[0])
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(settings, port))
        process.start()
        try:
            url = f"http://127.0.0.1:{port}"
            while True:
                try:
                    httpx.get(f"{url}/healthz").raise_for_status()
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            server = psutil.Process(process.pid)
            asyncio.run(measure(url, database, claim, options.streams, options.events, server))
            filler.end(filled, JobStatus.DONE)
        finally:
            process.terminate()
            process.join()
            database.dispose()


if __name__ == "__main__":
    main()
