"""The embedded broker: a folder of messages, each a file that appears whole or not at all.

A transport of kombu, `fewbits://`, which Celery loads by name. Kombu's own for folders writes a message into its final
place bit by bit, and ends the worker that reads half of one, or a file that is none.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any, Final

from kombu.exceptions import ChannelError
from kombu.transport import filesystem, virtual

log = logging.getLogger(__name__)

#: A file that is not readable yet may be one that an earlier version is still writing.
_WRITTEN_S: Final = 60.0

_NEW: Final = ".new-"
_BROKEN: Final = ".broken"


class Channel(filesystem.Channel):  # type: ignore[misc]
    """Messages in a folder. Exchange, routing key and queue have one name, so no file says which belong together."""

    supports_fanout = False

    def get_table(self, exchange: str) -> list[filesystem.exchange_queue_t]:
        """The only binding of an exchange."""
        return [filesystem.exchange_queue_t(exchange, "", exchange)]

    def _queue_bind(self, *_: Any) -> None:
        """Nothing is to be stored."""

    def _size(self, queue: str) -> int:
        return sum(1 for _ in self._messages(queue))

    def _purge(self, queue: str) -> int:
        paths = list(self._messages(queue))
        for path in paths:
            path.unlink(missing_ok=True)
        return len(paths)

    def _delete(self, queue: str, *_: Any, **__: Any) -> None:
        self._purge(queue)

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        """Write a message under another name, then rename it. ChannelError if it cannot be written.

        Somebody may have removed the folder, and no reader may live that would make it again.
        """
        name = f"{time.time_ns():020d}_{uuid.uuid4()}"
        folder = Path(self.data_folder_out)
        new = folder / f"{_NEW}{name}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(payload))
            new.rename(folder / f"{name}.{queue}.msg")
        except OSError as error:
            new.unlink(missing_ok=True)
            raise ChannelError(f"a message cannot be written to {folder}: {error.strerror}") from error

    def _get(self, queue: str) -> Any:
        """The oldest message of a queue, removed; Empty if there is none. Of two readers one gets it."""
        for path in self._messages(queue):
            try:
                payload = path.read_bytes()
            except OSError:  # another reader was faster, or it is no file
                continue
            message = _parsed(payload)
            if message is None:
                _put_aside(path)
                continue
            try:
                path.unlink()
            except FileNotFoundError:
                continue
            return message
        raise Empty

    def _messages(self, queue: str) -> Iterator[Path]:
        folder = Path(self.data_folder_in)
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:  # somebody removed it: the rows have all that matters
            folder.mkdir(parents=True, exist_ok=True)
            return
        for name in names:
            if name.partition(".")[2] == f"{queue}.msg":
                yield folder / name


class Transport(filesystem.Transport):  # type: ignore[misc]
    """Kombu's transport for folders, with these channels."""

    Channel = Channel
    global_state = virtual.BrokerState()


def _parsed(payload: bytes) -> Any:
    """A message, or None for what is none, or not one yet."""
    try:
        message = json.loads(payload)
        properties = message["properties"]
        is_message = isinstance(message["headers"], dict) and isinstance(message["body"], str)
        is_message = is_message and isinstance(properties["delivery_info"], dict)
        return message if is_message and properties["delivery_tag"] else None
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def _put_aside(path: Path) -> None:
    """Rename a file that is no message once nobody can still be writing it, so that it is read once."""
    try:
        if time.time() - path.stat().st_mtime < _WRITTEN_S:
            return
        path.rename(path.with_name(path.name + _BROKEN))
    except OSError:
        return
    log.warning("%s is no message: it is put aside as *%s", path.name, _BROKEN)
