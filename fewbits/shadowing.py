"""Files of a user that Python imports in place of our packages: the folder of a script comes first where it looks."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

#: The packages beneath this one.
ROOMS: Final = ("costmodel", "migrations", "quantization", "search", "service", "worker")
#: What quantized models need of them, and what everything else in a user's process needs.
MODEL_ROOMS: Final = ("costmodel", "quantization")
CLIENT_ROOMS: Final = (*MODEL_ROOMS, "search", "service")

_ROOT: Final = Path(__file__).resolve().parents[1]


def refuse_shadows(rooms: tuple[str, ...]) -> None:
    """Raise ImportError if one of these packages is, or would be, imported from elsewhere; it names both places."""
    shadows = {room: place for room in rooms if (place := _elsewhere(room)) is not None}
    if not shadows:
        return
    places = "; ".join(f"{place} in place of the package {room!r}" for room, place in shadows.items())
    raise ImportError(
        f"fewbits cannot be used here: Python imports {places} (of {_ROOT}), since it looks first in the folder of the"
        f" script, in the current folder, or in PYTHONPATH. Rename {', '.join(map(str, shadows.values()))};"
        " or, if your script imports no file beside it, run it with `python -P`",
        name=next(iter(shadows)),
        path=str(next(iter(shadows.values()))),
    )


def _elsewhere(room: str) -> Path | None:
    """Where a package of this name comes from, unless it is ours or is missing."""
    try:
        spec = find_spec(room)
    except ValueError:  # a module that was put together by hand says nothing of its place
        path = getattr(sys.modules[room], "__file__", None)
    else:
        # A folder without `__init__.py` takes the place of nothing.
        path = None if spec is None or not spec.has_location else spec.origin
    if path is None:
        return None
    place = Path(path).resolve()
    if place == _ROOT / room / "__init__.py":
        return None
    return place.parent if place.name == "__init__.py" else place
