"""Workers that are killed at a given moment. Run by a test in a process of its own: `python -m tests.worker.lives`.

That process loads Keras once and runs nothing with it. Then it reads orders, one JSON line each, and forks a worker for
each: `{"home": ..., "job": ..., "dies_at": 17, "trains": true}`. The worker does what a job needs, with nothing but the
rows of the database under `home` to begin with (what was sent to one that died is lost), and kills itself with SIGKILL
when its 17th step begins; `null`: it lives until the job has ended. A step is the begin of a transaction, a statement
that writes, a commit, the end of an epoch, or a file put into the store: for one history they are the same steps each
time. The answer is a line, too: `{"signal": 9, "step": "commit"}`, or `{"signal": 0, "steps": 180}` of one that lived.

With `"trains": false` trainings are made up: the same reports and files, without Keras; compiling a network takes each
new process many seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

import search.schedules.propose
import search.training.evaluate
import search.training.trial
from search.history import JOB_ENDED, Assignment, EpochReport, Measurement
from search.plan import Plan
from search.training.request import Reporter, TrainingRequest
from service.store import jobs
from tests.worker.conftest import Bench
from worker.recorder import TrialRecorder
from worker.sweep import sweep

#: Rounds of sweeping and working after which a job that does not end is stuck.
PATIENCE = 200


class Life:
    """Counts steps, notes the last one where the parent finds it, and ends the process at the step it dies at."""

    def __init__(self, dies_at: int | None, note: Path) -> None:
        self.steps = 0
        self._dies_at = dies_at
        self._note = note

    def step(self, what: str) -> None:
        """One step begins."""
        self.steps += 1
        if self.steps == self._dies_at:
            self._note.write_text(json.dumps({"step": what, "steps": self.steps}))
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, bench: Bench) -> None:
        """See every step of a worker."""
        engine: Engine = bench.database.engine
        event.listen(engine, "begin", lambda _: self.step("begin"))
        event.listen(engine, "commit", lambda _: self.step("commit"))
        event.listen(engine, "before_cursor_execute", self._statement)
        _before(TrialRecorder, "epoch", lambda: self.step("epoch"))
        _before(type(bench.runtime.blobs), "put", lambda: self.step("file"))

    def _statement(self, _: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            self.step(statement.split()[0].lower())


def _before(owner: type, name: str, action: Callable[[], None]) -> None:
    method = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        action()
        return method(*arguments, **named)

    setattr(owner, name, wrapped)


def made_up_training(
    plan: Plan, request: TrainingRequest, data: Any, reporter: Reporter, folder: Path, **_: Any
) -> Measurement:
    """In place of `run_trial`: a metric and a model that depend on all that a real one's depend on."""
    first, epochs = request.initial_epoch, request.epochs or plan.spec.training.epochs
    assert request.start_from is not None or first == 0, "a trial goes on without its parent's model"
    before = b"" if request.start_from is None else request.start_from.read_bytes()
    trained = f"{request.assignment.key} {request.seed} {first} {epochs}"
    model = hashlib.sha256(before + trained.encode()).hexdigest()
    metric = int(model[:6], 16) / 16**6
    for epoch in range(first, epochs):
        reporter.epoch(EpochReport(epoch, {"val_accuracy": metric, "val_loss": 1 - metric}, 0.0))
    (folder / "model.keras").write_text(model)
    learned = None
    if request.penalty is not None:
        learned = made_up_bits(plan, request, model, folder)
    return Measurement(
        metric=metric,
        loss=1 - metric,
        cost=plan.pricer.price(learned or request.assignment),
        durations_s={},
        best_epoch=epochs - 1,
        assignment=learned,
    )


def made_up_bits(plan: Plan, request: TrainingRequest, model: str, folder: Path) -> Assignment:
    """What bits become: labels that depend on the model, and the file that the next stage must have."""
    if request.initial_epoch:
        assert request.start_bits is not None, "bits go on without their parent's"
    (folder / "bits.npz").write_text(model)
    drawn = random.Random(model)
    return plan.choices.assignment(
        {name: drawn.choice(labels) for name, labels in plan.choices.dimensions().items()}
    )


def made_up_test(*_: Any, **__: Any) -> dict[str, float]:
    """In place of `evaluate_file`."""
    return {"metric": 0.5, "loss": 0.5}


def live(home: Path, job_id: str, life: Life) -> None:
    """Sweep and work until the job has ended."""
    bench = Bench(home, resend_s=-1, max_attempts=1000)
    life.watch(bench)
    for _ in range(PATIENCE):
        sweep(bench.runtime)
        bench.work()
        with bench.database.reading() as session:
            if jobs.get(session, job_id).status in JOB_ENDED:
                return
    raise AssertionError(f"job {job_id} does not end")


def obey(order: dict[str, Any]) -> dict[str, Any]:
    """Fork a worker and wait for its end."""
    home = Path(order["home"])
    note = home / "last-step.json"
    note.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        try:
            if not order["trains"]:
                search.training.trial.run_trial = made_up_training
                search.training.evaluate.evaluate_file = made_up_test
            life = Life(order["dies_at"], note)
            live(home, order["job"], life)
            note.write_text(json.dumps({"steps": life.steps}))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        return {"signal": -1}
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, **json.loads(note.read_text())}


def main() -> None:
    """Obey every order."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what workers print is no answer
    for line in sys.stdin:
        print(json.dumps(obey(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
