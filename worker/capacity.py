"""What this machine has for each trial that a worker trains at once, and how a trial is kept to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from service.processes.limits import Limits, machine_bytes
from service.settings import Settings
from service.store.capacity import Capacity

#: Files that stand for accelerators: NVIDIA's, those of TPUs, AMD's.
_DEVICES: Final = ("nvidia[0-9]*", "accel[0-9]*", "vfio/[0-9]*", "dri/render?*")
_AMD: Final = Path("/dev/kfd")

#: Where a job process reads how many threads it may have.
_THREADS: Final = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

#: A limit of memory that no setting states is at least this: Keras alone takes 500 MB.
_LEAST_BYTES: Final = 2 << 30


def limits_of(settings: Settings, concurrency: int) -> Limits:
    """The limits of a process, of which `concurrency` work at once on this machine."""
    if settings.trial_memory_mb is not None:
        memory_bytes = settings.trial_memory_mb << 20
    else:
        memory_bytes = max(machine_bytes() // max(concurrency, 1), _LEAST_BYTES)
    return Limits(memory_bytes=memory_bytes, wall_s=settings.trial_time.total_seconds())


def capacity_of(settings: Settings, concurrency: int) -> Capacity:
    """What a worker with `concurrency` trials at once declares: what its settings say, else what is here."""
    slots = max(concurrency, 1)
    accelerators = settings.worker_accelerators
    return Capacity(
        cores=settings.worker_cores or max(_cores() // slots, 1),
        memory_mb=(limits_of(settings, concurrency).memory_bytes or 0) >> 20,
        accelerators=accelerator_count() if accelerators is None else accelerators,
        extras=settings.extra_names,
        slots=slots,
    )


def accelerator_count(devices: Path = Path("/dev")) -> int:
    """How many accelerators this machine shows; CUDA_VISIBLE_DEVICES may hide some."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    nvidia, tpus, passed, amd = (len(list(devices.glob(pattern))) for pattern in _DEVICES)
    if visible is not None and nvidia:
        names = [name for name in visible.split(",") if name.strip() not in ("", "-1")]
        nvidia = min(nvidia, len(names))
    return nvidia or tpus or passed or (amd if (devices / _AMD.name).exists() else 0)


def share_cores(concurrency: int) -> None:
    """Give each child its share of the cores, so that trainings do not compete for the same ones."""
    threads = str(max(1, _cores() // max(1, concurrency)))
    for name in _THREADS:
        os.environ.setdefault(name, threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def limit_threads(cores: int) -> None:
    """Keep this process to a number of cores. Call it before its first computation.

    TensorFlow reads how many threads it may have then; JAX and PyTorch have one for each core that they may run on.
    """
    for name in _THREADS:
        os.environ[name] = str(cores)
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" or not hasattr(os, "sched_setaffinity"):
        return
    usable = sorted(os.sched_getaffinity(0))
    first = os.getpid() % len(usable)  # two processes seldom get the same ones
    chosen = [usable[(first + index) % len(usable)] for index in range(min(cores, len(usable)))]
    os.sched_setaffinity(0, chosen)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
