"""The Celery application of a worker: options, tasks, and the beat that sweeps.

Neither Celery's processes nor their parent load Keras: jobs have processes of their own (`job_processes.py`).
"""

from __future__ import annotations

import logging
import os
import threading
from functools import cache
from typing import Any

import psutil
import structlog
from celery import Celery, Task
from celery.signals import worker_process_init, worker_ready, worker_shutting_down

from service.observability import tracing
from service.processes.limited import Template
from service.queue import TaskName, argument_of, make_celery
from service.settings import Settings
from worker import export, final_training, tasks
from worker.job_processes import MODULE, JobProcesses, limits_of
from worker.runtime import Runtime, make_runtime

log = logging.getLogger(__name__)


#: Seconds a running trial may go on after SIGTERM, and seconds that Celery's own shutdown may then take.
SOFT_SHUTDOWN_S, _SHUTDOWN_S = 5, 10


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
        beat_scheduler="celery.beat:Scheduler",  # stores no file: the sweep may run at any time
        beat_schedule={
            "sweep": {
                "task": TaskName.SWEEP.value,
                "schedule": settings.sweep,
                # busy workers must not find many sweeps in the queue
                "options": {"expires": settings.sweep.total_seconds(), "ignore_result": True},
            }
        },
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
        return make_runtime(settings)

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
        tasks.sweep(runtime())
        final_training.sweep(runtime())
        export.sweep(runtime())


@worker_process_init.connect(weak=False)
def _start_template(**_: Any) -> None:
    """Load the framework while the child starts, not at its first trial."""
    _template().start()
    tracing.export(Settings(), "fewbits-worker")  # in the child: its thread would not survive the fork


@worker_ready.connect(weak=False)
def _sweep_once(sender: Any, **_: Any) -> None:
    """What a killed worker had claimed is returned at once, not at the first tick of the beat."""
    sender.app.send_task(TaskName.SWEEP.value, ignore_result=True)


def return_trials(settings: Settings) -> None:
    """Return the trials to the queue whose children this process, which is about to end, has stopped."""
    try:
        tasks.sweep(make_runtime(settings))
    except Exception:  # the database or broker is away: the leases expire
        log.warning(
            "running trials could not be returned to the queue; their leases will expire", exc_info=True
        )


@worker_shutting_down.connect(weak=False)
def _end_in_time(**_: Any) -> None:
    """Force the end after a time: Celery's pool may wait for ever for one of its threads once its children are gone."""
    timer = threading.Timer(SOFT_SHUTDOWN_S + _SHUTDOWN_S, _end_now)
    timer.daemon = True
    timer.start()


def _end_now() -> None:
    children = psutil.Process().children(recursive=True)
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=5)
    return_trials(Settings())
    os._exit(0)
