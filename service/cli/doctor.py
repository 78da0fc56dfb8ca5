"""`fewbits doctor`: what this machine has, whether the parts of a service answer, and the remedy for what is wrong.

Every check has a few seconds: a database or broker that accepts connections and never answers is a finding, too.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil
from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from search.installation import cannot_train
from service.client import ClientError, Refused, SearchClient
from service.queue import Queue
from service.settings import Settings
from service.store import workers
from service.store.blob_stores import NoBucketSupport, open_blobs
from service.store.migrate import newest, stored_revision
from service.store.session import Database

PATIENCE_S: Final = 10.0
_LOW_DISK_BYTES: Final = 5 << 30
_NO_DISK_BYTES: Final = 512 << 20
#: A worker with TensorFlow and a small network takes about 1 GB.
_WORKER_BYTES: Final = 1 << 30
_CLOCK_S: Final = 2.0
#: Check -> what to look at if it fails.
_REMEDIES: Final[Mapping[str, str]] = {
    "database": "is the server running, and FEWBITS_DATABASE_URL right?",
    "schema": "fewbits migrate",
    "clock": "is the database overloaded?",
    "workers": "is the database overloaded?",
    "broker": "is the server running, and FEWBITS_BROKER_URL right?",
    "bucket": "is FEWBITS_BLOBS_ENDPOINT right, and the server running?",
    "service": "is the service overloaded? see its log",
}
_PACKAGES: Final = ("keras", "tensorflow", "keras-tuner", "numpy", "scikit-learn", "scipy", "h5py")
#: Extra -> a package of it.
_EXTRAS: Final[Mapping[str, str]] = {
    "jax": "jax",
    "arrow": "pyarrow",
    "pandas": "pandas",
    "otel": "opentelemetry-sdk",
    "s3": "boto3",
}


class State(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has shown; `remedy` is empty where nothing is to be done."""

    check: str
    state: State
    detail: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check in turn. Starts nothing and changes nothing."""
    yield _python()
    yield _training()
    yield _extras()
    yield from _variables()
    yield _home(settings)
    yield from _disk(settings)
    yield _memory()
    yield _accelerator()
    database = _limited("database", lambda: _database(settings))
    yield database
    if database.state is State.OK:
        yield _limited("schema", lambda: _schema(settings))
        yield _limited("clock", lambda: _clock(settings))
        yield _limited("workers", lambda: _workers(settings))
    yield _limited("broker", lambda: _broker(settings))
    if settings.blobs:
        yield _limited("bucket", lambda: _bucket(settings))
    yield _limited("service", lambda: _service(settings))
    yield _proxies(settings)


# --- this machine ----------------------------------------------------------------------------------------------------


def _python() -> Finding:
    text = (
        f"fewbits {version('fewbits')}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    )
    return Finding("version", State.OK, text)


def _training() -> Finding:
    versions = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES if _version(name))
    reason = cannot_train()
    if reason is None:
        return Finding("training", State.OK, versions)
    missing, _, remedy = reason.partition(". ")
    return Finding(
        "training", State.WARNING, missing, f"{remedy}; without it this machine can serve, not train"
    )


def _extras() -> Finding:
    present = [name for name, package in _EXTRAS.items() if _version(package)]
    absent = [name for name in _EXTRAS if name not in present]
    text = f"installed: {', '.join(present) or 'none'}"
    return Finding("extras", State.OK, text + (f"; not installed: {', '.join(absent)}" if absent else ""))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _variables() -> Iterator[Finding]:
    """Variables with our prefix; names that are no setting, and empty ones, are most often mistakes."""
    names = sorted(name for name in os.environ if name.startswith("FEWBITS_"))
    known = {f"FEWBITS_{name.upper()}" for name in Settings.model_fields}
    strange = [name for name in names if name not in known and not name.startswith("FEWBITS_TEST_")]
    empty = [name for name in names if name in known and not os.environ[name].strip()]
    if strange:
        yield Finding(
            "settings", State.WARNING, f"{', '.join(strange)}: not a setting", "see docs/how-to/settings.md"
        )
    if empty:
        yield Finding(
            "settings", State.WARNING, f"{', '.join(empty)}: set, but empty", "unset it, or give a value"
        )
    if not strange and not empty:
        yield Finding(
            "settings", State.OK, f"set: {', '.join(names)}" if names else "all have their defaults"
        )


def _home(settings: Settings) -> Finding:
    folder = settings.home
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        return Finding(
            "home", State.PROBLEM, f"{folder} cannot be written", "set FEWBITS_HOME to a folder of yours"
        )
    return Finding("home", State.OK, f"{folder}{'' if folder.exists() else ' (created by the first start)'}")


def _disk(settings: Settings) -> Iterator[Finding]:
    """The free space under the home folder, the artifacts and the temporary files."""
    places = {
        "home": settings.home,
        "artifacts": settings.blob_folder,
        "temporary files": Path(tempfile.gettempdir()),
    }
    for name, folder in places.items():
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        state = (
            State.PROBLEM if free < _NO_DISK_BYTES else State.WARNING if free < _LOW_DISK_BYTES else State.OK
        )
        remedy = (
            "" if state is State.OK else f"free space under {existing}: trials fail when the disk is full"
        )
        yield Finding("disk", state, f"{name}: {free / 2**30:.1f} GiB free ({existing})", remedy)


def _memory() -> Finding:
    memory, cores = psutil.virtual_memory(), os.cpu_count() or 1
    text = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB available, {cores} CPU cores"
    trials = min(cores, 4)
    if memory.available < trials * _WORKER_BYTES:
        return Finding("memory", State.WARNING, text, f"train fewer than {trials} trials at once (--workers)")
    return Finding("memory", State.OK, text)


def _accelerator() -> Finding:
    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding("accelerator", State.OK, "none found; trials train on the CPU")
    command = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("accelerator", State.WARNING, f"nvidia-smi fails: {error}", "check the driver")
    return Finding("accelerator", State.OK, "; ".join(done.stdout.strip().splitlines()))


# --- the parts of the service ----------------------------------------------------------------------------------------


def _database(settings: Settings) -> Finding:
    try:
        url = make_url(settings.database)
    except ArgumentError:
        return Finding(
            "database",
            State.PROBLEM,
            "FEWBITS_DATABASE_URL is not a URL",
            "write postgresql://user:password@host/name",
        )
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return Finding("database", State.OK, f"{shown} (created by the first start)")
    with _opened(settings) as session:
        session.execute(select(1))
    return Finding("database", State.OK, shown)


def _bucket(settings: Settings) -> Finding:
    """Whether a file can be stored in the bucket, read and removed."""
    try:
        open_blobs(settings).check()
    except NoBucketSupport as error:
        return Finding("bucket", State.PROBLEM, "boto3 is missing", str(error))
    except ConnectionError as error:
        return Finding("bucket", State.PROBLEM, str(error), _REMEDIES["bucket"])
    except OSError as error:  # its texts have no keys
        remedy = "check the bucket's name, AWS_ACCESS_KEY_ID and its rights: get, put and delete objects"
        return Finding("bucket", State.PROBLEM, str(error), remedy)
    return Finding("bucket", State.OK, f"{settings.blobs}: files are stored, read and removed")


def _schema(settings: Settings) -> Finding:
    revision, expected = _revision(settings), newest()
    if revision is None:
        return Finding(
            "schema", State.WARNING, "no tables yet", "fewbits migrate (`fewbits serve` does it itself)"
        )
    if revision < expected:
        return Finding(
            "schema", State.PROBLEM, f"revision {revision}, this version needs {expected}", "fewbits migrate"
        )
    if revision > expected:
        return Finding(
            "schema",
            State.PROBLEM,
            f"revision {revision} is of a newer fewbits; this version knows {expected}",
            "install the newer version, or use another database",
        )
    return Finding("schema", State.OK, f"revision {revision}")


def _revision(settings: Settings) -> str | None:
    if _is_absent(settings):
        return None
    database = Database(settings.database)
    try:
        return stored_revision(database.engine)
    finally:
        database.dispose()


def _is_absent(settings: Settings) -> bool:
    url = make_url(settings.database)
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()


def _clock(settings: Settings) -> Finding:
    if make_url(settings.database).get_backend_name() == "sqlite":
        return Finding("clock", State.OK, "one machine, one clock")
    with _opened(settings) as session:
        there = session.scalar(select(func.now()))
        here = datetime.now(UTC)
    difference_s = abs((here - there).total_seconds()) if there is not None else 0.0
    text = f"{difference_s:.1f} s from the clock of the database"
    if difference_s > _CLOCK_S:
        return Finding(
            "clock", State.PROBLEM, text, "synchronize the clocks (NTP): leases are compared by time"
        )
    return Finding("clock", State.OK, text)


def _workers(settings: Settings) -> Finding:
    if _revision(settings) != newest():
        return Finding("workers", State.OK, "unknown before the schema is current")
    with _opened(settings) as session:
        alive, seen = workers.alive(session, settings.heartbeat), workers.last_seen(session)
    if alive:
        return Finding(
            "workers", State.OK, f"{alive} {'process is' if alive == 1 else 'processes are'} alive"
        )
    last = "none ever reported" if seen is None else f"the last one reported at {seen:%Y-%m-%d %H:%M:%S} UTC"
    return Finding("workers", State.WARNING, f"none is alive; {last}", "fewbits serve, or fewbits worker")


def _broker(settings: Settings) -> Finding:
    if settings.embedded:
        return Finding("broker", State.OK, f"embedded, in {settings.home / 'queue'}")
    Queue(settings).check()
    address = urlsplit(settings.broker_url)
    return Finding(
        "broker", State.OK, f"{address.scheme}://{address.hostname}:{address.port or 'default port'}"
    )


def _service(settings: Settings) -> Finding:
    with SearchClient(settings.base_url, key=settings.api_key or None, timeout_s=PATIENCE_S) as client:
        try:
            readiness = client.ready()
            next(iter(client.jobs()), None)
        except Refused as error:
            return Finding("service", State.WARNING, f"{settings.base_url}: {error}", "set FEWBITS_API_KEY")
        except ClientError:
            return Finding(
                "service",
                State.WARNING,
                f"none answers at {settings.base_url}",
                "fewbits serve, or set FEWBITS_URL",
            )
    if readiness.ready:
        return Finding("service", State.OK, f"{settings.base_url} is ready")
    parts = readiness.model_dump(exclude={"ready"})
    wrong = "; ".join(f"{name}: {state}" for name, state in parts.items() if state != "ok")
    return Finding(
        "service", State.WARNING, f"{settings.base_url} is not ready: {wrong}", "see the parts above"
    )


def _proxies(settings: Settings) -> Finding:
    proxies, host = urllib.request.getproxies(), urlsplit(settings.base_url).hostname or ""
    names = [scheme for scheme in ("http", "https", "all") if scheme in proxies]
    if not names:
        return Finding("proxies", State.OK, "none set")
    if urllib.request.proxy_bypass(host):
        return Finding("proxies", State.OK, f"set for {', '.join(names)}, not used for {host}")
    return Finding(
        "proxies",
        State.WARNING,
        f"requests to {host} go through a proxy ({', '.join(names)})",
        f"NO_PROXY={host}",
    )


# --- how -------------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(settings: Settings) -> Iterator[Session]:
    """A session that only reads, of a database that is disconnected at the end."""
    database = Database(settings.database)
    try:
        with database.reading() as session:
            yield session
    finally:
        database.dispose()


def _limited(name: str, check: Callable[[], Finding]) -> Finding:
    """The finding of a check that may hang or fail. Its thread is left behind if it does not come back."""
    findings: list[Finding] = []

    def run() -> None:
        try:
            findings.append(check())
        except Exception as error:  # a driver may raise anything; its text may hold a password
            findings.append(
                Finding(name, State.PROBLEM, f"does not answer ({type(error).__name__})", _REMEDIES[name])
            )

    thread = threading.Thread(target=run, name=f"doctor {name}", daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    silent = Finding(name, State.PROBLEM, f"no answer within {PATIENCE_S:g} s", _REMEDIES[name])
    return findings[0] if findings else silent
