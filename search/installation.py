"""What this installation can run, and the commands that run parts of it. Plain; loads none of what it looks for."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Final

#: Packages of the extra `worker`, by the names they are imported under.
WORKER_PACKAGES: Final = ("h5py", "keras", "keras_tuner", "scipy", "sklearn", "tensorflow", "threadpoolctl")


def missing_packages() -> tuple[str, ...]:
    """What a worker needs and this installation lacks."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    names = [name if name != "tensorflow" else backend for name in WORKER_PACKAGES]
    return tuple(name for name in names if find_spec(name) is None)


def cannot_train() -> str | None:
    """Why this installation can run no worker, and the remedy; None if it can."""
    missing = missing_packages()
    if not missing:
        return None
    return (
        f"this installation cannot train: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed."
        " Install the worker with `pip install 'fewbits[worker]'`"
    )


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module in a new process.

    `-P`: a file of the current folder that is called like one of our packages is not imported in its place.
    """
    return [sys.executable, "-P", "-m", module, *arguments]
