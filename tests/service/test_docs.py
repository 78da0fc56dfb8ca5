"""Pages that list what the code defines are complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import service.app  # noqa: F401 -- whatever defines errors is loaded
from service.errors import ServiceError
from service.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def errors(kind: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from errors(subclass)


def test_every_type_of_problem_is_listed_with_its_status() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", (DOCS / "problems.md").read_text(), re.MULTILINE)
    defined = {(error.type.removeprefix("urn:fewbits:problem:"), str(error.status)) for error in errors()}
    assert set(rows) == defined
    assert len(rows) == len(set(rows))


def test_types_of_problems_are_stable_names() -> None:
    for error in errors():
        assert re.fullmatch(r"urn:fewbits:problem:[a-z-]+", error.type), error
        assert error.title


def test_every_setting_is_listed() -> None:
    listed = set(re.findall(r"`(FEWBITS_[A-Z_]+)`", (DOCS / "how-to" / "settings.md").read_text()))
    defined = {f"FEWBITS_{name.upper()}" for name in Settings.model_fields}
    ours = {name for name in listed if not re.match("FEWBITS_(TEST_|GOLDEN)", name)}
    assert ours == defined
