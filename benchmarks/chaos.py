"""What is lost when any part of the service dies, stops, fills up or is cut off: nothing, or this fails.

    python -m benchmarks.chaos [--quick] [--check] [--seed 1] [--events 200] [--json FILE] [--set-up services embedded]

`services`: PostgreSQL and Redis (started here, from the programs of this machine, in a temporary folder, on free
ports), API, beat and three workers; `embedded`: `fewbits serve`. Jobs of seven oracles in both schedules and final
trainings are submitted by HTTP all the while; trainings are made up, so that trials take a second and depend on their
seeds alone.

The seed draws the kinds of events, their victims and the pauses between them: kill -9, SIGTERM, SIGQUIT, SIGINT and
SIGHUP to API, beat, workers, their children and the processes of jobs; SIGSTOP past the lease; cut, terminated, frozen
and read-only connections; immediate restarts of PostgreSQL and Redis; full disks; clocks that are set; for the embedded
service locked databases, half-written and removed messages. After the last event everything must end by itself. Then:

    lost       jobs that were acknowledged, trials, epochs, events, files that are missing
    doubled    jobs, trials, ends, reports that are there twice
    failed     jobs, trials, final trainings that failed: no training here has a reason to
    stuck      what has not ended after `--patience` seconds
    changed    searches without parallel trials that differ from the same searches undisturbed
    refused    requests that were answered by something else than a result or "try again"
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.disturbances.events import Event, draw
from benchmarks.disturbances.judge import Verdict, attempts, judge, open_work, outcome
from benchmarks.disturbances.load import Load
from benchmarks.disturbances.observer import Observer, quantiles
from benchmarks.disturbances.stand import Services, Stand, stand, wait_for
from service.store.session import Database, is_retryable

SET_UPS: Final = ("services", "embedded")

#: Seconds until the service must be there at first: three workers load Keras.
_START_S: Final = 600.0

#: Seconds that an event waits for a trial that runs.
_WORK_S: Final = 20.0


@dataclass(frozen=True)
class Plan:
    """How much is done. `gap_s`: the mean pause between events; `twins`: undisturbed searches to compare with."""

    events: int = 200
    gap_s: float = 4.0
    open_jobs: int = 5
    trials: int = 10
    workers: int = 3
    twins: int = 5
    patience_s: float = 300.0


QUICK: Final = Plan(events=30, gap_s=3.0, open_jobs=4, trials=6, twins=3)


@dataclass
class Storm:
    """Events on a set-up: those under way, and what has happened."""

    stand: Stand
    drawn: random.Random
    observer: Observer
    kinds: Counter[str] = field(default_factory=Counter)
    hits: int = 0
    _undos: list[tuple[float, int, Event]] = field(default_factory=list)

    def run(self, plan: Plan) -> None:
        """All events, with pauses between them."""
        while self.kinds.total() < plan.events:
            self.wait(self.drawn.uniform(0.2, 1.8) * plan.gap_s)
            self._wait_for_work()
            busy = frozenset(event.part for *_, event in self._undos)
            event = draw(self.stand, self.drawn, busy, self.observer.running_in)
            if event is not None:
                self._begin(event)
        while self._undos:
            self.wait(0.5)

    def _wait_for_work(self) -> None:
        """An event on a service that does nothing shows nothing."""
        deadline = time.monotonic() + _WORK_S
        while not self.observer.running and time.monotonic() < deadline:
            self.wait(0.2)

    def _begin(self, event: Event) -> None:
        hits = self.observer.note(event.kind, event.pids)
        self.hits += hits
        self.kinds[event.kind] += 1
        say(f"{self.kinds.total():4} {event.kind}{f' ({hits} trials)' if hits else ''}")
        event.begin()
        heapq.heappush(self._undos, (time.monotonic() + event.lasts_s, self.kinds.total(), event))

    def wait(self, seconds: float) -> None:
        """Let time pass; undo what is over, start again what has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            while self._undos and self._undos[0][0] <= time.monotonic():
                heapq.heappop(self._undos)[2].undo()
            self.stand.keep()
            time.sleep(0.1)


_BEGAN: Final = time.monotonic()


def say(words: str) -> None:
    """Print a line with the time since the start."""
    print(f"{time.monotonic() - _BEGAN:7.1f} s {words}", flush=True)


def run(set_up: str, plan: Plan, seed: int, folder: Path) -> dict[str, Any]:
    """Disturb a set-up; what happened and what was broken."""
    with stand(folder, set_up, plan.workers) as stood:
        database = Database(stood.database_url, answer_s=10)
        with (
            Observer(stood.database_url, stood.url) as observer,
            Load(stood.url, open_jobs=plan.open_jobs, trials=plan.trials) as load,
        ):
            storm = Storm(stood, random.Random(seed), observer)
            _wait(storm, lambda: _has_begun(load), "the first trial", _START_S)
            say(f"{set_up}: {plan.events} events begin")
            storm.run(plan)
            load.submits = False
            say("the last event is over")
            ended = _ends(storm, database, plan.patience_s)
            say("everything has ended" if ended else "something has not ended")
            twins = _twins(storm, load, database, plan) if ended else {}
        with database.reading() as session:
            verdict = judge(session, load.jobs, _blobs(stood))
            for before, after in twins.items():
                if outcome(session, before) != outcome(session, after):
                    verdict.note("changed", f"{load.jobs[before]['name']}: {before} and {after}")
            tried = attempts(session)
        for fault in load.faults:
            verdict.note("refused", fault)
        database.dispose()
        return _figures(set_up, storm, load, verdict, tried, len(twins))


def _figures(
    set_up: str, storm: Storm, load: Load, verdict: Verdict, tried: dict[str, int], twins: int
) -> dict[str, Any]:
    recoveries = storm.observer.recoveries
    return {
        "set_up": set_up,
        "events": storm.kinds.total(),
        "kinds": dict(sorted(storm.kinds.items())),
        "restarts": {process.name: process.starts - 1 for process in storm.stand.processes},
        "jobs": len(load.jobs),
        "final_trainings": len(load.finalized),
        "attempts": tried,
        "compared": twins,
        "answers": {str(status): count for status, count in sorted(load.answers.items())},
        "trials_hit": storm.hits,
        "unharmed": recoveries.unharmed,
        "run_again_after": quantiles(recoveries.all),
        "by_kind": {kind: quantiles(seconds) for kind, seconds in sorted(recoveries.by_kind.items())},
        "api_away": quantiles(recoveries.away_s),
        "broken": verdict.counts,
        "faults": {promise: faults for promise, faults in verdict.faults.items() if faults},
    }


def _blobs(stood: Stand) -> Path:
    return stood.disk.folder / "blobs" if isinstance(stood, Services) else stood.home / "blobs"


def _has_begun(load: Load) -> bool:
    return any(row["status"] == "running" for row in (load.statuses() or {}).values())


def _wait(storm: Storm, fact: Callable[[], bool], what: str, within_s: float) -> None:
    def has_come() -> bool:
        storm.wait(0.3)
        return fact()

    wait_for(has_come, what, within_s)


def _ends(storm: Storm, database: Database, within_s: float) -> bool:
    """Whether everything ends by itself."""

    def is_over() -> bool:
        try:
            with database.reading() as session:
                return open_work(session) == 0
        except Exception as error:  # a server that is still starting
            if not is_retryable(error):
                raise
            return False

    try:
        _wait(storm, is_over, "the end of all jobs", within_s)
    except TimeoutError:
        return False
    return True


def _twins(storm: Storm, load: Load, database: Database, plan: Plan) -> dict[str, str]:
    """Some searches whose trials run one after the other, again, undisturbed: new ids by old ones."""
    alone = [(job_id, body) for job_id, body in load.jobs.items() if body["parallel_trials"] == 1]
    drawn = random.Random(0).sample(alone, min(plan.twins, len(alone)))
    twins = {job_id: load.submit(body) for job_id, body in drawn}
    _ends(storm, database, plan.patience_s)
    return {before: after for before, after in twins.items() if after is not None}


def main() -> None:
    """Parse, disturb, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="30 events, six trials a job")
    parser.add_argument("--check", action="store_true", help="exit with 1 if anything was broken")
    parser.add_argument("--seed", type=int, default=1, help="of events, victims and pauses")
    parser.add_argument("--events", type=int, help="how many in each set-up; default: 200, quick 30")
    parser.add_argument("--patience", type=float, help="seconds in which everything must end; default: 300")
    parser.add_argument("--set-up", nargs="+", choices=SET_UPS, default=list(SET_UPS))
    parser.add_argument("--folder", type=Path, help="keep logs and data in this folder, which must not exist")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # everything that was started is ended
    plan = QUICK if options.quick else Plan()
    changes = {"events": options.events, "patience_s": options.patience}
    plan = Plan(**(vars(plan) | {name: value for name, value in changes.items() if value is not None}))
    folder = options.folder or Path(tempfile.mkdtemp(prefix="fewbits-chaos-"))
    results = []
    for set_up in options.set_up:
        place = folder / set_up
        place.mkdir(parents=True)
        results.append(run(set_up, plan, options.seed, place))
        print(json.dumps(results[-1], indent=1), flush=True)
    if options.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps({"seed": options.seed, "set_ups": results}, indent=1))
    if options.check and any(result["faults"] for result in results):
        sys.exit("something was broken: see `faults`")


if __name__ == "__main__":
    main()
