"""Puts the sources of a small distribution together: the modules that its package imports, under its own name."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
#: Packages of this repository whose modules may become part of a distribution.
SOURCES: Final = ("costmodel", "quantization", "search", "service", "fewbits", "tools")


class CannotAssemble(ValueError):
    """A module imports its own packages in a way that cannot be renamed; the message says where and how to write it."""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A distribution that is built from modules of this repository.

    `public`: module of the package, "" for the package itself -> module of this repository that is it; whatever they
    import comes along. `replaced`: a package that the distribution does without -> module that takes its place.
    `data`: further files, as globs of paths in the repository. `folder`: has its README.md. `extras`: optional
    dependencies; `tried_with`: those that a release is tried with.
    """

    name: str
    package: str
    description: str
    folder: Path
    public: Mapping[str, str]
    dependencies: tuple[str, ...]
    replaced: Mapping[str, str] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tried_with: str = ""
    scripts: Mapping[str, str] = field(default_factory=dict)
    is_typed: bool = True


def assemble(distribution: Distribution, folder: Path) -> tuple[Path, ...]:
    """Write the source tree of a distribution into an empty folder; returns the modules' paths, relative to it."""
    paths = [
        _write(folder / distribution.package / _place(distribution, module), _renamed(distribution, module))
        for module in sorted(modules(distribution))
    ]
    for pattern in distribution.data:
        for path in sorted(ROOT.glob(pattern)):
            target = folder / distribution.package / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    if distribution.is_typed:
        (folder / distribution.package / "py.typed").write_text("")
    shutil.copyfile(distribution.folder / "README.md", folder / "README.md")
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
    (folder / "pyproject.toml").write_text(project_file(distribution))
    return tuple(path.relative_to(folder) for path in paths)


def build(distribution: Distribution, outdir: Path, *, is_isolated: bool = True) -> list[Path]:
    """Build wheel and sdist of a distribution; the files' paths. CalledProcessError if the build fails."""
    options = [] if is_isolated else ["--no-isolation"]
    with tempfile.TemporaryDirectory(prefix=f"{distribution.name}-") as folder:
        assemble(distribution, Path(folder))
        command = [sys.executable, "-m", "build", *options, "--outdir", str(outdir.resolve()), folder]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    return sorted(outdir.glob(f"{distribution.package}-*"))


def project_file(distribution: Distribution) -> str:
    """The pyproject.toml of a distribution; version and Python are those of fewbits."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    scripts = [f"{name} = {json.dumps(target)}" for name, target in distribution.scripts.items()]
    extras = [f"{name} = {json.dumps(list(packages))}" for name, packages in distribution.extras.items()]
    return "\n".join(
        [
            "[build-system]",
            'requires = ["setuptools>=77"]',
            'build-backend = "setuptools.build_meta"',
            "",
            "[project]",
            f"name = {json.dumps(distribution.name)}",
            f"version = {json.dumps(project['version'])}",
            f"description = {json.dumps(distribution.description)}",
            'readme = "README.md"',
            f"requires-python = {json.dumps(project['requires-python'])}",
            f"license = {json.dumps(project['license'])}",
            'license-files = ["LICENSE"]',
            f"dependencies = {json.dumps(list(distribution.dependencies))}",
            *(["", "[project.scripts]", *scripts] if scripts else []),
            *(["", "[project.optional-dependencies]", *extras] if extras else []),
            "",
            "[tool.setuptools.packages.find]",
            f'include = ["{distribution.package}*"]',
            "",
            "[tool.setuptools.package-data]",
            '"*" = ["*"]',
            "",
        ]
    )


def modules(distribution: Distribution) -> set[str]:
    """The modules of this repository that a distribution is made of: its public ones, and all that they import."""
    waiting = list(distribution.public.values())
    reached: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in reached:
            continue
        reached.add(module)
        parents = module.split(".")
        if module not in distribution.public.values():
            waiting += [".".join(parents[:count]) for count in range(1, len(parents))]
        waiting += _imported(distribution, module)
    return reached


def _imported(distribution: Distribution, module: str) -> Iterator[str]:
    for node in _imports(ast.parse(_source(module).read_text())):
        if isinstance(node, ast.Import):
            yield from (
                distribution.replaced[name.name] for name in node.names if name.name in distribution.replaced
            )
            continue
        name = distribution.replaced.get(node.module or "", node.module or "")
        if name.partition(".")[0] in SOURCES:
            yield name
            yield from (
                f"{name}.{alias.name}" for alias in node.names if _source_or_none(f"{name}.{alias.name}")
            )


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import of a module, those for type checkers left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        else:
            yield from _imports(child)


def _renamed(distribution: Distribution, module: str) -> str:
    """The text of a module whose imports name the distribution's package."""
    path = _source(module)
    lines = path.read_text().splitlines(keepends=True)
    for node in ast.walk(ast.parse("".join(lines))):
        names = _names(node)
        own = [name for name in names if name in distribution.replaced or name.partition(".")[0] in SOURCES]
        if not own:
            continue
        if isinstance(node, ast.Import):
            raise CannotAssemble(
                f"{path.relative_to(ROOT)}:{node.lineno}: write `from package import name`, not `import {own[0]}`"
            )
        assert isinstance(node, ast.ImportFrom)
        target = _module_in(distribution, distribution.replaced.get(own[0], own[0]))
        lines[node.lineno - 1] = lines[node.lineno - 1].replace(f"from {own[0]} ", f"from {target} ", 1)
    return "".join(lines)


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def _module_in(distribution: Distribution, module: str) -> str:
    """A module of this repository by its name in the distribution."""
    for name, source in distribution.public.items():
        if source == module:
            return f"{distribution.package}.{name}" if name else distribution.package
    return f"{distribution.package}.{module}"


def _place(distribution: Distribution, module: str) -> Path:
    """Where a module lies in the distribution's package."""
    parts = _module_in(distribution, module).split(".")[1:]
    is_package = _source(module).name == "__init__.py" or not parts
    return Path(*parts, "__init__.py") if is_package else Path(*parts).with_suffix(".py")


def _source(module: str) -> Path:
    path = _source_or_none(module)
    if path is None:
        raise CannotAssemble(f"{module} is no module of this repository")
    return path


def _source_or_none(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split("."))
    paths = (place / "__init__.py", place.with_suffix(".py"))
    return next((path for path in paths if path.is_file()), None)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
