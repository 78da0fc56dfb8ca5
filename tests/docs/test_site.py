"""The documentation site: it builds without a warning, is complete, and loads nothing from other hosts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.spec.job import SearchSpec
from service.cli.main import COMMANDS
from service.settings import Settings

pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")

ROOT = Path(__file__).parents[2]
#: Pages that others lead to.
UNLISTED = {"decisions"}


class _Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, in which functions are named by tags."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def listed(items: Any) -> Iterator[str]:
    """The pages of a navigation."""
    for item in items:
        for value in item.values():
            if isinstance(value, str):
                yield value
            else:
                yield from listed(value)


def test_every_page_is_in_the_navigation() -> None:
    pages = set(listed(yaml.load((ROOT / "mkdocs.yml").read_text(), _Loader)["nav"]))
    present = {
        path.relative_to(ROOT / "docs").as_posix()
        for path in (ROOT / "docs").rglob("*.md")
        if path.parent.name not in UNLISTED
    }
    assert present <= pages


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loads = re.compile(
        r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?https?:|<link[^>]*\shref=["']?https?:"""
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    assert [page.name for page in pages if loads.search(page.read_text("utf-8"))] == []


def test_references_are_complete(site: Path) -> None:
    commands = (site / "reference/command-line.html").read_text("utf-8")
    assert all(f"fewbits {entry.name}" in commands for entry in COMMANDS)
    job = (site / "reference/job.html").read_text("utf-8")
    assert all(f"<code>{name}</code>" in job for name in SearchSpec.model_fields)
    settings = (site / "reference/settings.html").read_text("utf-8")
    assert all(f"FEWBITS_{name.upper()}" in settings for name in Settings.model_fields)
    python = (site / "reference/python.html").read_text("utf-8")
    assert "validation_data" in python
