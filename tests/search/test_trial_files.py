"""The names of a trial's files are written in one module."""

from __future__ import annotations

import ast
from pathlib import Path

from search import trial_files

ROOT = Path(__file__).parents[2]
NAMES = {value for name, value in vars(trial_files).items() if name.endswith(("_FILE", "_PREFIX"))}

#: A file of the sandbox that has the name of a trial's by chance.
OTHER_FILES = {("worker/sandbox/weights.py", "weights.npz")}


def test_no_other_module_spells_the_name_of_a_trial_file() -> None:
    spelled = {
        (str(path.relative_to(ROOT)), node.value)
        for package in ("search", "service", "worker")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "trial_files.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in NAMES
    }
    assert spelled == OTHER_FILES
