"""When Python looks for garbage: models are webs of references, and looking passes over all that Keras has made."""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Trials between two collections: a model is a web of references that only the collector takes apart.
_COLLECT_EVERY: Final = 8

_trials_run = 0


@contextmanager
def without_collections() -> Iterator[None]:
    """Keep the collector from looking while many things are made that live on, or that end without it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@functools.cache
def freeze_imports() -> None:
    """Once per process: spare the collector what the imports made; it takes 20 ms after a trial instead of 400."""
    gc.collect()
    gc.freeze()


def collect_sometimes() -> None:
    """Called after each trial: takes apart what the last few left."""
    global _trials_run
    _trials_run += 1
    if _trials_run % _COLLECT_EVERY == 0:
        gc.collect()
