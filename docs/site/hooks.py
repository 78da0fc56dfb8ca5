"""Hooks of the documentation site: pages from outside of `docs`, links between all of them, generated references."""

from __future__ import annotations

import json
import posixpath
import re
import sys
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

import reference  # noqa: E402 -- beside this file, which mkdocs loads by its path

#: File of the repository -> where it is on the site.
OUTSIDE: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "SECURITY.md": "security.md",
    "examples/notebook/README.md": "examples/notebook.md",
    "examples/quickstart.ipynb": "examples/quickstart.md",
}
_LINK: Final = re.compile(r"(?<=\]\()(?!https?:|#|/)([^)\s#]+)")
_RAW: Final = "text/plain"


def on_files(files: Files, config: Any) -> Files:
    """Add the files that are linked, and the references."""
    for source, target in OUTSIDE.items():
        if (ROOT / source).exists():
            files.append(File.generated(config, target, content=_text(ROOT / source)))
    for folder in ("examples", "examples/notebook"):
        for path in sorted((ROOT / folder).glob("*.yaml")):
            files.append(File.generated(config, f"{folder}/{path.name}", content=path.read_text("utf-8")))
    for name in ("docker-compose.yml", "LICENSE"):
        files.append(File.generated(config, name, content=(ROOT / name).read_text("utf-8")))
    for target, content in reference.pages().items():
        files.append(File.generated(config, target, content=content))
    return files


def _text(path: Path) -> str:
    """A file as a page; of a notebook, its cells."""
    text = path.read_text("utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    return "\n\n".join(f"```python\n{source}\n```" if kind == "code" else source for kind, source in cells)


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Point links between files of the repository at their places on the site."""
    here = page.file.src_uri
    sources = {target: source for source, target in OUTSIDE.items()}
    source = sources.get(here, f"docs/{here}")

    def moved(match: re.Match[str]) -> str:
        linked = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        target = OUTSIDE.get(linked, linked.removeprefix("docs/"))
        if target == "decisions" or linked == "docs/decisions":
            target = "decisions/README.md"
        return posixpath.relpath(target, posixpath.dirname(here) or ".")

    return _LINK.sub(moved, markdown)
