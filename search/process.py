"""What concerns a process as a whole: who may read its files, and when garbage is collected.

Collections are costly because Keras keeps large object graphs alive. Also delays importing scikit-learn, which only
`bayesian` needs.
"""

from __future__ import annotations

import functools
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: A model is a web of references that only the collector frees. It runs after this many trials, or earlier, once the
#: models of these trials hold this many bytes.
_TRIALS_PER_COLLECTION: Final = 16
_BYTES_PER_COLLECTION: Final = 2**27

#: Bytes of each trial's models since the last collection.
_uncollected: list[int] = []


def keep_private() -> None:
    """Make the files that this process creates (database, messages, models, logs) readable by its user only."""
    os.umask(os.umask(0o077) | 0o077)


@contextmanager
def without_collections() -> Iterator[None]:
    """Switch automatic collections off while many objects are made that live on, or are freed without the collector."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@functools.cache
def freeze_imports() -> None:
    """Exclude what the imports made from collections, once per process: one takes 20 ms then, instead of 400."""
    gc.collect()
    gc.freeze()


def collect_sometimes(model_bytes: int) -> None:
    """Called after each trial, whose models held `model_bytes`: collects once enough trials or bytes have gathered."""
    _uncollected.append(model_bytes)
    if len(_uncollected) >= _TRIALS_PER_COLLECTION or sum(_uncollected) >= _BYTES_PER_COLLECTION:
        _uncollected.clear()
        gc.collect()


@contextmanager
def without_scikit_learn() -> Iterator[None]:
    """Import modules that use scikit-learn only if it is there (Keras, keras-tuner) as if it were not installed.

    Loading it takes a second; `search.oracles.bayesian` imports it itself.
    """
    if "sklearn" in sys.modules:
        yield
        return
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["sklearn"]
