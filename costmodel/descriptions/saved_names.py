"""Under which names Keras saves the weights of a described model's layers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from costmodel.descriptions.operators import is_operator
from costmodel.descriptions.place import Path


class SavedNames:
    """The paths of layers in a file of weights: by class and number, not by name, models inside models too."""

    def __init__(self, body: Mapping[str, Any], root: Path) -> None:
        """`body`: the part of a description that lists the layers; `root`: where it stands."""
        self._body, self._root = body, root
        self._listed: dict[Path, list[str]] = {}

    def of(self, path: Path) -> str:
        """The path of the layer that stands at a place of the description."""
        node: Any = self._body
        parts: list[str] = []
        steps = list(path[len(self._root) :])
        done: Path = ()
        while steps:
            step = steps.pop(0)
            done = (*done, step)
            if step == "layers" and steps:
                index = steps.pop(0)
                parts += ["layers", self._names(done, node["layers"])[int(index)]]
                node, done = node["layers"][index], (*done, index)
            else:
                parts += ["layer"] if step == "layer" else []
                node = node[step]
        return "/".join(parts)

    def _names(self, place: Path, items: Sequence[Any]) -> list[str]:
        if place not in self._listed:
            self._listed[place] = list(numbered([_class_name(item) for item in items]))
        return self._listed[place]


def numbered(class_names: Sequence[str | None]) -> Iterator[str]:
    """What Keras calls layers of these classes in a file, those of one class counted; None: it calls it nothing."""
    counts: dict[str, int] = {}
    for class_name in class_names:
        if class_name is None:
            yield ""
            continue
        name = _snake_case(class_name)
        number = counts[name] = counts.get(name, -1) + 1
        yield f"{name}_{number}" if number else name


def _class_name(item: Any) -> str | None:
    class_name = item.get("class_name") if isinstance(item, Mapping) else None
    return class_name if isinstance(class_name, str) and not is_operator(item) else None


def _snake_case(name: str) -> str:
    """As Keras writes names of classes."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
