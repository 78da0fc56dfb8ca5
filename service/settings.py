"""The settings of a fewbits process: the only reader of the environment."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def _seconds(value: object) -> object:
    """A plain number in a variable is seconds."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def is_loopback(host: str) -> bool:
    """True for an address, or name, that only this machine can reach."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


Duration = Annotated[timedelta, BeforeValidator(_seconds)]


class Settings(BaseSettings):
    """Read from variables with the prefix FEWBITS_ (FEWBITS_HOME, FEWBITS_DATABASE_URL, ...).

    Without any of them a process runs embedded: SQLite and a broker made of files, both under `home`.
    """

    model_config = SettingsConfigDict(env_prefix="FEWBITS_", frozen=True, extra="ignore")

    home: Path = Field(Path("~/.fewbits"), description="folder of everything the embedded set-up keeps")
    database_url: str = Field("", repr=False, description="SQLAlchemy URL; empty: SQLite in the home folder")
    broker_url: str = Field("", repr=False, description="Celery broker; empty: files in the home folder")
    data_dir: Path | None = Field(
        None, description="folder of the users' .npz files; empty: data in the home folder"
    )
    blob_dir: Path | None = Field(None, description="folder of artifacts; empty: blobs in the home folder")

    host: str = "127.0.0.1"
    port: int = Field(8765, ge=0, le=65535)
    url: str = Field("", description="address of the service for the client; empty: http://host:port")
    allowed_hosts: str = Field(
        "", description="host names requests may carry, by comma, *.name too; empty: this machine's"
    )
    max_body_bytes: int = Field(4 << 20, ge=1024, description="a request with a larger body is refused")

    max_upload_bytes: int = Field(
        2 << 30, ge=1, le=(4 << 30) - 1, description="an uploaded model or data set may have so many bytes"
    )
    upload_patience: Duration = Field(
        timedelta(hours=24), description="an upload to which nothing came for so long is forgotten"
    )

    api_key: str = Field("", repr=False, description="API key the command line sends")
    key_cache: Duration = Field(
        timedelta(seconds=10), description="a verified key is believed so long; a revoked one dies after it"
    )
    requests_per_minute: int = Field(1200, ge=0, description="rate of one key; 0: no limit")
    max_running_jobs: int | None = Field(
        None, ge=0, description="jobs of a tenant that have not ended; empty: no limit"
    )
    max_trials: int | None = Field(None, ge=0, description="trials of a tenant, over all its jobs")
    max_stored_bytes: int | None = Field(None, ge=0, description="bytes of a tenant's models, data and files")
    max_compute_s: float | None = Field(
        None, ge=0, description="seconds that workers may spend on a tenant's trials"
    )

    lease: Duration = Field(
        timedelta(seconds=60), description="a trial whose worker is silent so long is taken back"
    )
    final_lease: Duration = Field(timedelta(minutes=10), description="a final report may take so long")
    heartbeat: Duration = Field(timedelta(seconds=5), description="how often a worker renews its lease")
    sweep: Duration = Field(
        timedelta(seconds=5), description="how often expired leases and lost messages are looked for"
    )
    resend: Duration = Field(
        timedelta(seconds=20), description="a queued trial's message is sent again after so long"
    )
    idempotency: Duration = Field(
        timedelta(hours=24),
        description="a request with the same Idempotency-Key is not carried out again so long",
    )
    events: Duration = Field(
        timedelta(days=30), description="the events of a job are kept so long after its end"
    )
    discard: Duration = Field(
        timedelta(minutes=10), description="files of a deleted job are removed after so long"
    )
    max_attempts: int = Field(3, ge=1, description="how often a trial is tried whose worker died")
    trials_per_process: int = Field(
        40,
        ge=1,
        description="a worker process is replaced after so many messages: a trial each, or 10 s of trials",
    )
    trials_together: int = Field(
        0, ge=0, description="trials a process trains in one program, on JAX; 0: 32 on an accelerator, else 1"
    )
    memory_per_process_mb: int = Field(
        4000, ge=500, description="a worker process larger than this is replaced"
    )
    log_level: str = "INFO"
    otel_endpoint: str = Field(
        "", description="where OpenTelemetry traces go, OTLP over HTTP; empty: nowhere"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: readable in a terminal, JSON elsewhere"
    )

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def database(self) -> str:
        """The database's SQLAlchemy URL, with the driver fewbits uses."""
        if not self.database_url:
            return f"sqlite:///{self.home / 'fewbits.db'}"
        for prefix in ("postgres://", "postgresql://"):
            if self.database_url.startswith(prefix):
                return "postgresql+psycopg://" + self.database_url.removeprefix(prefix)
        return self.database_url

    @property
    def data_folder(self) -> Path:
        """Where users' data files lie."""
        return (self.data_dir or self.home / "data").expanduser().absolute()

    @property
    def blob_folder(self) -> Path:
        """Where artifacts lie."""
        return (self.blob_dir or self.home / "blobs").expanduser().absolute()

    @property
    def incoming_folder(self) -> Path:
        """Where uploads lie until they are whole: on the file system of the artifacts."""
        return self.blob_folder / ".incoming"

    @property
    def base_url(self) -> str:
        """Where the client finds the service."""
        return self.url or f"http://{self.host}:{self.port}"

    @property
    def is_on_loopback(self) -> bool:
        """True if only this machine can reach the service."""
        return is_loopback(self.host)

    @property
    def embedded(self) -> bool:
        """True where the broker is made of files: everything then runs on this machine."""
        return not self.broker_url
