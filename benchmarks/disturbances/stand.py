"""The processes that are disturbed, with data folders, ports, clocks and disks of their own under one folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import psutil

from benchmarks.throughput import write_data
from search.installation import module_command
from tests.proxy import Proxy

ROOT: Final = Path(__file__).parents[2]

#: Short, so that two hundred events take minutes; all in seconds but the last ones.
SETTINGS: Final = {
    "LEASE": "6",
    "FINAL_LEASE": "10",
    "HEARTBEAT": "1",
    "SWEEP": "1",
    "RESEND": "3",
    "DATABASE_TIMEOUT": "4",
    "MIN_FREE_MB": "4",
    "MAX_ATTEMPTS": "10",  # one trial may be hit three times in a minute, for no fault of its own
    "REQUESTS_PER_MINUTE": "0",
    "COMPUTE_PROCESSES": "1",
    "LOG_FORMAT": "json",
}
LEASE_S: Final = float(SETTINGS["LEASE"])

#: Megabytes of a disk that is to be filled.
_DISK_MB: Final = 400


def postgres_folder() -> Path | None:
    """The newest PostgreSQL's programs on this machine."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if folders:
        return folders[-1].parent
    program = shutil.which("postgres")
    return None if program is None else Path(program).parent


def redis_program() -> str | None:
    """Redis, or Valkey, on this machine."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Process:
    """A process that is started again when it has ended, as systemd does. It leads a session."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    user: str | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    starts: int = field(default=0, init=False)

    def start(self) -> None:
        """Start it."""
        output: IO[bytes]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=self.user,
                group=None if self.user is None else pwd.getpwnam(self.user).pw_gid,
            )
        self.starts += 1

    def keep(self) -> None:
        """Start it again if it has ended; what it left behind of its session is killed, as a service manager does."""
        if self.process is not None and self.process.poll() is not None:
            self.send_all(signal.SIGKILL)
            self.start()

    def tree(self) -> list[psutil.Process]:
        """It, and what it has started."""
        if self.process is None:
            return []
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def send(self, number: int) -> None:
        """Send a signal to it alone."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def send_all(self, number: int) -> None:
        """Send a signal to its whole session."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def end(self, number: int = signal.SIGTERM, within_s: float = 15.0) -> None:
        """End it, in order first, and all that it has started."""
        self.send_all(signal.SIGCONT)
        self.send(number)
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(within_s)
        self.send_all(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        self.process = None


class Disk:
    """A file system of its own, where this machine lets one be mounted; otherwise a folder that cannot be filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m,mode=0777", "tmpfs", str(folder)]
        self.can_be_full = os.geteuid() == 0 and _succeeds(command)

    def fill(self) -> None:
        """Leave no byte."""
        with (self.folder / "ballast").open("wb") as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(b"\0" * (1 << 20))
                ballast.flush()

    def empty(self) -> None:
        """Remove what filled it."""
        (self.folder / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        if self.can_be_full:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)


class Clock:
    """The wall clock of some processes, which can be set where there is a C compiler; else that of the machine.

    A library before libc adds what a file says. (libfaketime 0.9.10 breaks `time.sleep` of Python.)
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        library = path.parent / "clock.so"
        if not library.exists():
            compiler = shutil.which("cc") or "cc"
            source = str(Path(__file__).with_name("clock.c"))
            _succeeds([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), source, "-ldl"])
        self.can_be_set = library.exists()
        self.environment: dict[str, str] = {}
        if self.can_be_set:
            self.environment = {"LD_PRELOAD": str(library), "CHAOS_CLOCK": str(path)}
        path.write_bytes(bytes(8))
        path.chmod(0o644)

    def set(self, offset_s: float) -> None:
        """Set the clock to so many seconds from the machine's."""
        with self._path.open("r+b") as file:
            file.write(struct.pack("=q", round(offset_s * 1e9)))


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


class Stand:
    """What every set-up has: a folder, an API that answers, and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.processes: list[Process] = []
        self.workers: list[Process] = []
        self.clocks: dict[str, Clock] = {}
        self.stack = contextlib.ExitStack()
        self.disk = Disk(folder / "disk")
        self.stack.callback(self.disk.close)
        self.home = self.disk.folder / "home"
        write_data(folder / "data")

    def start(self, workers: int) -> None:
        """Start everything, with so many workers, or trials at once."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        """Where rows are read, past all disturbances."""
        raise NotImplementedError

    def environment(self, clock: str, **settings: str) -> dict[str, str]:
        """What a process of the product is started with."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FEWBITS_")}
        given = SETTINGS | {"HOME": str(self.home), "DATA_DIR": str(self.folder / "data")} | settings
        if clock not in self.clocks:
            self.clocks[clock] = Clock(self.folder / f"{clock}.clock")
        return (
            kept
            | {f"FEWBITS_{name}": value for name, value in given.items()}
            | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
            | self.clocks[clock].environment
        )

    def add(self, name: str, command: Sequence[str], environment: Mapping[str, str], **named: Any) -> Process:
        """A further process, started."""
        process = Process(name, command, environment, self.folder / f"{name}.log", **named)
        process.start()
        self.processes.append(process)
        return process

    def keep(self) -> None:
        """Start again what has ended."""
        for process in self.processes:
            process.keep()

    def close(self) -> None:
        """End everything."""
        for process in reversed(self.processes):
            process.end(within_s=12)
        self.stack.close()


class Services(Stand):
    """PostgreSQL and Redis, each behind a proxy, API, beat and workers."""

    def start(self, workers: int) -> None:
        """Start everything, in order."""
        self.database_port, self.broker_port = free_port(), free_port()
        self._start_postgres()
        self.broker = self.add("redis", self._redis_command(), os.environ)
        self.database_proxy = self.stack.enter_context(Proxy("127.0.0.1", self.database_port))
        self.broker_proxy = self.stack.enter_context(Proxy("127.0.0.1", self.broker_port))
        shared = {
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{self.database_proxy.port}/postgres",
            "BROKER_URL": f"redis://127.0.0.1:{self.broker_proxy.port}/0",
            "BLOB_DIR": str(self.disk.folder / "blobs"),
        }
        here = self.folder / "homes"
        cli = module_command("service.cli")
        serve = [*cli, "serve", "--no-worker", "--port", str(self.port)]
        self.api = self.add("api", serve, self.environment("api", HOME=str(here / "api"), **shared))
        wait_for(self.answers, "the API", 90)
        beat = module_command("worker", "--beat-only")
        self.beat = self.add("beat", beat, self.environment("beat", HOME=str(here / "beat"), **shared))
        for number in range(1, workers + 1):
            name = f"worker-{number}"
            environment = self.environment(name, HOME=str(here / name), **shared)
            command = module_command("benchmarks.disturbances.worker", "--concurrency", "1")
            self.workers.append(self.add(name, command, environment))

    @property
    def database_url(self) -> str:
        """The server itself."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.database_port}/postgres"

    def answers(self) -> bool:
        """Whether the API does."""
        return _accepts(self.port)

    def _start_postgres(self) -> None:
        programs = postgres_folder()
        assert programs is not None, "PostgreSQL is not installed"
        user = "postgres" if os.geteuid() == 0 else None
        self.database_disk = Disk(self.folder / "database-disk")
        self.stack.callback(self.database_disk.close)
        data = self.database_disk.folder / "postgres"
        data.mkdir()
        if user is not None:
            shutil.chown(data, user)
            for parent in (self.folder, self.folder.parent):
                parent.chmod(parent.stat().st_mode | 0o711)
        make = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run([*map(str, make)], check=True, capture_output=True, user=user, cwd="/")
        clock = self.clocks["postgres"] = Clock(self.folder / "postgres.clock")
        options = {
            "port": self.database_port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 100,
            "max_wal_size": "64MB",
            "min_wal_size": "32MB",
        }
        command = [str(programs / "postgres"), "-D", str(data)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        log = self.folder / "postgres.log"
        log.touch()
        self.database = self.add("postgres", command, {**os.environ, **clock.environment}, user=user)
        wait_for(lambda: _accepts(self.database_port), "PostgreSQL", 30)

    def _redis_command(self) -> list[str]:
        program = redis_program()
        assert program is not None, "Redis is not installed"
        options = {"--port": self.broker_port, "--bind": "127.0.0.1", "--save": "", "--appendonly": "no"}
        return [program, *(str(part) for option in options.items() for part in option)]


class Embedded(Stand):
    """`fewbits serve`: one process, its worker, SQLite and a folder of messages, all on one disk."""

    def start(self, workers: int) -> None:
        """Start the service."""
        command = module_command("benchmarks.disturbances.serve", str(self.port), str(workers))
        self.api = self.add("serve", command, self.environment("serve"))
        self.workers = [self.api]
        wait_for(lambda: _accepts(self.port), "the API", 90)

    @property
    def database_file(self) -> Path:
        """The file of SQLite."""
        return self.home / "fewbits.db"

    @property
    def messages(self) -> Path:
        """The folder of messages."""
        return self.home / "queue" / "messages"

    @property
    def database_url(self) -> str:
        """The file."""
        return f"sqlite:///{self.database_file}"


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for(fact: Callable[[], bool], what: str, within_s: float) -> None:
    """Wait until something is so. TimeoutError if it takes too long."""
    deadline = time.monotonic() + within_s
    while not fact():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took longer than {within_s:g} s")
        time.sleep(0.1)


@contextlib.contextmanager
def stand(folder: Path, kind: str, workers: int) -> Iterator[Stand]:
    """A set-up that is closed at the end."""
    made: Stand = Services(folder) if kind == "services" else Embedded(folder)
    try:
        made.start(workers)
        yield made
    finally:
        made.close()
