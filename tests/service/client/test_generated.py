"""The client without an event loop is what is generated from the one with."""

from __future__ import annotations

from pathlib import Path

from service.client.generate import SOURCE, TARGET, generate


def test_the_generated_client_is_current(tmp_path: Path) -> None:
    generate(tmp_path / "_sync")
    names = {path.name for path in SOURCE.glob("*.py")}
    assert {path.name for path in TARGET.glob("*.py")} == names, "a module that is no longer generated"
    for path in SOURCE.glob("*.py"):
        assert (tmp_path / "_sync" / path.name).read_text() == (TARGET / path.name).read_text(), (
            "run `make client`"
        )
