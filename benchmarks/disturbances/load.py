"""Jobs of all oracles and both schedules, and final trainings, submitted by HTTP while the service is disturbed."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from typing import Any, Final

import httpx

#: How long an answer may take, in seconds.
_ANSWER_S: Final = 10.0

#: Answers that tell a client to try again.
_PASSING: Final = frozenset({429, 502, 503, 504})

_BLOCKS: Final = ["(fc1|relu1|fc2|relu2)", "(fc3|relu3|output)"]
_IN_BLOCKS: Final = {"kind": "per_block", "blocks": _BLOCKS, "order": "sequential"}

ORACLES: Final[tuple[tuple[dict[str, Any], dict[str, Any]], ...]] = (
    ({"kind": "random"}, {"kind": "whole_model"}),
    ({"kind": "bayesian", "num_initial_points": 2}, _IN_BLOCKS),
    ({"kind": "hyperband", "max_epochs": 4, "factor": 2}, {"kind": "whole_model"}),
    ({"kind": "evolution", "population": 4}, _IN_BLOCKS),
    ({"kind": "frugal", "initial_points": 2, "candidates": 50}, {"kind": "whole_model"}),
    ({"kind": "grid"}, {"kind": "whole_model"}),
    ({"kind": "gradient", "stages": 4}, {"kind": "whole_model"}),
)


def job(number: int, trials: int) -> dict[str, Any]:
    """The job with this number."""
    oracle, schedule = ORACLES[number % len(ORACLES)]
    return {
        "name": f"job {number}",
        "model": "jet_mlp",
        "data": {"kind": "npz", "file": "tiny.npz", "preprocessing": "none"},
        "limits": {"by_class": {"Dense": 8, "Activation": 4}},
        "training": {"epochs": 2, "batch_size": 128},
        "oracle": oracle,
        "schedule": schedule,
        "budget": {"trials": trials},
        "parallel_trials": 1 if number % 2 or oracle["kind"] == "gradient" else 3,
        "seed": number,
    }


class Load:
    """Keeps so many jobs open, in a thread, inside its `with` block; `jobs` are those that were acknowledged."""

    def __init__(self, url: str, *, open_jobs: int, trials: int) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.finalized: set[tuple[str, int]] = set()
        self.faults: list[str] = []
        self.answers: Counter[int] = Counter()
        self.submits = True
        self._http = httpx.Client(base_url=url, timeout=_ANSWER_S, trust_env=False)
        self._open, self._trials = open_jobs, trials
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._http.close()

    def submit(self, body: dict[str, Any]) -> str | None:
        """Submit a job, again and again under one key until it is acknowledged; its id."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        answer = self._insist("POST", "/v1/jobs", body, key)
        if answer is None:
            return None
        identifier = str(answer.json()["id"])
        self.jobs[identifier] = body
        return identifier

    def statuses(self) -> dict[str, dict[str, Any]] | None:
        """Every job, as the service shows it; None if it does not respond."""
        jobs: dict[str, dict[str, Any]] = {}
        cursor = ""
        while True:
            answer = self._once("GET", f"/v1/jobs?limit=100{cursor}", None, {})
            if answer is None or answer.status_code != 200:
                return None
            page = answer.json()
            jobs |= {row["id"]: row for row in page["items"]}
            if not page.get("next_cursor"):
                return jobs
            cursor = f"&cursor={page['next_cursor']}"

    def _run(self) -> None:
        while not self._ends.wait(0.5):
            jobs = self.statuses()
            if jobs is None:
                continue
            self._finalize(jobs)
            running = sum(
                jobs[identifier]["status"] not in _ENDED for identifier in self.jobs if identifier in jobs
            )
            if self.submits and running < self._open:
                self.submit(job(len(self.jobs), self._trials))

    def _finalize(self, jobs: dict[str, dict[str, Any]]) -> None:
        """Have the best trial of every second job that is done trained on."""
        for place, identifier in enumerate(list(self.jobs)):
            row = jobs.get(identifier)
            if place % 2 or row is None or row["status"] != "done" or not self.submits:
                continue
            if any(of == identifier for of, _ in self.finalized):
                continue
            best = self._once("GET", f"/v1/jobs/{identifier}/best?k=1", None, {})
            if best is None or best.status_code != 200 or not best.json()["items"]:
                continue
            number = best.json()["items"][0]["number"]
            path = f"/v1/jobs/{identifier}/trials/{number}:finalize"
            if self._insist("POST", path, {"epochs": 2}, {}, fine=(409,)) is not None:
                self.finalized.add((identifier, number))

    def _insist(
        self, method: str, path: str, body: Any, headers: dict[str, str], fine: tuple[int, ...] = ()
    ) -> httpx.Response | None:
        """An answer that is one; None, and a fault, for a refusal that no client could have expected."""
        while not self._ends.is_set():
            answer = self._once(method, path, body, headers)
            if answer is None or answer.status_code in _PASSING:
                time.sleep(0.5)
                continue
            if answer.is_success or answer.status_code in fine:
                return answer
            if answer.status_code == 409 and "idempotency" in answer.text.lower():
                time.sleep(0.5)  # the first request is being carried out
                continue
            return None
        return None

    def _once(self, method: str, path: str, body: Any, headers: dict[str, str]) -> httpx.Response | None:
        try:
            answer = self._http.request(method, path, json=body, headers=headers)
        except httpx.HTTPError:
            return None
        self.answers[answer.status_code] += 1
        if answer.status_code >= 400 and answer.status_code not in {*_PASSING, 409}:
            self.faults.append(f"{method} {path.partition('?')[0]}: {answer.status_code} {answer.text[:300]}")
        return answer


_ENDED: Final = frozenset({"done", "failed", "cancelled"})
