"""Measures the sensitivity of a job before its first trials are proposed: trains the float model, then one pass.

The lease of the job's row is renewed meanwhile. Where the worker dies, the sweep finds the lease and has the job
advanced again.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from search.errors import Cancelled
from search.history import EpochReport
from search.plan import Plan
from service.store import sensitivities
from worker import preparation
from worker.float_model import float_model
from worker.heartbeat import Heartbeat
from worker.runtime import Runtime


def measure(runtime: Runtime, job_id: str, plan: Plan) -> bool:
    """Measure and store the sensitivity of a job, unless another worker is at it; whether it was stored.

    Raises what training the float model raises.
    """
    lease = runtime.settings.lease
    with runtime.database.transaction() as session:
        if not sensitivities.claim(session, job_id, worker=runtime.worker, lease=lease):
            return False
    try:
        with _Reporter(runtime, job_id) as reporter:
            measured = _measured(runtime, job_id, plan, reporter)
    except Cancelled:
        return False
    except BaseException:
        with runtime.database.transaction() as session:
            sensitivities.release(session, job_id, worker=runtime.worker)
        raise
    with runtime.database.transaction() as session:
        sensitivities.store(session, job_id, measured)
    return True


def _measured(runtime: Runtime, job_id: str, plan: Plan, reporter: _Reporter) -> dict[str, object]:
    from search.training.sensitivity import measure_sensitivity  # loads Keras

    data = preparation.dataset(runtime, plan)
    whole = float_model(runtime, job_id, plan, data, reporter)
    return measure_sensitivity(plan, whole.path, whole.metric, data, reporter.batch).to_json()


class _Reporter:
    """The `Reporter` of a measurement; inside its `with` block a thread renews the lease."""

    def __init__(self, runtime: Runtime, job_id: str) -> None:
        self._runtime, self._job_id = runtime, job_id
        self._goes_on = True
        every_s = min(runtime.settings.heartbeat.total_seconds(), 1.0)
        self._heartbeat = Heartbeat(self._renew, every_s, f"the sensitivity of job {job_id}")

    def __enter__(self) -> Self:
        self._heartbeat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heartbeat.__exit__(kind, error, trace)

    def batch(self) -> None:
        """Cancelled where the measurement is not to go on."""
        if not self._goes_on:
            raise Cancelled(f"the sensitivity of job {self._job_id} is not needed any more")

    def epoch(self, _: EpochReport) -> None:
        """As `batch`."""
        self.batch()

    def _renew(self) -> None:
        with self._runtime.database.transaction(durable=False) as session:
            self._goes_on = sensitivities.renew(
                session, self._job_id, worker=self._runtime.worker, lease=self._runtime.settings.lease
            )
