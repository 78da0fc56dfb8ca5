"""What becomes of claimed work that ended with an error: given back where the cause lies outside it, else failed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.orm import Session

from search.errors import Retryable
from service.queue import TaskName
from service.store.session import is_retryable, keep_trying, reason_of
from worker.runtime import Runtime

log = logging.getLogger(__name__)


class ClaimStore(Protocol):
    """The part of the store that keeps rows of a kind: `service.store.exports`, `service.store.final_trainings`."""

    @property
    def release(self) -> Any:
        """Return the row to the queue, or fail it after its last attempt."""

    @property
    def fail(self) -> Any:
        """End the row without a result."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """Work that this worker has claimed. `name`: what logs call it; `row_id`: what its message names."""

    runtime: Runtime
    store: ClaimStore
    claim: Any
    task: TaskName
    row_id: int
    name: str

    def after_error(self, error: Exception) -> None:
        """Give the work back where the cause lies outside it, else fail it."""
        is_outside = is_retryable(error)
        if not (is_outside or isinstance(error, Retryable | OSError)):
            log.exception("%s failed", self.name)
            self.runtime.on_fault()
            self.fail(reason_of(error))
            return
        log.warning("%s goes back to the queue", self.name, exc_info=True)
        if is_outside:
            self.runtime.backoff.note_failure()
        reason = str(error) if isinstance(error, Retryable) else reason_of(error)
        limit = self.runtime.settings.max_attempts

        def give_back(session: Session) -> None:
            self.store.release(session, self.claim, reason, max_attempts=limit, counts=not is_outside)
            if not is_outside:
                self.runtime.queue.enqueue(self.task, self.row_id)

        self._store(give_back)

    def fail(self, reason: str) -> None:
        """End the work without a result."""
        self._store(lambda session: self.store.fail(session, self.claim, reason))

    def _store(self, change: Any) -> None:
        def store() -> None:
            with self.runtime.database.transaction() as session:
                change(session)

        keep_trying(store, for_s=self.runtime.settings.patience.total_seconds())
