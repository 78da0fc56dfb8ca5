"""Keeping a library that few jobs need out of the start of a process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_scikit_learn() -> Iterator[None]:
    """Load what merely could use scikit-learn without it: Keras' wrappers and keras-tuner do without what is missing.

    It takes a second and is of use to bayesian searches alone, which load it themselves (`search.oracles.bayesian`).
    """
    if "sklearn" in sys.modules:
        yield
        return
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["sklearn"]
