"""What a notebook shows of a client's answers, if something that draws them is there (`fewbits.notebook`)."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel


@dataclass(frozen=True)
class Origin:
    """Where a view comes from: the client that read it, and the path that it was read from."""

    client: Any
    path: str


#: Draws a view as HTML; None: its plain text is shown.
Drawer = Callable[[Any, Origin], str | None]

_drawers: Final[dict[type[BaseModel], Drawer]] = {}
#: Kept beside the views, which stay values: equal, copied and pickled by their fields alone.
_origins: Final[dict[int, tuple[weakref.ref[Any], str]]] = {}


def draw_with(kind: type[BaseModel], drawer: Drawer) -> None:
    """Let `drawer` draw all views of this class."""
    _drawers[kind] = drawer


def remember(view: Any, client: Any, path: str) -> None:
    """Note where a view comes from, as long as the view lives."""
    if isinstance(view, Drawn):
        _origins[id(view)] = (weakref.ref(client), path)
        weakref.finalize(view, _origins.pop, id(view), None)


class Drawn(BaseModel):
    """A view that notebooks draw."""

    def _repr_html_(self) -> str | None:
        drawer, origin = _drawers.get(type(self)), _origins.get(id(self))
        client = None if origin is None else origin[0]()
        if drawer is None or origin is None or client is None:
            return None
        return drawer(self, Origin(client, origin[1]))
