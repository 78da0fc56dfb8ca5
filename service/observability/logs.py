"""Logs: for reading in a terminal, JSON elsewhere. Lines name trace, job, trial and tenant, and never a secret."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor

from service.auth.tokens import PATTERN
from service.settings import Settings

_PASSWORD: Final = re.compile(r"(\w+://[^\s:/@]*):[^\s@/]+@")
#: Loggers whose INFO is of no use to operators of the service.
_NOISY: Final = (
    "alembic",
    "httpx",
    "httpcore",
    "uvicorn.access",
    "celery.worker.strategy",
    "celery.app.trace",
)


def configure(settings: Settings) -> None:
    """Log to standard error, in the format of the settings."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(as_json=is_json(settings)))
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def is_json(settings: Settings) -> bool:
    """Whether each line of the log is JSON."""
    return settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())


def formatter(*, as_json: bool) -> logging.Formatter:
    """The formatter of log records: JSON, or for reading in a terminal."""
    rendering: list[Processor] = (
        [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer()]
        if as_json
        else [redact, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_plain)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            _uncoloured,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
    )


def _uncoloured(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Remove uvicorn's copy of its message for terminals."""
    event.pop("color_message", None)
    return event


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Remove the secrets of keys and the passwords in URLs from a line."""
    return {name: value if name == "exc_info" else cleaned(value) for name, value in event.items()}


def cleaned(value: Any) -> Any:
    """The value without secrets, also inside lists and mappings."""
    if isinstance(value, str):
        return _PASSWORD.sub(r"\1:***@", PATTERN.sub(r"fewbits_\1_***", value))
    if isinstance(value, dict):
        return {key: cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(item) for item in value]
    return value


def _plain(stream: Any, exc_info: Any) -> None:
    """Write an exception as Python prints it, without secrets."""
    stream.write(
        "\n" + cleaned(structlog.processors.format_exc_info(None, "", {"exc_info": exc_info})["exception"])
    )
