"""A data set larger than memory: the memory that a trial takes, and its speed beside that of arrays in memory.

    python -m benchmarks.large_data [--quick] [--check] [--json] [--gigabytes N]

Writes made-up images of 64x64x3 bytes to a `.npz` and trains a small convolutional network on them for two epochs, in a
process of its own: once with the examples in their file, once (with as many as fit into memory) as arrays. Targets
(`--check`): the process grows by less than `GROWTH_LIMIT_MB` however large the file is, and sees at least `RATIO_LIMIT`
of the examples a second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy

MB: Final = 1 << 20
GB: Final = 1 << 30
SIDE: Final = 64
IMAGE_BYTES: Final = SIDE * SIDE * 3
CLASSES: Final = 4
GROWTH_LIMIT_MB: Final = 512
RATIO_LIMIT: Final = 0.9
#: Gigabytes of the file whose examples both ways are compared on.
COMPARED_GB: Final = 0.25
#: Images that are made at once.
_CHUNK: Final = 2048


@dataclass(frozen=True)
class LargeRun:
    """Two epochs on a file. `growth_mb`: the largest resident memory above that before the data were read."""

    where: str
    file_gb: float
    examples: int
    growth_mb: float
    peak_mb: float
    examples_per_s: float  #: of the second epoch, validation included
    metric: float


def write_images(path: Path, count: int) -> None:
    """A `.npz` of made-up images, written piece by piece; the brightness of an image tells its class."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, CLASSES, count)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open("x_train.npy", "w", force_zip64=True) as stream:
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, SIDE, SIDE, 3)}
            npy.write_array_header_1_0(stream, header)
            for start in range(0, count, _CHUNK):
                part = labels[start : start + _CHUNK]
                noise = draw.integers(0, 160, (len(part), SIDE, SIDE, 3), dtype=np.uint8)
                stream.write((noise + 30 * part[:, None, None, None].astype(np.uint8)).tobytes())
        with archive.open("y_train.npy", "w") as stream:
            npy.write_array(stream, labels)


def network() -> dict[str, Any]:
    """A small convolutional network."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES),
        ]
    ).get_config()


def train(path: Path, where: str) -> LargeRun:
    """Train in this process."""
    from benchmarks.upload import Peak
    from search.data import load_inputs, stored_rows
    from search.history import EpochReport
    from search.plans.kinds import plan
    from search.spec.job import SearchSpec
    from search.training.request import FLOAT, TrainingRequest
    from search.training.trial import run_trial

    class Epochs:
        """Keeps how long epochs take."""

        durations: list[float] = []  # noqa: RUF012 -- one instance

        def batch(self) -> None:
            """Nothing."""

        def epoch(self, report: EpochReport) -> None:
            """Note the seconds of an epoch."""
            self.durations.append(report.duration_s)

    stored_rows.IN_MEMORY_BYTES = 0 if where == "file" else 1 << 60
    document = {
        "model": {"kind": "architecture", "config": network()},
        "data": {"kind": "npz", "file": path.name, "split": "random"},
        "limits": 8,
        "budget": {"trials": 1},
        "training": {"epochs": 2, "batch_size": 64},
    }
    job = plan(SearchSpec.model_validate(document), path.parent)
    reporter = Epochs()
    peak = Peak(os.getpid())
    with tempfile.TemporaryDirectory() as folder:
        data = load_inputs(job.job.data, path.parent, 1, job.data.inputs, job.task.heads)
        measured = run_trial(job, TrainingRequest(FLOAT, seed=1), data, reporter, Path(folder))
    peak.stop()
    return LargeRun(
        where=where,
        file_gb=path.stat().st_size / GB,
        examples=job.data.train,
        growth_mb=peak.mb - peak.before_mb,
        peak_mb=peak.mb,
        examples_per_s=(job.data.train + job.data.validation) / reporter.durations[-1],
        metric=measured.metric,
    )


def in_a_process(path: Path, where: str) -> LargeRun:
    """The same in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.large_data", "--train", str(path), "--where", where]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return LargeRun(**json.loads(done.stdout.strip().splitlines()[-1]))


def measure(gigabytes: float) -> list[LargeRun]:
    """Both ways on a file that fits into memory, then the large file where it is larger."""
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        compared = min(gigabytes, COMPARED_GB)
        path = Path(folder) / "compared.npz"
        write_images(path, int(compared * GB) // IMAGE_BYTES)
        runs += [in_a_process(path, where) for where in ("memory", "file")]
        path.unlink()
        if gigabytes > compared:
            path = Path(folder) / "large.npz"
            write_images(path, int(gigabytes * GB) // IMAGE_BYTES)
            runs.append(in_a_process(path, "file"))
    return runs


def missed(runs: list[LargeRun]) -> list[str]:
    """Targets that were missed."""
    memory, file, *_ = runs
    reasons = []
    ratio = file.examples_per_s / memory.examples_per_s
    if ratio < RATIO_LIMIT:
        reasons.append(f"from a file {ratio:.2f} of the speed in memory, less than {RATIO_LIMIT}")
    reasons += [
        f"{run.file_gb:.2g} GB took {run.growth_mb:.0f} MB of memory, more than {GROWTH_LIMIT_MB}"
        for run in runs[1:]
        if run.growth_mb > GROWTH_LIMIT_MB
    ]
    return reasons


def main() -> None:
    """Print the figures; exit with 1 where a target is missed and `--check` is set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"a file of {COMPARED_GB} GB alone")
    parser.add_argument("--gigabytes", type=float, default=20.0, help="size of the large file")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--where", choices=("memory", "file"), default="file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train is not None:
        print(json.dumps(asdict(train(options.train, options.where))))
        return
    runs = measure(COMPARED_GB if options.quick else options.gigabytes)
    if options.json:
        print(json.dumps([asdict(run) for run in runs], indent=2))
    else:
        print("| examples | file, GB | training examples | memory grows by, MB | examples/s | metric |")
        print("|---|---:|---:|---:|---:|---:|")
        for run in runs:
            figures = f"{run.growth_mb:,.0f} | {run.examples_per_s:,.0f} | {run.metric:.3f}"
            print(f"| in {run.where} | {run.file_gb:.2g} | {run.examples:,} | {figures} |")
        print(f"\nfrom a file {runs[1].examples_per_s / runs[0].examples_per_s:.2f} of the speed in memory")
    reasons = missed(runs)
    for reason in reasons:
        print(f"missed: {reason}", file=sys.stderr)
    sys.exit(bool(reasons) and options.check)


if __name__ == "__main__":
    main()
