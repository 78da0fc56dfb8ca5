"""The packages that are released: one version, typed, complete; and the files that a forge looks for."""

from __future__ import annotations

import re
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.packages.release import ROOT, expected_files, image_context, missing

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())


def test_the_version_is_stated_once() -> None:
    version = PROJECT["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_every_package_is_typed_and_in_the_wheel() -> None:
    packages = {
        pattern.rstrip("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    assert packages == {path.parent.name for path in ROOT.glob("*/py.typed")}
    assert PROJECT["tool"]["setuptools"]["package-data"]["*"] == ["py.typed"]


def test_a_wheel_with_other_files_than_the_sources_is_a_fault(tmp_path: Path) -> None:
    names = sorted(expected_files())
    assert "fewbits/py.typed" in names
    assert any(name.startswith("service/dashboard/") for name in names)
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in [*names[1:], "tests/x.py", "fewbits-0.dist-info/METADATA"]:
            archive.writestr(name, "")
    assert missing(wheel) == [
        f"the wheel lacks {names[0]}",
        "the wheel has tests/x.py, which is no part of the product",
    ]


def test_the_images_are_built_from_the_product_and_what_describes_it(tmp_path: Path) -> None:
    context = image_context(tmp_path)
    files = {path.relative_to(context).as_posix() for path in context.rglob("*") if path.is_file()}
    others = {name for name in files - expected_files() if not name.startswith("requirements/")}
    assert others == {"LICENSE", "README.md", "pyproject.toml"}
    assert files > expected_files()


@pytest.mark.parametrize("job", WORKFLOW["jobs"])
def test_a_job_of_the_forge_calls_targets_that_exist(job: str) -> None:
    commands = [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert commands
    assert all(command.split()[0] == "make" and command.split()[1] in targets for command in commands)


def test_every_supported_python_is_tested() -> None:
    versions = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13"]
    assert PROJECT["project"]["requires-python"] == ">=3.11"


@pytest.mark.parametrize("path", [".pre-commit-config.yaml", *map(str, (ROOT / ".github").rglob("*.yml"))])
def test_files_of_the_forge_are_yaml(path: str) -> None:
    assert yaml.safe_load((ROOT / path).read_text())


def test_documents_that_are_linked_exist() -> None:
    for page in ("CONTRIBUTING.md", "README.md"):
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text())
        assert [link for link in links if not (ROOT / link).exists()] == []
