"""Files of a user that are called like our packages: what Python lets us prevent works, and the rest is explained."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import search
from fewbits import shadowing
from fewbits.shadowing import CLIENT_ROOMS, MODEL_ROOMS, ROOMS, refuse_shadows
from tests.packages.release import ROOT

#: How a user's thing may be called like a package of ours.
KINDS = ("file", "package", "plain folder")


def place(folder: Path, name: str, kind: str) -> Path:
    """Put something of the user's into the folder; the path that has to be renamed."""
    if kind == "file":
        path = folder / f"{name}.py"
        path.write_text("x = 1")
        return path
    path = folder / name
    path.mkdir()
    (path / ("__init__.py" if kind == "package" else "data.csv")).write_text("")
    return path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.fixture
def first_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where Python looks first, before any of our packages was imported."""
    monkeypatch.syspath_prepend(tmp_path)
    for room in ROOMS:
        monkeypatch.delitem(sys.modules, room, raising=False)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("room", ROOMS)
def test_what_is_imported_in_place_of_a_package_is_named(first_on_path: Path, room: str, kind: str) -> None:
    path = place(first_on_path, room, kind)
    if kind == "plain folder":  # Python prefers a package further on
        refuse_shadows(ROOMS)
        return
    with pytest.raises(ImportError, match=r"Rename .*python -P") as refused:
        refuse_shadows(ROOMS)
    assert f"{path} in place of the package {room!r}" in str(refused.value)
    assert (refused.value.name, refused.value.path) == (room, str(path))
    refuse_shadows(tuple(name for name in ROOMS if name != room))


def test_what_was_imported_already_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stranger = type(search)("search")
    stranger.__file__ = str(tmp_path / "search.py")
    monkeypatch.setitem(sys.modules, "search", stranger)
    with pytest.raises(ImportError, match=r"search\.py in place of the package 'search'"):
        refuse_shadows(CLIENT_ROOMS)
    refuse_shadows(MODEL_ROOMS)


def test_the_packages_are_those_of_the_project() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    assert {*ROOMS, "fewbits"} == {name.rstrip("*") for name in packages["include"]}
    assert set(MODEL_ROOMS) < set(CLIENT_ROOMS) < set(ROOMS)
    assert Path(shadowing.__file__).parents[1] == ROOT


@pytest.mark.parametrize(
    ("room", "statement"),
    [
        ("service", "fewbits.SearchClient"),
        ("search", "fewbits.search"),
        ("costmodel", "import fewbits.layers"),
        ("quantization", "import fewbits.quantizers"),
        ("quantization", "import fewbits.export"),
        ("search", "import fewbits.cost"),
    ],
)
def test_a_script_beside_such_a_file_says_what_to_rename(tmp_path: Path, room: str, statement: str) -> None:
    path = place(tmp_path, room, "file")
    (tmp_path / "script.py").write_text(f"import fewbits\n{statement}\n")
    done = run(tmp_path, "script.py")
    assert done.stderr.splitlines()[-1].startswith("ImportError: fewbits cannot be used here")
    assert str(path) in done.stderr


def test_such_a_script_works_where_python_does_not_look_beside_it(tmp_path: Path) -> None:
    for room in CLIENT_ROOMS:
        place(tmp_path, room, "file")
    (tmp_path / "script.py").write_text("import fewbits\nprint(fewbits.SearchClient.__name__)\n")
    assert run(tmp_path, "-P", "script.py").stdout == "SearchClient\n"


def test_a_script_that_is_called_like_a_package_says_so(tmp_path: Path) -> None:
    (tmp_path / "search.py").write_text("import fewbits\nprint('once')\nfewbits.search\n")
    done = run(tmp_path, "search.py")
    assert done.stdout == "once\n"
    assert f"Python imports {tmp_path / 'search.py'}" in done.stderr


def test_a_file_that_the_users_process_does_not_need_is_no_obstacle(tmp_path: Path) -> None:
    for name in ("worker", "migrations"):
        place(tmp_path, name, "file")
    (tmp_path / "script.py").write_text(
        "import fewbits, fewbits.cost\nprint(fewbits.SearchClient.__name__)\n"
    )
    assert run(tmp_path, "script.py").stdout == "SearchClient\n"


def test_the_command_line_as_a_module_imports_nothing_of_the_current_folder(shadows: Path) -> None:
    for name in (
        "json",
        "logging",
        "platform",
        "typing",
    ):  # Python itself stumbles over these before fewbits starts
        (shadows / f"{name}.py").unlink()
    done = run(shadows, "-m", "fewbits", "cost", "jet_mlp")
    assert done.returncode == 0, done.stderr
