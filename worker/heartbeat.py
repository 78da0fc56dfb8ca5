"""A call repeated in a thread beside long work, with which a worker renews its lease."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from service.store.session import is_retryable, reason_of

log = logging.getLogger(__name__)


class Heartbeat:
    """Calls `beat` every `every_s` seconds in a thread, inside its `with` block.

    A call that fails is logged and skipped: the work goes on, since its lease may still be valid when the database
    answers again. `name`: of the thread, and in the log.
    """

    def __init__(self, beat: Callable[[], None], every_s: float, name: str) -> None:
        self._beat, self._every_s, self._name = beat, every_s, name
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat of {name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(self._every_s):
            try:
                self._beat()
            except Exception as error:  # the thread must not end: nobody would renew the lease
                expected = is_retryable(error)
                log.warning(
                    "a heartbeat of %s was not written: %s",
                    self._name,
                    reason_of(error),
                    exc_info=not expected,
                )
