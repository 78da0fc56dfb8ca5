"""YAML that a user gives, read within limits: a kilobyte of aliases can stand for more values than there is memory."""

from __future__ import annotations

from typing import Any, Final

import yaml

#: Values of a document with every alias counted as often as it is used; as many as the service accepts.
MAX_VALUES: Final = 300_000
MAX_DEPTH: Final = 200
#: Characters of a document.
MAX_CHARACTERS: Final = 64 << 20


def parse_yaml(text: str) -> Any:
    """The value of a YAML document. Raises `yaml.YAMLError` for one that is none, or too large once its aliases are
    replaced, or that contains itself.
    """
    if len(text) > MAX_CHARACTERS:
        raise yaml.YAMLError(f"it has more than {MAX_CHARACTERS} characters")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {}, 0)
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError(f"it is nested more than {MAX_DEPTH} deep") from None
    finally:
        loader.dispose()


def _count(node: yaml.Node, counts: dict[int, int | None], depth: int) -> int:
    """The values below a node, each node counted once and added for each alias of it."""
    key = id(node)
    if key in counts:
        if (count := counts[key]) is None:
            raise yaml.YAMLError("it contains itself: an alias is inside of its anchor")
        return count
    if depth > MAX_DEPTH:
        raise yaml.YAMLError(f"it is nested more than {MAX_DEPTH} deep")
    counts[key] = None
    total = 1
    for child in _children(node):
        total += _count(child, counts, depth + 1)
        if total > MAX_VALUES:
            raise yaml.YAMLError(f"it has more than {MAX_VALUES} values, its aliases replaced")
    counts[key] = total
    return total


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
