"""All modules of the page as one script: a browser asks once, and a report on its own has everything inside.

Each module becomes a function that is called when it is first needed. The modules are written so that regular
expressions suffice (`tests/dashboard` runs the result): imports and exports stand at the start of a line, nothing is
exported by default, and no module imports itself over others.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, normpath
from typing import Final

FOLDER: Final = Path(__file__).parent

_IMPORT: Final = re.compile(r'^import (\{[^}]*\}|\* as \w+) from "([^"]+)";$', re.MULTILINE)
_RE_EXPORT: Final = re.compile(r'^export \{([^}]*)\} from "([^"]+)";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export ((?:async )?(?:const|class|function\*?) (\w+))", re.MULTILINE)
_LAST_EXPORT: Final = re.compile(r"export\s*\{([^}]*)\};?\s*$")
_LATE_IMPORT: Final = re.compile(r'\bimport\("(\.[^"]+)"\)')
_OWN_ADDRESS: Final = "import.meta.url"

_LOADER: Final = """const done = {};
const $use = (name) => done[name] ??= modules[name]($use, $load);
const $load = async (name) => {
  await Promise.all((needs[name] ?? []).map(async (library) => { done[library] ??= await outside[library](); }));
  return $use(name);
};
"""


@dataclass(frozen=True, slots=True)
class _Module:
    body: str
    imports: tuple[str, ...]  # needed before it runs
    late_imports: tuple[str, ...]


def bundle(entry: str, outside: Collection[str] = (), folder: Path = FOLDER) -> str:
    """One module that runs `entry`, a path from the folder such as `app.js`, and all that it imports.

    The modules named by `outside` stay files of their own, relative to the bundle, and are loaded when a module that
    needs them is imported late. ValueError if modules import each other in a circle.
    """
    modules: dict[str, _Module] = {}
    _collect(entry, outside, folder, modules)
    needs = {name: sorted(_libraries(name, modules, outside)) for name in modules}
    if needs[entry]:
        raise ValueError(
            f"{entry} needs {needs[entry][0]} at once: import it late, or leave it out of `outside`"
        )
    parts = ["const modules = {"]
    parts += [f'"{name}"($use, $load) {{\n{module.body}\n}},' for name, module in modules.items()]
    parts += ["};", "const needs = {"]
    parts += [f'  "{name}": {_strings(libraries)},' for name, libraries in needs.items() if libraries]
    parts += ["};", "const outside = {"]
    parts += [f'  "{name}": () => import("./{name}"),' for name in outside]
    parts += ["};", _LOADER + f'$use("{entry}");', ""]
    return "\n".join(parts)


def _collect(
    name: str,
    outside: Collection[str],
    folder: Path,
    modules: dict[str, _Module],
    above: tuple[str, ...] = (),
) -> None:
    """Read a module and, before it, those that it imports."""
    if name in above:
        raise ValueError(f"modules import each other: {' -> '.join([*above[above.index(name) :], name])}")
    if name in modules or name in outside:
        return
    module = _read(name, (folder / name).read_text(encoding="utf-8"))
    for imported in module.imports:
        _collect(imported, outside, folder, modules, (*above, name))
    modules[name] = module
    for imported in module.late_imports:
        _collect(imported, outside, folder, modules)


def _libraries(name: str, modules: dict[str, _Module], outside: Collection[str]) -> set[str]:
    """What a module and those it imports need from outside."""
    if name in outside:
        return {name}
    return {
        library for imported in modules[name].imports for library in _libraries(imported, modules, outside)
    }


def _read(name: str, text: str) -> _Module:
    """A module as the body of a function that returns what it exports."""
    imports: list[str] = []
    late_imports: list[str] = []
    exported: list[str] = []

    def imported(match: re.Match[str]) -> str:
        names, path = match[1], _resolved(name, match[2])
        imports.append(path)
        target = names[len("* as ") :] if names.startswith("*") else names.replace(" as ", ": ")
        return f'const {target} = $use("{path}");'

    def passed_on(match: re.Match[str]) -> str:
        path = _resolved(name, match[2])
        imports.append(path)
        exported.extend(f'{new}: $use("{path}").{old}' for old, new in _pairs(match[1]))
        return ""

    def declared(match: re.Match[str]) -> str:
        exported.append(match[2])
        return match[1]

    def late(match: re.Match[str]) -> str:
        path = _resolved(name, match[1])
        late_imports.append(path)
        return f'$load("{path}")'

    def last(match: re.Match[str]) -> str:
        exported.extend(f"{new}: {old}" for old, new in _pairs(match[1]))
        return ""

    body = _IMPORT.sub(imported, text)
    body = _RE_EXPORT.sub(passed_on, body)
    body = _EXPORT.sub(declared, body)
    body = _LAST_EXPORT.sub(last, body)
    body = _LATE_IMPORT.sub(late, body)
    body = body.replace(_OWN_ADDRESS, f'new URL("./{name}", {_OWN_ADDRESS}).href')
    return _Module(f"{body}\nreturn {{ {', '.join(exported)} }};", tuple(imports), tuple(late_imports))


def _pairs(names: str) -> list[tuple[str, str]]:
    """`a, b as c` as pairs of the name inside and the one outside."""
    parts = [part.strip().split(" as ") for part in names.split(",") if part.strip()]
    return [(part[0], part[-1]) for part in parts]


def _resolved(name: str, path: str) -> str:
    return normpath(f"{dirname(name)}/{path}").lstrip("/") if dirname(name) else normpath(path)


def _strings(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
