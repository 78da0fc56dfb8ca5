"""What can be wrong with an export, named by what the caller must do.

```
ExportError
├── UnknownFormat     choose one of the formats there are
├── InvalidOption     mend an option of the format
├── ExportRefused     change the network or its quantizers, or choose another format: `refusals` name the layers
├── MissingPackage    install what the message says, on the machine that exports
├── RunFailed         the format's own runtime did not take what was written
└── NotExact          a format that promises the model's own numbers gave others
```
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from quantization.errors import QuantizationError

if TYPE_CHECKING:  # what runs an export may be an environment with numpy alone
    from quantization.export.legality.base import Refusal


class ExportError(QuantizationError):
    """A model that was not exported, or not as promised."""


class UnknownFormat(ExportError):
    """No format has this name, or it is one of networks of another kind: `networks`."""

    def __init__(self, name: str, formats: Iterable[str], networks: str | None = None) -> None:
        listed = ", ".join(formats)
        kinds = {"layers": "networks of layers", "spiking": "spiking networks"}
        super().__init__(
            f"no export format is called {name!r}; formats: {listed}"
            if networks is None
            else f"format {name!r} is for {kinds[networks]}; formats of this network: {listed}"
        )


class InvalidOption(ExportError):
    """An option of a format that does not exist, or a value that it does not take: `option`."""

    def __init__(self, option: str, reason: str) -> None:
        self.option = option
        super().__init__(reason)


class ExportRefused(ExportError):
    """A format cannot express the model: `refusals` name each layer, the reason and the remedy."""

    def __init__(self, name: str, refusals: Sequence[Refusal]) -> None:
        self.format = name
        self.refusals = tuple(refusals)
        super().__init__(f"{name}: " + "; ".join(str(refusal) for refusal in self.refusals))


class NotExpressible(ValueError):
    """A layer that a writer cannot express: `layer`, `reason`. Subclasses name their format in `written`."""

    written: ClassVar[str] = ""

    def __init__(self, layer: str, reason: str) -> None:
        self.layer = layer
        self.reason = reason
        super().__init__(f"layer {layer!r} cannot be written {self.written}: {reason}")


class MissingPackage(ExportError):
    """A package or program that a format needs is not installed."""


class RunFailed(ExportError):
    """The runtime of a format refused or crashed on what was written."""


class NotExact(ExportError):
    """A format that promises equality computed other numbers, and no layer says why."""
