"""JSON merge patches (RFC 7396)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merged(document: Any, patch: Any) -> Any:
    """The document with a merge patch applied: objects are merged, null removes, everything else replaces.

    One rule is added: an object whose `kind` changes is replaced, because its other fields belong to the old kind.
    """
    if not isinstance(patch, Mapping):
        return patch
    if not isinstance(document, Mapping) or _is_another_kind(document, patch):
        document = {}
    result = {name: value for name, value in document.items() if name not in patch}
    for name, value in patch.items():
        if value is not None:
            result[name] = merged(document.get(name), value)
    return result


def _is_another_kind(document: Mapping[str, Any], patch: Mapping[str, Any]) -> bool:
    return "kind" in document and "kind" in patch and document["kind"] != patch["kind"]
