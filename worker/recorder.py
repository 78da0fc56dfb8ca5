"""Binds a running trial to the store: epochs, heartbeats, cancellation by the user."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from sqlalchemy.orm import Session

from search.errors import Cancelled
from search.history import EpochReport, Verdict
from search.pruning.early_stopping import NeverStop, StoppingRule, verdict
from search.spec.objective import MAXIMIZE, Objective
from search.spec.oracle import NoStopping
from service.settings import Settings
from service.store import claims, workers
from service.store.leases import Claim, LeaseStatus
from service.store.session import Database, is_retryable, keep_trying, reason_of
from worker.heartbeat import Heartbeat

log = logging.getLogger(__name__)

#: How often a trial checks whether it was cancelled: one that was must end within 5 s.
_CHECK_S: Final = 1.0

#: Epochs that end within this time are stored in one transaction.
_FLUSH_S: Final = 1.0


class LeaseLost(Exception):
    """Another worker has the trial: stop, and store nothing."""


class Judged(Exception):
    """The trial needs no (further) training. `verdict` says why; `metric` is its best so far, None before training."""

    def __init__(self, verdict: Verdict, metric: float | None = None) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict
        self.metric = metric


class TrialRecorder:
    """The `Reporter` of a trial. Inside its `with` block a thread renews the lease.

    Epochs that end within a second are stored together, at the latest at the end of the block; where other trials are
    compared with this one, each is stored as it ends. While the database does not respond, epochs are kept and the
    training goes on: the lease may still be valid when it responds again. `batch()` and `epoch()` raise Cancelled when
    the user ended the job, LeaseLost when another worker has the trial; `epoch()` raises Judged when the rule of
    `stop_by` stops the training.
    """

    def __init__(self, database: Database, settings: Settings, claim: Claim, worker: str) -> None:
        self._rule: StoppingRule = NeverStop(NoStopping())
        self._last_epoch = 0
        self._objective = Objective()
        self._curve: list[float] = []
        self._unstored: list[EpochReport] = []
        self._stored_at = time.monotonic()
        self._is_unsure = False  #: a commit was not answered: what is unstored may be stored
        self._database = database
        self._settings = settings
        self._claim = claim
        self._worker = worker
        self._lease = LeaseStatus.HELD
        self._renewed_at = time.monotonic()
        self._heartbeat = Heartbeat(
            self._beat, min(settings.heartbeat.total_seconds(), _CHECK_S), f"trial {claim.trial_id}"
        )

    def __enter__(self) -> Self:
        self._heartbeat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heartbeat.__exit__(kind, error, trace)
        if self._lease is not LeaseStatus.LOST and not isinstance(error, KeyboardInterrupt | SystemExit):
            with contextlib.suppress(Cancelled, LeaseLost):
                self.flush()

    def batch(self) -> None:
        """Called between batches; makes no query."""
        self.check(self._lease)

    def check(self, lease: LeaseStatus) -> None:
        """Raise Cancelled or LeaseLost for a lease that is not held any more."""
        if lease is LeaseStatus.CANCELLED:
            raise Cancelled("the job was cancelled")
        if lease is LeaseStatus.LOST:
            raise LeaseLost(f"trial {self._claim.trial_id} has a newer attempt than {self._claim.attempt}")

    def epoch(self, report: EpochReport) -> None:
        """Store the epoch, now or with the next ones; raise as the class says."""
        self._unstored.append(report)
        if self._is_compared or time.monotonic() - self._stored_at >= _FLUSH_S:
            self.flush()
        self.batch()
        self._compare(report)

    def flush(self) -> None:
        """Store the epochs that are not stored, unless the database does not respond; raise Cancelled or LeaseLost."""
        if self._unstored:
            try:
                self._store()
            except Exception as error:
                if not is_retryable(error):
                    raise
                log.warning("epochs of trial %s wait: %s", self._claim.trial_id, reason_of(error))
                self._is_unsure, self._stored_at = True, time.monotonic()
        self.batch()

    def _store(self) -> None:
        with self._database.transaction(durable=False) as session:
            reports = self.unstored(session)
            if reports:
                self._lease = claims.add_epochs(session, self._claim, reports, self._settings.lease)
        self.note_stored()

    def unstored(self, session: Session) -> Sequence[EpochReport]:
        """The epochs that are not stored yet."""
        stored = claims.stored_epochs(session, self._claim) if self._is_unsure else 0
        return [report for report in self._unstored if report.epoch >= stored]

    def note_stored(self) -> None:
        """To be called once `unstored` is stored."""
        self._unstored, self._stored_at, self._is_unsure = [], time.monotonic(), False

    @property
    def _is_compared(self) -> bool:
        return not isinstance(self._rule, NeverStop)

    def stop_by(self, objective: Objective, rule: StoppingRule, last_epoch: int) -> None:
        """Judge the trial by this rule, on this metric, after every epoch before the last."""
        self._objective, self._rule, self._last_epoch = objective, rule, last_epoch

    def _compare(self, report: EpochReport) -> None:
        if report.epoch < self._last_epoch:
            self._curve.append(report.metrics[self._metric()])
            proof = self._rule.judge(self._curve, self._other_curves)
            if proof is not None:
                best = max if self._objective.direction == MAXIMIZE else min
                raise Judged(verdict(proof), metric=best(self._curve))

    def _metric(self) -> str:
        return f"val_{self._objective.metric}"

    def _other_curves(self) -> list[list[float]]:
        """Waits for the database: a trial that is compared with fewer trials might not be stopped."""
        return keep_trying(
            self._read_curves,
            for_s=self._settings.patience.total_seconds(),
            check=self.batch,
            what=f"trial {self._claim.trial_id} is compared",
        )

    def _read_curves(self) -> list[list[float]]:
        with self._database.reading() as session:
            return claims.curves(session, self._claim, self._metric())

    def _beat(self) -> None:
        """Renew the lease at every heartbeat; in between only check whether the user ended the job."""
        if time.monotonic() - self._renewed_at < self._settings.heartbeat.total_seconds():
            self._read_lease()
        else:
            self._renew()
            self._renewed_at = time.monotonic()

    def _read_lease(self) -> None:
        with self._database.reading() as session:
            lease = claims.lease_status(session, self._claim)
        if lease is not LeaseStatus.HELD:
            self._lease = lease

    def _renew(self) -> None:
        with self._database.transaction(durable=False) as session:
            self._lease = claims.renew(session, self._claim, self._settings.lease)
            workers.heartbeat(session, self._worker)
