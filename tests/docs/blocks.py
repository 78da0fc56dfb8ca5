"""The blocks of code in README and the pages: where each one is run, and those that cannot be run in a test."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

#: Page and beginning of a block -> why no test runs it.
NOT_RUN: Final = {
    ("README.md", "make demo"): "installs the packages; tests/packages checks that the targets exist",
    ("CONTRIBUTING.md", "make test"): "runs the tests",
    ("docs/architecture.md", "fewbits > worker"): "a picture; the import contract checks it",
    ("docs/how-to/production.md", "export POSTGRES"): "needs Docker; tests/service/test_deployment.py",
    ("docs/how-to/production.md", "large_client_header"): "needs nginx",
    ("examples/notebook/README.md", ".venv/bin/python"): "trains for half an hour; `make figures` does",
}

#: Page and beginning of a block that needs another process with Keras -> the test that does the same in less time.
#: FEWBITS_TEST_ALL_BLOCKS=1 runs them, too; otherwise their commands are only parsed.
SLOW: Final = {
    ("docs/exports.md", "fewbits export"): "tests/worker/test_exports.py",
    ("docs/exports.md", "from quantization"): "tests/exports/contract.py",
    ("docs/how-to/analysis.md", "fewbits rerun"): "tests/worker/test_rerun.py",
    ("docs/how-to/analysis.md", "fewbits bundle"): "tests/service/cli/test_bundle.py",
    ("docs/how-to/export-integers.md", "fewbits export"): "tests/exports/test_integers.py",
    ("docs/how-to/export-keras.md", "fewbits export"): "tests/exports/test_keras.py",
}

#: Page -> the test that runs its blocks of Python; `>>>` shows the answers.
ELSEWHERE: Final = {
    "docs/fixed-point.md": "tests/quantization/integer/test_fixed_point.py",
    "docs/xylo.md": "tests/quantization/spiking/test_spiking.py",
}
#: Blocks of the how-tos of exports below a heading that begins so are run by tests/exports/test_how_to.py.
PREDICT: Final = "## Predict"


@dataclass(frozen=True)
class Block:
    """A block of code. `line`: of its first line in the page; `heading`: the one above it."""

    page: str
    line: int
    language: str
    text: str
    heading: str

    def is_in(self, table: Collection[tuple[str, str]]) -> bool:
        """Whether a table names it by its page and its beginning."""
        return any(self.page == page and self.text.startswith(start) for page, start in table)

    @property
    def is_run_elsewhere(self) -> bool:
        """Whether another test runs it."""
        is_doctest = self.page in ELSEWHERE and self.text.startswith(">>>")
        is_prediction = self.page.startswith(
            ("docs/how-to/export-", "docs/exports.md")
        ) and self.heading.startswith(PREDICT)
        return is_doctest or is_prediction


def blocks() -> Iterator[Block]:
    """All blocks of the documentation, in the order of the pages."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    for folder in ("docs", "examples"):
        pages += sorted((ROOT / folder).rglob("*.md"))
    for page in pages:
        yield from of_page(page.relative_to(ROOT).as_posix(), page.read_text("utf-8"))


def of_page(name: str, text: str) -> Iterator[Block]:
    """The blocks of one page."""
    heading = ""
    pattern = re.compile(
        r"^(?P<heading>#+ [^\n]*)$|^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)\n^```$", re.M | re.S
    )
    for match in pattern.finditer(text):
        if match["heading"] is not None:
            heading = match["heading"]
        else:
            line = text.count("\n", 0, match.start("text")) + 1
            yield Block(name, line, match["language"], match["text"], heading)
