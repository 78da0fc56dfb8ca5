"""When Python looks for garbage: models are webs of references, and looking passes over all that Keras has made."""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: A model is a web of references that only the collector takes apart. What may wait for it: so many trials, whose
#: models hold no more than so many bytes.
_TRIALS_LEFT: Final = 16
_BYTES_LEFT: Final = 2**27

_left: list[int] = []


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


def collect_sometimes(held_bytes: int) -> None:
    """Called after each trial, whose models held so much: takes apart what the last few left."""
    _left.append(held_bytes)
    if len(_left) >= _TRIALS_LEFT or sum(_left) >= _BYTES_LEFT:
        _left.clear()
        gc.collect()
