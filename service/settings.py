"""The settings of a fewbits process: the only module that reads the environment."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def _seconds(value: object) -> object:
    """A plain number means seconds."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def is_loopback(host: str) -> bool:
    """True for an address or name that only this machine can reach."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


DEFAULT_NAMESPACE: Final = "fewbits"

Duration = Annotated[timedelta, BeforeValidator(_seconds)]


def in_url(host: str) -> str:
    """A host as URLs name it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


#: Scheme, user, password, and what follows the last @ before a host.
_ADDRESS: Final = re.compile(
    r"(?s)([a-z0-9+]+://)([^:@/]*):(.*)@((?:[\w.,:-]|\[[0-9a-fA-F:]+\])*(?:[/?].*)?)"
)
#: Signs that no password in a URL may hold as they are; a % that begins an escape is one.
_UNQUOTED: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~!$&'()*+,;=%-]")


def quoted_password(url: str) -> str:
    """A URL whose password may have been written as it is: its signs are escaped, and escapes left as they are."""
    parts = _ADDRESS.fullmatch(url)
    if parts is None:
        return url
    scheme, user, password, rest = parts.groups()
    return f"{scheme}{user}:{_UNQUOTED.sub(lambda sign: quote(sign[0], safe=''), password)}@{rest}"


_PATH: Final = re.compile(r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*")
_DATABASES: Final = ("postgresql://", "postgres://", "postgresql+psycopg://", "sqlite://")
_BROKERS: Final = ("redis://", "rediss://", "sentinel://", "amqp://", "amqps://", "pyamqp://", "memory://")


def _expanded(path: Path) -> Path:
    """An absolute path; a `~` needs a home of the user, and a wrong one needs a word."""
    try:
        if str(path).startswith("~") and os.environ.get("HOME") == "":
            raise RuntimeError
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError(
            f"{path} cannot be resolved: this user has no home folder; set FEWBITS_HOME to a folder"
        ) from None


class Settings(BaseSettings):
    """Read from environment variables with the prefix FEWBITS_ (FEWBITS_HOME, FEWBITS_DATABASE_URL, ...).

    Without any of them a process runs embedded: SQLite and a file-based broker, both in `home`.
    """

    model_config = SettingsConfigDict(
        env_prefix="FEWBITS_",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    home: Path = Field(Path("~/.fewbits"), description="folder of all files of an embedded service")
    database_url: str = Field("", repr=False, description="SQLAlchemy URL; empty: SQLite in the home folder")
    broker_url: str = Field(
        "", repr=False, description="URL of the Celery broker; empty: files in the home folder"
    )
    namespace: str = Field(
        DEFAULT_NAMESPACE,
        pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$",
        description="of queues, keys and locks: deployments that share a broker need different ones",
    )
    data_dir: Path | None = Field(
        None, description="folder of users' .npz files; empty: `data` in the home folder"
    )
    blob_dir: Path | None = Field(None, description="folder of artifacts; empty: `blobs` in the home folder")
    blobs: str = Field(
        "",
        pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/-]{1,500})?)?$",
        description="s3://bucket/prefix: artifacts and uploads are there, and FEWBITS_BLOB_DIR is a cache; empty: they"
        " are in that folder",
    )
    blobs_endpoint: str = Field(
        "",
        pattern=r"^(https?://[^\s/]+/?)?$",
        description="URL of a server that speaks the S3 protocol; empty: that of Amazon's region",
    )
    blobs_cache_mb: int = Field(
        20_000, ge=100, description="what a machine keeps of files that are in a bucket; used last stays"
    )
    blobs_links: bool = Field(
        False, description="downloads are answered with a link into the bucket, signed for five minutes"
    )

    host: str = Field("127.0.0.1", description="address the service listens on")
    port: int = Field(8765, ge=0, le=65535, description="port the service listens on")
    url: str = Field("", description="URL at which clients find the service; empty: http://host:port")
    root_path: str = Field(
        "",
        description="path below which a proxy shows the service, such as /fewbits; the proxy may remove it or leave it",
    )
    allowed_hosts: str = Field(
        "", description="allowed Host names, comma-separated, `*.name` for subdomains; empty: this machine's"
    )
    max_body_bytes: int = Field(4 << 20, ge=1024, description="largest accepted request body, in bytes")

    compute_processes: int = Field(
        2,
        ge=0,
        description="processes in which the API plans jobs and prices networks; 0: in its own, without limits",
    )
    request_cpu: Duration = Field(
        timedelta(seconds=60),
        gt=timedelta(0),
        description="processor time that a request may take to be computed; one that takes more is answered 413",
    )
    request_memory_mb: int = Field(
        1500,
        ge=300,
        description="memory that a request may take to be computed; one that takes more is answered 413",
    )
    max_connections: int = Field(
        1000, ge=10, description="connections at once, event streams included; more are answered 503"
    )
    streams_per_key: int = Field(
        100, ge=1, description="event streams and requests that wait for events that a key may have at once"
    )
    max_upload_bytes: int = Field(
        2 << 30, ge=1, le=(4 << 30) - 1, description="largest accepted upload, in bytes"
    )
    upload_patience: Duration = Field(
        timedelta(hours=24), description="unfinished uploads are deleted after this much inactivity"
    )

    api_key: str = Field("", repr=False, description="API key that the command line sends")
    trusted_proxies: str = Field(
        "127.0.0.1",
        description="addresses or networks of proxies whose X-Forwarded-For and -Proto count, separated by commas; the"
        " address that wrong keys are counted by, and the scheme, are those of the connection otherwise",
    )
    key_cache: Duration = Field(
        timedelta(seconds=10),
        description="how long a verified key is cached, and so how late a revocation may take effect",
    )
    requests_per_minute: int = Field(1200, ge=0, description="rate limit of a key; 0: no limit")
    max_running_jobs: int | None = Field(
        None, ge=0, description="quota of a tenant: jobs that have not ended; empty: no limit"
    )
    max_trials: int | None = Field(None, ge=0, description="quota of a tenant: trials of all its jobs")
    max_stored_bytes: int | None = Field(
        None, ge=0, description="quota of a tenant: bytes of models, data and files"
    )
    max_compute_s: float | None = Field(
        None, ge=0, description="quota of a tenant: seconds that workers spend on its trials"
    )

    lease: Duration = Field(
        timedelta(seconds=60),
        description="a trial is requeued after its worker has sent no heartbeat for this long",
    )
    final_lease: Duration = Field(timedelta(minutes=10), description="lease of a final report")
    heartbeat: Duration = Field(
        timedelta(seconds=5), description="interval at which a worker renews its lease"
    )
    sweep: Duration = Field(
        timedelta(seconds=5), description="interval at which expired leases and lost messages are handled"
    )
    resend: Duration = Field(
        timedelta(seconds=20), description="the message of a queued trial is sent again after this long"
    )
    idempotency: Duration = Field(
        timedelta(hours=24),
        description="how long an Idempotency-Key is remembered",
    )
    events: Duration = Field(
        timedelta(days=30), description="how long the events of a job are kept after its end"
    )
    discard: Duration = Field(
        timedelta(minutes=10), description="how long the files of a deleted job are kept"
    )
    patience: Duration = Field(
        timedelta(minutes=10),
        gt=timedelta(0),
        description="how long a result waits in its worker for a database or disk that does not respond",
    )
    database_timeout: Duration = Field(
        timedelta(seconds=20),
        gt=timedelta(0),
        description="time within which PostgreSQL must answer a statement; a connection that does not is closed",
    )
    min_free_mb: int = Field(
        200,
        ge=0,
        description="free space that the disks of temporary files and of artifacts must have before a trial begins",
    )
    max_attempts: int = Field(3, ge=1, description="attempts per trial, counting workers that died")
    trials_per_process: int = Field(
        40,
        ge=1,
        description="messages after which a worker process is replaced: each is a trial, or 10 s of trials",
    )
    trials_together: int = Field(
        0,
        ge=0,
        description="trials that a process trains in one program, on JAX; 0: 32 on an accelerator, else 1",
    )
    memory_per_process_mb: int = Field(
        4000, ge=500, description="a worker process that uses more memory is replaced between trials"
    )
    processes_kept: int = Field(
        0,
        ge=0,
        description="processes that a worker keeps, each for the trials of one job; 0: 2, with an accelerator 1",
    )
    trial_memory_mb: int | None = Field(
        None,
        ge=700,
        description="a trial whose process uses more memory, Keras included, ends as FAILED; empty: the memory of the"
        " machine or container, divided by the trials at once",
    )
    worker_cores: int | None = Field(
        None,
        ge=1,
        description="cores that a worker declares for each of its trials; empty: those of the machine, divided by the"
        " trials at once",
    )
    worker_accelerators: int | None = Field(
        None, ge=0, description="GPUs or TPUs that a worker declares; empty: those that the machine shows"
    )
    worker_extras: str = Field(
        "",
        pattern=r"^\s*([a-z0-9][a-z0-9._-]{0,62}\s*(,\s*[a-z0-9][a-z0-9._-]{0,62}\s*)*)?$",
        description="names that a worker declares, separated by commas, for jobs whose `resources.extras` ask for them",
    )
    trial_time: Duration = Field(
        timedelta(hours=24), gt=timedelta(0), description="a trial that takes longer ends as FAILED"
    )
    log_level: str = Field("INFO", description="lowest level that is logged")
    otel_endpoint: str = Field(
        "", description="collector of OpenTelemetry traces (OTLP over HTTP); empty: no export"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: console in a terminal, json elsewhere"
    )

    @field_validator("home", "data_dir", "blob_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else _expanded(value)

    @field_validator("database_url")
    @classmethod
    def _of_a_database(cls, value: str) -> str:
        value = value.strip()
        if value and not value.startswith(_DATABASES):
            raise ValueError("expected postgresql://user:password@host/name, or sqlite:////path/of/a/file")
        return quoted_password(value)

    @field_validator("broker_url")
    @classmethod
    def _of_a_broker(cls, value: str) -> str:
        value = value.strip()
        if value and not value.startswith(_BROKERS):
            raise ValueError("expected redis://:password@host:6379/0 or amqp://user:password@host//")
        return quoted_password(value)

    @field_validator("root_path")
    @classmethod
    def _of_names(cls, value: str) -> str:
        value = value.strip().strip("/")
        if not value:
            return ""
        if not _PATH.fullmatch(value):
            raise ValueError(
                "expected names of letters, digits, . _ ~ and -, separated by /, such as /fewbits"
            )
        return f"/{value}"

    @field_validator("host")
    @classmethod
    def _without_brackets(cls, value: str) -> str:
        return value.strip().removeprefix("[").removesuffix("]")

    @property
    def extra_names(self) -> tuple[str, ...]:
        """What FEWBITS_WORKER_EXTRAS names."""
        return tuple(sorted({name.strip() for name in self.worker_extras.split(",")} - {""}))

    @property
    def database(self) -> str:
        """The database's SQLAlchemy URL, with the driver fewbits uses."""
        if not self.database_url:
            return f"sqlite:///{quote(str(self.home / 'fewbits.db'), safe='/ ')}"
        for prefix in ("postgres://", "postgresql://"):
            if self.database_url.startswith(prefix):
                return "postgresql+psycopg://" + self.database_url.removeprefix(prefix)
        return self.database_url

    @property
    def data_folder(self) -> Path:
        """The folder of users' data files."""
        return self.data_dir or self.home / "data"

    @property
    def blob_folder(self) -> Path:
        """The folder of artifacts."""
        return self.blob_dir or self.home / "blobs"

    @property
    def incoming_folder(self) -> Path:
        """The folder of incomplete uploads, on the file system of the artifacts."""
        return self.blob_folder / ".incoming"

    @property
    def base_url(self) -> str:
        """The URL at which clients find the service."""
        return self.url or f"http://{in_url(self.host)}:{self.port}"

    @property
    def is_on_loopback(self) -> bool:
        """True if only this machine can reach the service."""
        return is_loopback(self.host)

    @property
    def embedded(self) -> bool:
        """True where the broker is file-based: then everything runs on this machine."""
        return not self.broker_url
