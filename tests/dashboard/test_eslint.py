"""The dashboard's modules keep the rules of `eslint.config.mjs`, where there is an ESLint."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
INSTALLED = REPOSITORY / "var" / "eslint" / "node_modules" / ".bin" / "eslint"

#: Breaks one rule a line: a name that is not there, HTML of a string, an unused value, two names for one thing.
FAULTY = """export const shout = (text) => text.toUppercase() + misspelt;
export const draw = (element, text) => { element.innerHTML = text; };
export const size = (rows) => { const count = rows.length; return rows; };
export const twice = (text) => [text].map((text) => text);
"""


def eslint() -> str | None:
    """ESLint: FEWBITS_TEST_ESLINT, the one that `make eslint` installs, or the one on the path."""
    named = os.environ.get("FEWBITS_TEST_ESLINT") or (str(INSTALLED) if INSTALLED.exists() else None)
    return named or shutil.which("eslint")


def messages(*paths: str, content: str | None = None) -> list[dict[str, Any]]:
    """What ESLint says of these paths, or of `content` as if it stood at the path."""
    command = eslint()
    if command is None:
        pytest.skip("no ESLint: make eslint installs one, FEWBITS_TEST_ESLINT names another")
    options = ["--format", "json", "--no-warn-ignored"]
    arguments = ["--stdin", "--stdin-filename", *paths] if content is not None else list(paths)
    done = subprocess.run(
        [command, *options, *arguments],
        cwd=REPOSITORY,
        input=content,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    files: list[dict[str, Any]] = json.loads(done.stdout)
    return [message | {"file": file["filePath"]} for file in files for message in file["messages"]]


def test_every_module_keeps_the_rules() -> None:
    assert [
        f"{Path(message['file']).relative_to(REPOSITORY)}:{message['line']} {message['ruleId']}: {message['message']}"
        for message in messages("service/dashboard", "tests/dashboard", "eslint.config.mjs")
    ] == []


def test_the_rules_find_what_they_are_for() -> None:
    rules = {
        (message["line"], message["ruleId"])
        for message in messages("service/dashboard/lib/faulty.js", content=FAULTY)
    }
    assert {
        (1, "no-undef"),
        (2, "no-restricted-properties"),
        (3, "no-unused-vars"),
        (4, "no-shadow"),
    } <= rules
