"""The supply chain: every package that is installed has a version and hashes, for each extra."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)==([^\s;]+)")


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    """The versions that are known to work together."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return {normal(match[1]): match[2] for line in lines if (match := REQUIREMENT.match(line))}


def hashed(extra: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of every package of an extra."""
    packages: dict[str, tuple[str, int]] = {}
    for block in re.split(r"\n(?=\S)", (ROOT / "requirements" / f"{extra}.txt").read_text()):
        if match := REQUIREMENT.match(block):
            packages[normal(match[1])] = match[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block))
    return packages


def direct(extra: str) -> set[str]:
    """The packages that an extra names itself."""
    lists = [PROJECT["dependencies"], PROJECT["optional-dependencies"].get(extra, [])]
    names = {normal(re.split(r"[\[<>=;! ]", entry)[0]) for entries in lists for entry in entries}
    return names - {"fewbits"}


#: qkeras-v3 asks for an optimization toolkit whose versions exclude the locked NumPy.
UNLOCKED = {"qkeras"}


@pytest.mark.parametrize("extra", ["api", *sorted(PROJECT["optional-dependencies"].keys() - UNLOCKED)])
def test_every_package_of_an_extra_has_hashes_and_the_locked_version(extra: str) -> None:
    packages, versions = hashed(extra), locked()
    assert direct(extra) <= packages.keys(), "run `make locks`"
    assert all(count > 0 for _, count in packages.values())
    assert {name: version for name, (version, _) in packages.items()} == {
        name: versions[name] for name in packages
    }, "run `make locks`"


def test_all_that_these_packages_need_has_hashes() -> None:
    """As far as it is installed here, followed from package to package."""
    pending, seen = [(name, "") for name in direct("dev")], set()
    while pending:
        name, extra = pending.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            needs = requires(name) or []
        except PackageNotFoundError:
            continue
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                pending += [(normal(need.name), other) for other in ("", *need.extras)]
    assert len(seen) > 80
    assert {name for name, _ in seen} <= hashed("dev").keys(), "run `make locks`"


def test_the_lock_itself_has_no_hashes() -> None:
    """As constraints they would demand hashes of everything, also of fewbits itself."""
    assert "--hash" not in (ROOT / "requirements.lock").read_text()


def test_images_are_built_from_what_has_hashes() -> None:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    installs = [part for line in lines if "pip install" in line for part in line.split("&&")]
    assert len(installs) == 4
    assert all("--require-hashes" in part or "--no-deps --no-build-isolation" in part for part in installs)


def test_no_password_has_a_default_and_the_broker_is_free_software() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert re.findall(r"\$\{[A-Z_]*PASSWORD:-", text) == []
    assert text.count("_PASSWORD:?") == 5
    assert "image: redis" not in text


def test_the_threat_model_names_modules_that_exist() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    paths = re.findall(r"`([a-z_]+/[a-z_/]+(?:\.py)?)`", text)
    assert len(paths) > 8
    assert [path for path in paths if not (ROOT / path).exists()] == []
