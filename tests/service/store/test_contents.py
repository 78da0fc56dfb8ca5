"""The docstring of the store is its table of contents: it lists every module."""

from __future__ import annotations

import pkgutil
import re

from service import store


def test_the_table_of_contents_lists_every_module() -> None:
    modules = {module.name for module in pkgutil.iter_modules(store.__path__)}
    contents = store.__doc__ or ""
    listed = set(re.findall(r"^    (\w+) {2,}\S", contents, re.MULTILINE))
    listed |= set(re.findall(r"\w+_models", contents))
    assert listed == modules
