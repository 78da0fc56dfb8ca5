"""Checks with a limit of time: a probe that waits for a frozen database is answered all the same."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

log = logging.getLogger(__name__)

OK: Final = "ok"

#: Seconds within which every part must answer.
ANSWER_S: Final = 3.0

#: Returns OK, or what is wrong.
Check = Callable[[], str]


class Probes:
    """Runs each check in a thread of its own. While one does not answer, no second one of its name is started."""

    def __init__(self, answer_s: float = ANSWER_S) -> None:
        self._answer_s = answer_s
        self._lock = threading.Lock()
        self._running: dict[str, _Probe] = {}

    def states(self, checks: Mapping[str, Check]) -> dict[str, str]:
        """The state of each part, at the latest after the limit."""
        deadline = time.monotonic() + self._answer_s
        probes = {name: self._probe(name, check) for name, check in checks.items()}
        return {name: probe.state(deadline) for name, probe in probes.items()}

    def _probe(self, name: str, check: Check) -> _Probe:
        with self._lock:
            probe = self._running.get(name)
            if probe is None or not probe.is_alive():
                probe = self._running[name] = _Probe(check)
                probe.start()
            return probe


class _Probe(threading.Thread):
    """One run of a check."""

    def __init__(self, check: Check) -> None:
        super().__init__(name="probe", daemon=True)
        self._check = check
        self._state: str | None = None

    def run(self) -> None:
        """Run the check; an exception is only logged, because it may have addresses and passwords."""
        try:
            self._state = self._check()
        except Exception as error:  # a driver may raise anything
            log.warning("readiness: %s", type(error).__name__, exc_info=True)
            self._state = f"does not respond ({type(error).__name__})"

    def state(self, deadline: float) -> str:
        """What the check returned, by `time.monotonic()` at the latest at the deadline."""
        self.join(max(deadline - time.monotonic(), 0.0))
        return self._state or f"does not respond (no answer within {ANSWER_S:g} s)"
