"""What is done to a set-up. Each event begins, lasts for a while, and is undone."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import psutil
import psycopg

from benchmarks.disturbances.stand import LEASE_S, Embedded, Process, Services, Stand


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Event:
    """Something done to a part. `pids`: processes that lose what they do by it. `lasts_s`: until it is undone."""

    kind: str
    part: str  #: only one event at a time has a part
    begin: Callable[[], object]
    undo: Callable[[], object] = _nothing
    lasts_s: float = 0.0
    pids: frozenset[int] = frozenset()


def draw(
    stand: Stand, drawn: random.Random, busy: frozenset[str], trials_in: Callable[[Collection[int]], int]
) -> Event | None:
    """The next event, on a part that is not `busy` with another; None if what was drawn cannot be done now.

    `trials_in`: how many trials run in some processes. Of two workers that are drawn, the one that runs more is hit.
    """
    if isinstance(stand, Services):
        workers = [drawn.choice(stand.workers), drawn.choice(stand.workers)]
        events = _of_services(stand, drawn, max(workers, key=lambda worker: trials_in(_pids(worker))))
    else:
        events = _of_embedded(stand, drawn)
    weighed = [(make, weight) for make, weight in events if weight]
    make = drawn.choices([make for make, _ in weighed], [weight for _, weight in weighed])[0]
    event = make()
    return None if event is None or event.part in busy else event


_Maker = Callable[[], Event | None]


def _of_services(stand: Services, drawn: random.Random, worker: Process) -> list[tuple[_Maker, float]]:
    address = f"host=127.0.0.1 port={stand.database_port} user=postgres dbname=postgres"
    return [
        *_of_processes(worker, drawn),
        (partial(_kill, stand.api, "kill -9 of the API"), 1),
        (partial(_signal, stand.api, signal.SIGTERM, "SIGTERM to the API"), 1),
        (partial(_pause, stand.api, "the API stopped", 4), 1),
        (partial(_kill, stand.beat, "kill -9 of beat"), 1),
        (partial(Event, "database connections cut", "database", stand.database_proxy.cut), 4),
        (partial(Event, "database backends terminated", "database", partial(_terminate, address)), 4),
        (partial(_frozen, stand.database_proxy, "database", drawn), 2),
        (partial(_restart, stand.database, "database", signal.SIGQUIT, "immediate restart"), 2),
        (partial(_restart, stand.database, "database", signal.SIGINT, "fast restart"), 1),
        (partial(_read_only, address), 1),
        (partial(Event, "broker connections cut", "broker", stand.broker_proxy.cut), 3),
        (partial(_frozen, stand.broker_proxy, "broker", drawn), 2),
        (partial(_restart, stand.broker, "broker", signal.SIGKILL, "immediate restart"), 2),
        (partial(_full, stand.disk, "disk of the files"), 2 if stand.disk.can_be_full else 0),
        (
            partial(_full, stand.database_disk, "disk of the database"),
            1 if stand.database_disk.can_be_full else 0,
        ),
        (partial(_clock, stand, drawn), 4),
    ]


def _of_embedded(stand: Stand, drawn: random.Random) -> list[tuple[_Maker, float]]:
    assert isinstance(stand, Embedded)
    worker = _worker_of(stand.api)
    return [
        *(() if worker is None else _of_processes(worker, drawn)),
        (partial(_kill, stand.api, "kill -9 of the service"), 2),
        (partial(_signal, stand.api, signal.SIGTERM, "SIGTERM to the service"), 2),
        (partial(_signal, stand.api, signal.SIGINT, "SIGINT to the service"), 1),
        (partial(_pause, stand.api, "the service stopped", LEASE_S + 3), 1),
        (partial(_locked, stand, drawn), 3),
        (partial(Event, "half a message", "messages", partial(_half_a_message, stand, drawn)), 4),
        (partial(Event, "messages removed", "messages", partial(_without_messages, stand)), 2),
        (partial(_full, stand.disk, "disk"), 3 if stand.disk.can_be_full else 0),
        (partial(_clock, stand, drawn), 3),
    ]


def _of_processes(worker: Process, drawn: random.Random) -> list[tuple[_Maker, float]]:
    """What is done to a worker: to its parent, to the child that waits for its job's process, to that, or to all."""
    name = "embedded worker" if worker.name == "supervised" else "worker"
    past_lease_s = LEASE_S + drawn.uniform(1, 6)
    return [
        (partial(_kill, worker, f"kill -9 of the {name}"), 3),
        (partial(_kill, worker, f"kill -9 of the {name} and all of its processes", everything=True), 3),
        (partial(_kill_below, worker, drawn, f"kill -9 of a process of the {name}"), 6),
        (partial(_signal, worker, signal.SIGTERM, f"SIGTERM to the {name}"), 3),
        (partial(_signal, worker, signal.SIGQUIT, f"SIGQUIT to the {name}"), 2),
        (partial(_signal, worker, signal.SIGINT, f"SIGINT to the {name}'s group", everything=True), 1),
        (partial(_signal, worker, signal.SIGHUP, f"SIGHUP to the {name}'s group", everything=True), 1),
        (partial(_pause, worker, f"the {name} stopped past its lease", past_lease_s), 3),
    ]


# --- processes -------------------------------------------------------------------------------------------------------


def _pids(process: Process) -> frozenset[int]:
    return frozenset(member.pid for member in process.tree())


def _kill(process: Process, kind: str, *, everything: bool = False) -> Event:
    kill = process.send_all if everything else process.send
    return Event(kind, process.name, partial(kill, signal.SIGKILL), pids=_pids(process))


def _kill_below(process: Process, drawn: random.Random, kind: str) -> Event | None:
    below = sorted(process.tree()[1:], key=lambda member: member.pid)
    if not below:
        return None
    victim = drawn.choice(below)
    family = frozenset({victim.pid, *(member.pid for member in victim.parents())}) & _pids(process)

    def kill() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()

    return Event(kind, process.name, kill, pids=family)


def _signal(process: Process, number: signal.Signals, kind: str, *, everything: bool = False) -> Event:
    send = process.send_all if everything else process.send
    return Event(kind, process.name, partial(send, number), pids=_pids(process))


def _pause(process: Process, kind: str, lasts_s: float) -> Event:
    """Stop a process and all that it has started; go on later, as if nothing had happened."""

    def send(number: signal.Signals, pids: Sequence[int]) -> None:
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).send_signal(number)

    pids = sorted(_pids(process))
    stop, go_on = partial(send, signal.SIGSTOP, pids), partial(send, signal.SIGCONT, pids)
    return Event(kind, process.name, stop, go_on, lasts_s, frozenset(pids))


def _restart(process: Process, part: str, number: signal.Signals, kind: str) -> Event:
    def restart() -> None:
        if process.process is not None:
            process.send(number)
            process.process.wait(30)
        process.keep()

    return Event(f"{kind} of the {part}", part, restart)


def _worker_of(service: Process) -> Process | None:
    """The worker that `fewbits serve` has started; None while there is none."""
    for member in service.tree()[1:]:
        with contextlib.suppress(psutil.Error):
            if member.parent() is not None and "benchmarks.disturbances.worker" in member.cmdline():
                worker = Process("supervised", (), {}, service.log)
                worker.process = _Adopted(member)  # type: ignore[assignment]
                return worker
    return None


class _Adopted:
    """A process that somebody else has started and looks after, as `Process` needs it."""

    def __init__(self, process: psutil.Process) -> None:
        self.pid = process.pid


# --- servers, disks, clocks ------------------------------------------------------------------------------------------


def _frozen(proxy: Any, part: str, drawn: random.Random) -> Event:
    return Event(f"frozen {part}", part, proxy.freeze, proxy.thaw, drawn.uniform(3, 12))


def _terminate(address: str) -> None:
    with (
        contextlib.suppress(psycopg.OperationalError),
        psycopg.connect(address, autocommit=True) as connection,
    ):
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


def _read_only(address: str) -> Event:
    """Every new transaction is refused its writes, as by a standby."""

    def set_to(value: str) -> None:
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(address, autocommit=True) as connection,
        ):
            connection.execute("SET default_transaction_read_only TO off")
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only TO {value}")
            connection.execute("SELECT pg_reload_conf()")

    return Event("database read-only", "database", partial(set_to, "on"), partial(set_to, "off"), 4.0)


def _full(disk: Any, name: str) -> Event:
    return Event(f"full {name}", name, disk.fill, disk.empty, 6.0)


#: Seconds by which a clock is set, either way.
_STEPS_S: Final = (2, 5, 30, 120, 3600)


def _clock(stand: Stand, drawn: random.Random) -> Event | None:
    """Set the clock of one machine, and back later."""
    name = drawn.choice(sorted(stand.clocks))
    clock, offset_s = stand.clocks[name], drawn.choice(_STEPS_S) * drawn.choice((-1, 1))
    lasts_s = drawn.uniform(4, 15)
    if not clock.can_be_set:
        return None
    part = f"clock of {name}"
    return Event(f"{part} set", part, partial(clock.set, offset_s), partial(clock.set, 0), lasts_s)


def _locked(stand: Embedded, drawn: random.Random) -> Event:
    """Somebody else keeps SQLite's write lock."""
    connections: list[sqlite3.Connection] = []

    def lock() -> None:
        connection = sqlite3.connect(stand.database_file, timeout=0.5, isolation_level=None)
        connections.append(connection)
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("BEGIN IMMEDIATE")

    def unlock() -> None:
        for connection in connections:
            connection.close()

    return Event("locked database", "database", lock, unlock, drawn.uniform(2, 10))


def _half_a_message(stand: Embedded, drawn: random.Random) -> None:
    """Leave what a process that was killed while it wrote would have left."""
    for path in sorted(stand.messages.glob("*.msg"))[:1]:
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            path.write_bytes(content[: drawn.randrange(len(content) or 1)])
            return
    name = drawn.choice(["99999999999999999999_half.fewbits.msg", "00000000000000000000_half.fewbits.msg"])
    content = drawn.choice([b"", b"{", b'{"body": 1}', b"\xff\xfe", b"[]"])
    with contextlib.suppress(OSError):
        (stand.messages / name).write_bytes(content)


def _without_messages(stand: Embedded) -> None:
    shutil.rmtree(stand.messages, ignore_errors=True)
