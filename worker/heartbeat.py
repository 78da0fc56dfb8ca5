"""A call repeated in a thread beside long work, with which a worker renews its lease."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)


class Heartbeat:
    """Calls `beat` every `every_s` seconds in a thread, inside its `with` block.

    Errors of the database are logged, and that call is skipped. `name`: of the thread, and in the log.
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
            except SQLAlchemyError:
                log.warning("a heartbeat of %s was not written", self._name, exc_info=True)
