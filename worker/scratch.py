"""Temporary folders of one task: removed when it ends, or by the sweep when its process was killed."""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from worker.identity import is_surely_dead, worker_name

_PREFIX: Final = "fewbits-task-"

#: Random characters of `tempfile`, then the process: its id, its start, its host.
_NAME: Final = re.compile(rf"{_PREFIX}[a-z0-9_]+-(?P<pid>\d+)-(?P<start>[0-9a-f_.]+)-(?P<host>.+)")


#: A process never changes its name, and reading its start takes as long as creating the folder.
_this_process: Final = functools.lru_cache(maxsize=1)(worker_name)


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder until the block ends. Its name contains that of this process."""
    host, pid, start = _this_process(os.getpid()).split("/")
    suffix = f"-{pid}-{start}-{host}"  # a host's name may have hyphens: it comes last
    with tempfile.TemporaryDirectory(prefix=_PREFIX, suffix=suffix) as folder:
        yield Path(folder)


def remove_abandoned() -> None:
    """Remove the folders of processes of this host that are gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        match = _NAME.fullmatch(folder.name)
        if match and is_surely_dead("{host}/{pid}/{start}".format(**match.groupdict())):
            shutil.rmtree(folder, ignore_errors=True)
