"""What can be wrong with a request to the layer libraries, named by what the caller must change.

```
QuantizationError
├── UnsupportedModel    the model's description must be mended: a layer, class or object that is not allowed
├── UnknownLayer        the assignment names a layer the model does not have
└── UnknownSlot         the assignment names a slot the layer does not have, or a layer that cannot be quantized
```
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class QuantizationError(ValueError):
    """Something the caller can mend; the message says which layer and what is allowed."""


class UnsupportedModel(QuantizationError):
    """A model's description holds something that is not allowed: `layer` ("" for the whole), `reason`."""

    def __init__(self, layer: str, reason: str) -> None:
        self.layer = layer
        self.reason = reason
        super().__init__(f"layer {layer!r}: {reason}" if layer else f"the model: {reason}")


class UnknownLayer(QuantizationError):
    """No layer has this name; `known` lists those there are."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(known)
        close = difflib.get_close_matches(name, self.known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        super().__init__(f"no layer is called {name!r}; {hint}layers: {', '.join(self.known)}")


class UnknownSlot(QuantizationError):
    """A layer lacks this slot; `allowed` lists those it has."""

    def __init__(self, layer: str, class_name: str, slot: str, allowed: Iterable[str]) -> None:
        self.layer = layer
        self.slot = slot
        self.allowed = tuple(allowed)
        listed = ", ".join(self.allowed) or "none"
        super().__init__(f"layer {layer!r} ({class_name}) has no slot {slot!r}; its slots: {listed}")
