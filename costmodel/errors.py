"""Errors of the cost model, named by what the caller must change.

```
CostError
├── InvalidNetwork          the network's description must be corrected: which layer, which field, why
│   ├── UnsupportedLayer    this class of layer has no price; the supported ones are listed
│   └── InvalidDescription  something in the description is not allowed, and where it stands
├── InvalidTypes            the data types given for a layer cannot be priced
├── InvalidSettings         a setting is out of range
└── InvalidProfile          an energy profile is unknown or malformed
```
"""

from __future__ import annotations

from collections.abc import Iterable


class CostError(ValueError):
    """Something the caller can correct; the message says what and where."""


class InvalidNetwork(CostError):
    """The description of a network cannot be used: `layer` (or "" for the whole), `field`, `reason`."""

    def __init__(self, layer: str, field: str, reason: str) -> None:
        self.layer = layer
        self.field = field
        self.reason = reason
        where = f"layer {layer!r}" if layer else "the model"
        super().__init__(f"{where}, {field}: {reason}" if field else f"{where}: {reason}")


class UnsupportedLayer(InvalidNetwork):
    """No price is known for a class of layer; `supported` lists those that have one."""

    def __init__(self, layer: str, class_name: str, supported: Iterable[str], hint: str = "") -> None:
        self.class_name = class_name
        self.supported = tuple(sorted(supported))
        reason = f"{class_name} has no price" + (f" ({hint})" if hint else "")
        super().__init__(layer, "", f"{reason}; supported: {', '.join(self.supported)}")


class InvalidDescription(InvalidNetwork):
    """Something in the description of a network is not allowed: `path`, the steps from the document's root to it."""

    def __init__(self, layer: str, field: str, reason: str, path: tuple[str | int, ...]) -> None:
        self.path = path
        super().__init__(layer, field, reason)


class InvalidTypes(CostError):
    """The data types given for `layer` cannot be priced: `reason` says which slot and why."""

    def __init__(self, layer: str, reason: str) -> None:
        self.layer = layer
        self.reason = reason
        super().__init__(f"layer {layer!r}: {reason}")


class InvalidSettings(CostError):
    """A setting is out of range: `field`, `reason`."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


class InvalidProfile(CostError):
    """An energy profile is unknown or malformed: `profile`, `reason`, which names the `field` ("sram.points")."""

    def __init__(self, profile: str, reason: str, field: str = "") -> None:
        self.profile = profile
        self.reason = reason
        self.field = field
        super().__init__(f"profile {profile!r}: {reason}")
