"""Uploads, measured: how fast they come in, and how far the memory of the API process grows.

Starts `fewbits serve --no-worker` in a temporary folder and sends a data set over loopback, in one piece and in parts.
Target (`--check`): the API grows by less than 64 MB while 1 GiB comes in, is hashed and checked.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.main_job import FEWBITS, free_port, until

MB = 2**20
GROWTH_LIMIT_MB = 64
ROW = 1024  #: numbers of one example


@dataclass(frozen=True)
class UploadRun:
    """One upload: seconds, and memory of the API process before it and at its largest."""

    what: str
    sent_mb: float
    seconds: float
    before_mb: float
    peak_mb: float
    answer: int

    @property
    def growth_mb(self) -> float:
        """How far the process grew."""
        return self.peak_mb - self.before_mb


class Peak:
    """The largest resident memory of a process while it is watched, in MB."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.before_mb = self.mb = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _now(self) -> float:
        return float(self._process.memory_info().rss / MB)

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.mb = max(self.mb, self._now())

    def stop(self) -> None:
        """End watching."""
        self._done.set()
        self._thread.join()


@contextmanager
def serving(home: Path) -> Iterator[tuple[str, int]]:
    """A service without workers: its address, and its process."""
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FEWBITS_")}
    environment |= {"FEWBITS_HOME": str(home), "FEWBITS_LOG_LEVEL": "WARNING"}
    with open(home / "serve.log", "ab") as log:
        process = subprocess.Popen(
            [str(FEWBITS), "serve", "--port", str(port), "--no-worker"],
            env=environment,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(url), 120)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def write_data(path: Path, size_mb: float) -> None:
    """A `.npz` of about this size, of numbers that do not pack; made in pieces."""
    rows = max(2, round(size_mb * MB / ROW))
    random = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for name, count, shape in (
            ("x_train", rows, (rows, ROW)),
            ("y_train", rows, (rows,)),
            ("x_test", 4, (4, ROW)),
            ("y_test", 4, (4,)),
        ):
            width = ROW if len(shape) > 1 else 1
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                for start in range(0, count, 4096):
                    part = random.integers(0, 256, (min(4096, count - start), width), "uint8")
                    member.write((part % 10 if width == 1 else part).tobytes())


def measure(size_mb: float, folder: Path, *, parts: tuple[int, ...] = (1, 16)) -> list[UploadRun]:
    """Upload one data set in each of these numbers of parts, and a model that is refused."""
    path = folder / "data.npz"
    write_data(path, size_mb)
    with serving(folder) as (url, pid), httpx.Client(base_url=url, timeout=600) as http:
        small = folder / "small.npz"
        write_data(small, 1)
        _upload(http, small, 1)  # imports of the first request are not measured
        runs = [
            _measured(
                f"data set in {count} part{'s' * (count > 1)}",
                path,
                pid,
                lambda n=count: _upload(http, path, n),
            )
            for count in parts
        ]
        bad = folder / "bad.keras"
        with zipfile.ZipFile(bad, "w") as archive:
            archive.writestr("saved_model.pb", b"\x08\x01" * 1000)
        refused = _measured("hostile model, refused", bad, pid, lambda: _send(http, "models", bad, 1))
        return [*runs, refused]


def _measured(what: str, path: Path, pid: int, do: Callable[[], int]) -> UploadRun:
    peak, began = Peak(pid), time.perf_counter()
    status = do()
    seconds = time.perf_counter() - began
    peak.stop()
    return UploadRun(what, path.stat().st_size / MB, seconds, peak.before_mb, peak.mb, status)


def _upload(http: httpx.Client, path: Path, parts: int) -> int:
    status = _send(http, "datasets", path, parts)
    assert status == 200, status
    return status


def _send(http: httpx.Client, resource: str, path: Path, parts: int) -> int:
    """Send a file; the status of the last answer."""
    size = path.stat().st_size
    location = http.post(f"/v1/{resource}", json={"name": path.name, "size_bytes": size}).headers["location"]
    ends = [size * index // parts for index in range(parts + 1)]
    for begin, end in pairwise(ends):
        answer = http.patch(
            f"{location}/content",
            content=_blocks(path, begin, end),
            headers={"upload-offset": str(begin), "content-length": str(end - begin)},
        )
    return answer.status_code


def _blocks(path: Path, begin: int, end: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(begin)
        while begin < end:
            block = file.read(min(MB, end - begin))
            begin += len(block)
            yield block


def show(runs: list[UploadRun]) -> None:
    """Print the table."""
    table = Table("upload", "MB", "s", "MB/s", "API before, MB", "API peak, MB", "growth, MB", "answer")
    for row in runs:
        table.add_row(
            row.what,
            f"{row.sent_mb:.1f}",
            f"{row.seconds:.2f}",
            f"{row.sent_mb / row.seconds:.0f}",
            f"{row.before_mb:.0f}",
            f"{row.peak_mb:.0f}",
            f"{row.growth_mb:.1f}",
            str(row.answer),
        )
    Console(width=120).print(table)


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upload", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="send 64 MiB instead of 1 GiB")
    parser.add_argument("--check", action="store_true", help="fail if the API grows too far")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fewbits-upload-") as folder:
        runs = measure(64 if options.quick else 1024, Path(folder))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    show(runs)
    if options.json:
        rows: list[dict[str, Any]] = [asdict(row) | {"growth_mb": row.growth_mb} for row in runs]
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    if options.check and max(row.growth_mb for row in runs) >= GROWTH_LIMIT_MB:
        sys.exit(f"the API grew by more than {GROWTH_LIMIT_MB} MB")


if __name__ == "__main__":
    main()
