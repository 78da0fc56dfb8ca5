"""A service of this machine, started from Python: API, dashboard and worker, without a terminal."""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from fewbits.notebooks import SearchClient
from search.installation import cannot_train, module_command
from service.client import ClientError, Unreachable
from service.settings import Settings

#: Time for the first start of a worker, when TensorFlow is read from a cold disk.
START_S: Final = 180.0
_STOP_S: Final = 30.0
_POLL_S: Final = 0.2
_LOG_BYTES: Final = 2000

_PREFIX: Final = "FEWBITS_"
#: Set by `local` itself: a service that listens elsewhere could not be reached.
_CHOSEN: Final = ("host", "port", "url")


class NotStarted(ClientError):
    """The service could not be started; the message has the reason, or the end of its log."""


class LocalService:
    """A running service. A context manager; also stopped by `close`, and at the end of this process.

    `url`: its address, where the dashboard is; `home`: the folder of its database, models and log; `client`: connected.
    """

    def __init__(self, process: _Process, url: str, home: Path, key: str | None) -> None:
        self.url = url
        self.home = home
        self.client = SearchClient(url, key=key)
        self._process = process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalService {self.url}, files in {self.home}>"

    def _repr_html_(self) -> str:
        return f'fewbits at <a href="{self.url}" target="_blank" rel="noopener">{self.url}</a>'

    @property
    def is_running(self) -> bool:
        """Whether the service still runs."""
        return self._process.returncode is None

    @property
    def log_path(self) -> Path:
        """The log of the service."""
        return self.home / "serve.log"

    def close(self) -> None:
        """Stop the service. What it stores stays in `home`; unfinished jobs continue when it is started again there."""
        self.client.close()
        self._process.stop()


def local(
    home: str | os.PathLike[str] | None = None,
    *,
    workers: int | None = None,
    settings: Mapping[str, object] | None = None,
    timeout_s: float = START_S,
) -> LocalService:
    """Start a service on a free port of this machine, and wait until it can run jobs.

    `home`: folder of its files; default FEWBITS_HOME, or `~/.fewbits`. A job of an earlier service there goes on.
    `workers`: trials to train at once; default one for each CPU core, at most 4; 0 starts no worker.
    `settings`: by name, such as `{"data_dir": "data"}`, in place of all FEWBITS_* variables of this process.
    Raises `NotStarted`, and ValueError for an argument that cannot be used.
    """
    _check(workers, settings, home, timeout_s)
    if workers != 0 and (reason := cannot_train()) is not None:
        raise NotStarted(reason)
    variables = _variables(home, settings)
    folder = Path(variables.get("FEWBITS_HOME") or Settings().home).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotStarted(
            f"home: {folder} cannot be used as a folder: {error.strerror}; name another"
        ) from None
    port = _free_port()
    options = ["--no-worker"] if workers == 0 else [] if workers is None else ["--workers", str(workers)]
    command = module_command("service.cli", "serve", "--port", str(port), *options)
    process = _Process(command, variables, folder / "serve.log")
    key = variables.get("FEWBITS_API_KEY") or None
    service = LocalService(process, f"http://127.0.0.1:{port}", folder, key)
    try:
        _wait_until_ready(service, with_worker=workers != 0, timeout_s=timeout_s)
    except BaseException:
        service.close()
        raise
    return service


def _check(
    workers: int | None,
    settings: Mapping[str, object] | None,
    home: str | os.PathLike[str] | None,
    timeout_s: float,
) -> None:
    """Raise ValueError for an argument of `local` that cannot be used, or would not be."""
    if workers is not None and (type(workers) is not int or workers < 0):
        raise ValueError(
            f"workers must be a whole number of trials to train at once, 0 for none, or None, not {workers!r}"
        )
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not timeout_s > 0:
        raise ValueError(f"timeout_s must be a number of seconds above 0, not {timeout_s!r}")
    if settings is not None and not isinstance(settings, Mapping):
        raise ValueError(f"settings must be a mapping such as {{'data_dir': 'data'}}, not {settings!r}")
    names = () if settings is None else settings
    if taken := [name for name in _CHOSEN if name in names]:
        raise ValueError(
            f"settings: {', '.join(taken)} cannot be set: a local service listens on a free port of this machine alone;"
            " `fewbits serve` listens where you say"
        )
    if home is not None and settings is not None and Path(str(settings.get("home", home))) != Path(home):
        raise ValueError("home is passed twice: as an argument and in settings; leave one out")


def _variables(home: str | os.PathLike[str] | None, settings: Mapping[str, object] | None) -> dict[str, str]:
    """The environment of the service."""
    variables = dict(os.environ)
    if settings is not None:
        unknown = sorted(settings.keys() - Settings.model_fields)
        if unknown:
            raise NotStarted(
                f"{', '.join(unknown)} is not a setting; settings: {', '.join(Settings.model_fields)}"
            )
        variables = {name: value for name, value in variables.items() if not name.startswith(_PREFIX)}
        variables |= {_PREFIX + name.upper(): str(value) for name, value in settings.items()}
    for name in _CHOSEN:
        variables.pop(_PREFIX + name.upper(), None)
    if home is not None:
        variables["FEWBITS_HOME"] = os.fspath(Path(home).expanduser().absolute())
    return variables


def _wait_until_ready(service: LocalService, *, with_worker: bool, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not service.is_running:
            raise NotStarted(f"the service ended at its start. The end of {_end_of(service.log_path)}")
        with contextlib.suppress(Unreachable):
            readiness = service.client.ready()
            if readiness.ready or not with_worker:
                return
        time.sleep(_POLL_S)
    raise NotStarted(
        f"the service was not ready after {timeout_s:g} s. The end of {_end_of(service.log_path)}"
    )


def _end_of(log: Path) -> str:
    text = log.read_text("utf-8", errors="replace") if log.exists() else ""
    return f"{log}:\n{text[-_LOG_BYTES:]}"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class _Process:
    """A child that ends with this process, however that ends.

    A thread of its own starts the child and waits as long as it lives: the kernel ends the child with that *thread*,
    so the thread that called `local` may end earlier.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.returncode: int | None = None
        self._command = module_command("service.cli.supervisor", str(os.getpid()), *command)
        self._environment = dict(environment)
        self._log = log
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fewbits service", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """End the child and wait for its end."""
        atexit.unregister(self.stop)
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with self._log.open("ab") as log:
            child = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while child.poll() is None and not self._stopping.wait(_POLL_S):
            pass
        if child.returncode is None:
            child.terminate()
            try:
                child.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
        self.returncode = child.wait()
