"""fewbits: find the quantizer, bit width and filter count of every layer of a Keras 3 model.

`search` searches a model in one call, `local` starts a service on this machine, `SearchClient` talks to one that runs,
`live` shows a job in a notebook until it has ended, and `load_model` reads what a search produced. The libraries
beneath are `fewbits.layers`, `fewbits.quantizers`, `fewbits.cost` and `fewbits.export`. Importing this package loads
none of them: each name is loaded at its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from fewbits.shadowing import CLIENT_ROOMS, refuse_shadows

if TYPE_CHECKING:
    from fewbits.local_service import LocalService, local
    from fewbits.model_search import SearchResult, load_model, search
    from fewbits.progress import live
    from service.client import AsyncSearchClient, ClientError, Invalid, Refused, SearchClient

__all__ = [
    "AsyncSearchClient",
    "ClientError",
    "Invalid",
    "LocalService",
    "Refused",
    "SearchClient",
    "SearchResult",
    "__version__",
    "live",
    "load_model",
    "local",
    "search",
]

#: Public name -> module that defines it.
_MODULES: Final = {
    "AsyncSearchClient": "service.client",
    "ClientError": "service.client",
    "Invalid": "service.client",
    "LocalService": "fewbits.local_service",
    "Refused": "service.client",
    "SearchClient": "fewbits.notebooks",
    "SearchResult": "fewbits.model_search",
    "live": "fewbits.progress",
    "load_model": "fewbits.model_search",
    "local": "fewbits.local_service",
    "search": "fewbits.model_search",
}
_LIBRARIES: Final = ("cost", "export", "layers", "quantizers")


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    if name == "__version__":
        from importlib.metadata import version

        return version("fewbits")
    if name in _LIBRARIES:
        return import_module(f"fewbits.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module 'fewbits' has no attribute {name!r}")
    refuse_shadows(CLIENT_ROOMS)
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_LIBRARIES})
