"""The Celery application of a worker: options, tasks, the sweeper beside them, and the orderly end.

Neither Celery's processes nor their parent load Keras: jobs have processes of their own (`job_processes.py`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from functools import cache
from types import FrameType
from typing import Any, NoReturn

import psutil
import structlog
from celery import Celery, Task
from celery.signals import worker_process_init, worker_ready, worker_shutting_down

from service.observability import tracing
from service.processes.limited import Template
from service.queue import TaskName, argument_of, make_celery
from service.settings import Settings
from service.store import workers
from service.store.session import reason_of
from worker import abandoned
from worker.capacity import capacity_of, limits_of
from worker.identity import is_surely_dead, worker_name
from worker.job_processes import MODULE, JobProcesses
from worker.runtime import Runtime, make_runtime
from worker.sweep import sweep_in_turn

log = logging.getLogger(__name__)


#: Seconds a running trial may go on after SIGTERM, and seconds that Celery's own shutdown may then take.
SOFT_SHUTDOWN_S, _SHUTDOWN_S = 5, 2


class TracedTask(Task):
    """A task that continues the trace of the request it follows from; its log lines name trace, task and job."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Run the task."""
        about = {argument_of(TaskName(self.name)): arguments[0]} if arguments else {}
        with (
            tracing.span(str(self.name), self.request.headers or {}),
            structlog.contextvars.bound_contextvars(task=self.name, **about),
        ):
            return super().__call__(*arguments, **options)


def make_worker(settings: Settings, concurrency: int = 1) -> Celery:
    """The application a worker process runs, with `concurrency` trials at once."""
    app = make_celery(settings)
    app.Task = TracedTask
    app.conf.update(
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_soft_shutdown_timeout=SOFT_SHUTDOWN_S,
    )
    _register(app, settings, concurrency)
    return app


@cache
def _template() -> Template:
    """That of this process: Celery's forks each have their own."""
    return Template(MODULE)


def _register(app: Celery, settings: Settings, concurrency: int) -> None:
    @cache
    def runtime() -> Runtime:
        """Created at the first task, so that every forked child opens its own connections."""
        return make_runtime(settings, capacity=capacity_of(settings, concurrency))

    @cache
    def processes() -> JobProcesses:
        return JobProcesses(_template(), limits_of(settings, concurrency))

    @app.task(name=TaskName.ADVANCE_JOB.value)
    def advance_job(job_id: str) -> None:
        processes().run(runtime(), TaskName.ADVANCE_JOB, job_id)

    @app.task(name=TaskName.RUN_TRIAL.value)
    def run_trial(trial_id: int) -> None:
        processes().run(runtime(), TaskName.RUN_TRIAL, trial_id)

    @app.task(name=TaskName.WRITE_REPORT.value)
    def write_report(job_id: str) -> None:
        processes().run(runtime(), TaskName.WRITE_REPORT, job_id)

    @app.task(name=TaskName.RUN_FINAL_TRAINING.value)
    def run_final_training(trial_id: int) -> None:
        processes().run(runtime(), TaskName.RUN_FINAL_TRAINING, trial_id)

    @app.task(name=TaskName.MAKE_EXPORT.value)
    def make_export(export_id: int) -> None:
        processes().run(runtime(), TaskName.MAKE_EXPORT, export_id)

    @app.task(name=TaskName.SWEEP.value)
    def sweep() -> None:
        """For services of an earlier version, whose beat sends it."""
        sweep_in_turn(runtime())


@worker_process_init.connect(weak=False)
def _start_child(**_: Any) -> None:
    """Load the framework while the child starts, not at its first trial; end in order, with its trial given back."""
    signal.signal(signal.SIGTERM, _end_child)
    for number in (signal.SIGHUP, signal.SIGQUIT):  # sent to a group: the parent ends its children
        signal.signal(number, signal.SIG_IGN)
    _template().start()
    tracing.export(Settings(), "fewbits-worker")  # in the child: its thread would not survive the fork


def _end_child(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


@worker_ready.connect(weak=False)
def _treat_alike(**_: Any) -> None:
    """Ctrl-C and a hang-up end a worker like SIGTERM; Celery would wait for the trial, or start itself anew."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.getsignal(signal.SIGTERM))


class OrderlyEnd:
    """Gives back what the children of this process were doing when they were ended with it.

    Enter it before the worker starts. Children end in order themselves; this is for those that did not come to it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._children: list[str] = []
        worker_shutting_down.connect(self._begin, weak=False)

    def _begin(self, **_: Any) -> None:
        """Note the children while they run, and force the end after a time: Celery's pool may wait for ever for one of
        its threads once its children are gone.
        """
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                self._children.append(worker_name(child.pid))
        timer = threading.Timer(SOFT_SHUTDOWN_S + _SHUTDOWN_S, self._end_now)
        timer.daemon = True
        timer.start()

    def _end_now(self) -> None:
        children = psutil.Process().children(recursive=True)
        for child in children:
            child.kill()
        psutil.wait_procs(children, timeout=5)
        self.give_back()
        os._exit(0)

    def give_back(self) -> None:
        """Return what ended children had claimed to the queue, and forget them and this process."""
        runtime = make_runtime(self._settings)
        ended = [name for name in self._children if is_surely_dead(name)]
        try:
            for name in ended:
                abandoned.give_back(runtime, "its worker was stopped", name)
            with runtime.database.transaction() as session:
                workers.forget(session, [*ended, runtime.worker])
        except Exception as error:  # the database is away: the leases expire
            log.warning(
                "running trials could not be returned to the queue (%s); their leases will expire",
                reason_of(error),
            )
