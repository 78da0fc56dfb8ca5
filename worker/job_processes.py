"""The processes in which a worker has its work done: one for each job, forked from a template that has loaded Keras.

A process stays for the next trials of its job, which find their programs compiled, until another job needs its place.
One that exceeds its limits is ended, and what it was doing fails for that reason; what a process was doing that died
by itself is tried again. The worker itself builds and runs nothing that users describe.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from service.observability import tracing
from service.processes.limited import ExceededMemory, ExceededTime, LimitedProcess, ProcessEnded, Template
from service.processes.limits import Limits
from service.queue import TaskName, argument_of
from service.settings import Settings
from service.store.capacity import Request
from service.store.session import is_retryable, reason_of
from worker import abandoned
from worker.matching import JobWork, work_of
from worker.runtime import Runtime

log = logging.getLogger(__name__)

#: What is loaded and forked.
MODULE: Final = "worker.job_process"

#: Processes that are kept where the settings do not say; one where there is an accelerator, whose memory it takes.
_USUAL: Final = 2
#: Seconds that a message rests which this worker cannot take.
_PASS_ON_S: Final = 0.5

_ACCELERATORS: Final = ("/dev/nvidiactl", "/dev/kfd", "/dev/accel0", "/dev/vfio/0")


@dataclass
class _JobProcess:
    """The process of a job, and how many messages it has done."""

    process: LimitedProcess
    messages: int = 0


class JobProcesses:
    """The processes of one worker."""

    def __init__(self, template: Template, limits: Limits) -> None:
        self._template = template
        self._limits = limits
        self._processes: dict[str, _JobProcess] = {}  #: by job; the one used last is the last
        self._owes = False  #: rows may name this worker as theirs though nothing runs

    def run(self, runtime: Runtime, task: TaskName, *ids: str | int) -> None:
        """Have a message done by the process of its job. Does nothing if there is nothing to do, or if the database
        does not respond: the sweep sends the message again.

        A SystemExit, raised by a signal that ends the worker, ends the process too and gives back what it was doing.
        """
        try:
            if self._owes:
                abandoned.give_back(runtime, "the database did not respond")
                self._owes = False
            work = work_of(runtime, task, *ids)
            if work.urgent is not None:
                self._run(runtime, work.urgent, TaskName.ADVANCE_JOB, work.urgent.id)
            if work.job is not None:
                self._run(runtime, work.job, task, *ids)
            if work.passes_on is not None:
                time.sleep(_PASS_ON_S)  # meanwhile others take it: this worker would only pass it on again
                runtime.queue.send(task, work.passes_on)
        except SystemExit:
            self.close()
            abandoned.give_back(runtime, "its worker was stopped")
            raise
        except Exception as error:
            if not is_retryable(error):
                raise
            log.warning("%s%s is left to the sweep: %s", task, ids, reason_of(error))
            self._owes = True

    def _run(self, runtime: Runtime, job: JobWork, task: TaskName, *ids: str | int) -> None:
        job_id = job.id
        try:
            running = self._process(runtime.settings, job)
            running.process.send(_message(runtime, job, task, *ids))
            answer = running.process.receive()[0]
            while not answer["done"]:
                answer = running.process.receive()[0]
        except ProcessEnded as end:
            log.warning("the process of job %s has ended: %s", job_id, end)
            self._processes.pop(job_id, None)
            reason = _reason(end, job.request)
            abandoned.settle(runtime, task, job_id, reason, is_over=_is_over(end))
            return
        running.messages += 1
        self._owes = bool(answer.get("owes"))
        if answer.get("faulty"):  # an error that nobody expected may have left its traces there
            self._processes.pop(job_id).process.end()
        else:
            self._replace_if_old(runtime.settings, job_id, running)

    def close(self) -> None:
        """End all processes."""
        for job_id in list(self._processes):
            self._processes.pop(job_id).process.end()

    def _process(self, settings: Settings, job: JobWork) -> _JobProcess:
        """The process of the job; another job's makes room for it first: two might not find memory."""
        running = self._processes.pop(job.id, None)
        if running is None:
            while len(self._processes) >= _most(settings):
                self._processes.pop(next(iter(self._processes))).process.end()
            memory_mb = job.request.memory_mb
            limits = replace(self._limits, memory_bytes=memory_mb << 20) if memory_mb else self._limits
            running = _JobProcess(self._template.fork(limits))
        self._processes[job.id] = running
        return running

    def _replace_if_old(self, settings: Settings, job_id: str, running: _JobProcess) -> None:
        is_old = running.messages >= settings.trials_per_process
        if is_old or running.process.memory_bytes > settings.memory_per_process_mb << 20:
            self._processes.pop(job_id).process.end()


def _most(settings: Settings) -> int:
    """How many processes are kept."""
    has_accelerator = any(Path(device).exists() for device in _ACCELERATORS)
    return settings.processes_kept or (1 if has_accelerator else _USUAL)


def _message(runtime: Runtime, job: JobWork, task: TaskName, *ids: str | int) -> dict[str, Any]:
    return {
        "task": task,
        "ids": ids,
        "job": job.id,
        "worker": runtime.worker,
        "about": {argument_of(task): ids[0]},
        "headers": tracing.headers(),
        "capacity": None if runtime.capacity is None else asdict(runtime.capacity),
        "cores": job.request.cores,
    }


def _is_over(end: ProcessEnded) -> bool:
    """Whether the same would happen again."""
    return isinstance(end, ExceededMemory | ExceededTime)


def _reason(end: ProcessEnded, request: Request) -> str:
    if isinstance(end, ExceededMemory):
        limit = "resources.memory_mb" if request.memory_mb else "FEWBITS_TRIAL_MEMORY_MB"
        return f"{end} ({limit}): a smaller batch, network or data set needs less"
    if isinstance(end, ExceededTime):
        return f"{end} (FEWBITS_TRIAL_TIME): fewer epochs or a smaller network take less"
    return str(end)
