"""What runs when, read past all disturbances: how long trials wait until they run again, how long the API is away."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field

import httpx
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from search.history import TrialStatus
from service.store.models import Trial
from service.store.session import Database


@dataclass(frozen=True)
class Hit:
    """A trial that ran in a process to which something was done."""

    kind: str
    trial: int
    attempt: int
    moment: float


@dataclass
class Recoveries:
    """Seconds until a trial that was hit ran again, by what hit it; how many went on; seconds without an answer."""

    by_kind: dict[str, list[float]] = field(default_factory=dict)
    unharmed: int = 0
    away_s: list[float] = field(default_factory=list)

    @property
    def all(self) -> list[float]:
        """In order."""
        return sorted(second for seconds in self.by_kind.values() for second in seconds)


def quantiles(seconds: Collection[float]) -> dict[str, float] | None:
    """Median, 95th percentile and worst; None of nothing."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    last = len(ordered) - 1
    return {
        "count": len(ordered),
        "p50_s": round(ordered[round(0.5 * last)], 1),
        "p95_s": round(ordered[round(0.95 * last)], 1),
        "worst_s": round(ordered[-1], 1),
    }


class Observer:
    """Looks every quarter of a second, in threads, inside its `with` block."""

    def __init__(self, database_url: str, url: str) -> None:
        self.recoveries = Recoveries()
        self._url = url
        self._database = Database(database_url, answer_s=3)
        self._hits: list[Hit] = []
        self._running: dict[int, tuple[int, str]] = {}  #: attempt and worker
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._watch_trials, self._watch_api)
        ]

    def __enter__(self) -> Observer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()
        self._database.dispose()

    @property
    def running(self) -> int:
        """How many trials run."""
        return len(self._running)

    def running_in(self, pids: Collection[int]) -> int:
        """How many trials run in these processes."""
        with self._lock:
            return sum(_pid(worker) in pids for _, worker in self._running.values())

    def note(self, kind: str, pids: Collection[int]) -> int:
        """Something is done to these processes now; how many trials it hits."""
        moment = time.monotonic()
        with self._lock:
            hits = [
                Hit(kind, trial, attempt, moment)
                for trial, (attempt, worker) in self._running.items()
                if _pid(worker) in pids
            ]
            known = {(hit.trial, hit.attempt) for hit in self._hits}
            self._hits += [hit for hit in hits if (hit.trial, hit.attempt) not in known]
        return len(hits)

    def _watch_trials(self) -> None:
        while not self._ends.wait(0.25):
            with contextlib.suppress(SQLAlchemyError):
                self._look()

    def _look(self) -> None:
        with self._lock:
            ids = [hit.trial for hit in self._hits]
        with self._database.reading() as session:
            columns = select(Trial.id, Trial.status, Trial.attempt, Trial.worker)
            runs = session.execute(columns.where(Trial.status == TrialStatus.RUNNING)).all()
            rows = session.execute(columns.where(Trial.id.in_(ids))).all() if ids else []
        moment = time.monotonic()
        states = {row.id: (row.status, row.attempt) for row in rows}
        with self._lock:
            self._running = {row.id: (row.attempt, row.worker or "") for row in runs}
            self._hits = [hit for hit in self._hits if not self._is_over(hit, states.get(hit.trial), moment)]

    def _is_over(self, hit: Hit, state: tuple[str, int] | None, moment: float) -> bool:
        if state is None:
            return False
        status, attempt = state
        if attempt > hit.attempt and status != TrialStatus.QUEUED:
            self.recoveries.by_kind.setdefault(hit.kind, []).append(moment - hit.moment)
            return True
        if attempt == hit.attempt and status not in (TrialStatus.QUEUED, TrialStatus.RUNNING):
            self.recoveries.unharmed += 1
            return True
        return False

    def _watch_api(self) -> None:
        since: float | None = None
        with httpx.Client(base_url=self._url, timeout=3, trust_env=False) as http:
            while not self._ends.wait(0.25):
                began, works = time.monotonic(), False
                with contextlib.suppress(httpx.HTTPError):
                    works = http.get("/v1/jobs?limit=1").status_code == 200
                if not works and since is None:
                    since = began
                elif works and since is not None:
                    self.recoveries.away_s.append(time.monotonic() - since)
                    since = None


def _pid(worker: str) -> int:
    """The process of a worker's name, `host/pid/start`."""
    parts = worker.rsplit("/", 2)
    return int(parts[1]) if len(parts) == 3 else 0
