"""The house's rules that no other tool checks: budgets of files and functions, no circles, names, docstrings.

Which room may import which is in pyproject.toml, for import-linter.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import grimp
import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("fewbits", "service", "worker", "search", "quantization", "costmodel")

MAX_FILE_LINES: Final = 400
MAX_FUNCTION_LINES: Final = 60
MAX_P90_FUNCTION_LINES: Final = 30

#: Participles and pronouns that say nothing of what a variable is.
VAGUE_NAMES: Final = frozenset(
    ["found", "each", "told", "held", "given", "known", "kept", "own", "asked", "wanted", "made"]
)
MAX_VAGUE_SHARE: Final = 0.005

#: Module -> what its functions import when they are called, and why. Everything else is imported at the top.
LATE_IMPORTS: Final[Mapping[str, tuple[str, ...]]] = {
    # a backend of Keras: only the one in use is loaded
    "quantization/quantizers/backend.py": (
        "jax",
        "tensorflow",
    ),
    "quantization/switching/quantizer.py": ("tensorflow",),
    "quantization/switching/switch_case.py": ("tensorflow",),
    "search/training/metrics.py": ("tensorflow",),
    "search/training/program/backend.py": (
        "jax",
        "tensorflow",
    ),
    "search/training/program/cache.py": ("search.training.program.jax",),
    "search/training/program/jax.py": ("jax",),
    "search/training/program/variables.py": ("tensorflow",),
    "search/training/program/vmap.py": ("jax",),
    # private names of Keras, which another version may not have
    "search/training/artifacts.py": (
        "keras.src.backend.common",
        "keras.src.saving",
    ),
    # the public package loads what is used
    "fewbits/__init__.py": ("importlib.metadata",),
    "fewbits/model_search.py": ("fewbits.layers", "keras"),
    "fewbits/progress.py": ("IPython.display",),
    # the extra `s3`
    "service/store/blob_stores.py": ("service.store.s3_blobs",),
    # packages that a server may lack, and that only the process in the sandbox loads
    "search/uploads/sandbox/images.py": ("PIL",),
    "search/uploads/sandbox/reader.py": (
        "PIL.BmpImagePlugin",
        "PIL.JpegImagePlugin",
        "PIL.PngImagePlugin",
        "PIL.WebPImagePlugin",
        "pyarrow.csv",
        "pyarrow.parquet",
    ),
    "search/uploads/sandbox/tables.py": ("pyarrow",),
    # loads scikit-learn, which no other oracle needs
    "search/oracles/__init__.py": ("search.oracles.bayesian",),
    # loads Keras, which the module's other callers do without
    "search/trial_runners.py": (
        "search.training.evaluate",
        "search.training.exporting",
        "search.training.polish",
        "search.training.trial",
    ),
    "worker/advance.py": ("search.schedules.propose",),
    "worker/final_training.py": (
        "search.training.evaluate",
        "search.training.trial",
    ),
    "worker/float_model.py": ("search.training.trial",),
    "worker/job_process.py": (
        "search.engine",
        "search.training.trial",
    ),
    "worker/sensitivity.py": ("search.training.sensitivity",),
    "worker/tasks.py": ("search.training.program.jax",),
    "worker/uploads.py": ("search.training.uploaded_weights",),
    # an optional package, or one for developers
    "service/client/generate.py": ("unasync",),
    "service/client/frame.py": ("pandas",),
    "service/views/columns.py": (
        "pyarrow",
        "pyarrow.parquet",
    ),
    "service/observability/tracing.py": (
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry.sdk.resources",
        "opentelemetry.sdk.trace",
        "opentelemetry.sdk.trace.export",
    ),
    # a tenth of a second of imports that most processes are spared
    "service/auth/buckets.py": ("redis",),
    "service/queue.py": ("celery", "kombu.transport"),
    "service/store/migrate.py": (
        "alembic",
        "alembic.config",
    ),
    "service/store/session.py": (
        "service.store.postgres",
        "sqlalchemy.dialects.postgresql",
        "sqlalchemy.dialects.sqlite",
    ),
    "service/cli/__init__.py": ("service.cli.main",),
    "service/cli/lazy_group.py": ("rich.markup",),
    "service/cli/start_up.py": (
        "pydantic",
        "service.store.migrate",
        "sqlalchemy.exc",
    ),
    "service/cli/pages.py": ("jinja2",),
    "service/cli/report.py": ("yaml",),
    "service/cli/serving.py": ("service.app",),
    # settings of the process come first: signals, environment, limits
    "worker/__main__.py": (
        "celery.signals",
        "worker.app",
        "worker.runtime",
        "worker.sweep",
    ),
    "worker/sandbox/child.py": (
        "h5py",
        "numpy",
    ),
}

#: Commands import what they need when they run, so that `fewbits --help` loads none of it.
LAZY_ROOM: Final = "service/cli/commands/"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def sources() -> dict[Path, ast.Module]:
    """Every module of the product, benchmarks and examples; tests and steps of the schema aside."""
    folders = (*PACKAGES, "benchmarks", "examples")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def packages() -> dict[Path, ast.Module]:
    """The modules of the product alone."""
    return {path: tree for path, tree in sources().items() if path.parts[0] in PACKAGES}


def functions(tree: ast.AST) -> Iterator[Function]:
    """All functions and methods, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def lines(function: Function) -> int:
    """Lines from `def` to the end."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def test_files_are_short() -> None:
    paths = [*sources(), *(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))]
    counts = {str(path): (ROOT / path).read_text(encoding="utf-8").count("\n") for path in paths}
    assert {path: count for path, count in counts.items() if count > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    lengths = {
        f"{path}:{function.name}": lines(function)
        for path, tree in sources().items()
        for function in functions(tree)
    }
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}
    assert sorted(lengths.values())[int(0.9 * len(lengths))] <= MAX_P90_FUNCTION_LINES


def test_variables_are_named_by_what_they_are() -> None:
    stored = [
        (name.id, f"{path}:{name.lineno}")
        for path, tree in sources().items()
        for name in ast.walk(tree)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    ]
    vague = [place for name, place in stored if name in VAGUE_NAMES]
    assert len(vague) < MAX_VAGUE_SHARE * len(stored), vague


def test_what_is_public_is_documented() -> None:
    undocumented = [
        f"{path}:{name}" for path, tree in packages().items() for name in _without_docstring(tree)
    ]
    assert undocumented == []


def _without_docstring(tree: ast.Module) -> Iterator[str]:
    """The module and its public functions, classes and methods that say nothing; overrides inherit what they say."""
    if ast.get_docstring(tree) is None:
        yield "module"
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and _speaks_for_itself(node):
            yield node.name


def _speaks_for_itself(node: Function | ast.ClassDef) -> bool:
    return not node.name.startswith("_") and ast.get_docstring(node) is None


def test_functions_import_only_what_the_list_names() -> None:
    late = {str(path): _late_imports(tree) for path, tree in packages().items()}
    late = {module: names for module, names in late.items() if not module.startswith(LAZY_ROOM)}
    assert {module: sorted(names) for module, names in late.items() if names} == {
        module: sorted(names) for module, names in LATE_IMPORTS.items()
    }


def _late_imports(tree: ast.Module) -> set[str]:
    modules: set[str] = set()
    for function in functions(tree):
        for node in ast.walk(function):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module or "")
    return modules


@cache
def imports() -> dict[str, frozenset[str]]:
    """Module -> the modules of the product that it imports, at its top or later."""
    graph = grimp.build_graph(*PACKAGES, "migrations")
    return {module: frozenset(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def room(module: str) -> str:
    """`search.training.trial` is in the room `search.training`."""
    return ".".join(module.split(".")[:2])


def rooms() -> dict[str, frozenset[str]]:
    """Room -> the other rooms that its modules import."""
    modules = imports()
    return {
        name: frozenset(
            room(target)
            for module, targets in modules.items()
            if room(module) == name
            for target in targets
            if room(target) != name
        )
        for name in {room(module) for module in modules}
    }


@pytest.mark.parametrize("graph", [imports, rooms], ids=["modules", "rooms"])
def test_nothing_imports_in_a_circle(graph: Mapping[str, frozenset[str]]) -> None:
    assert circle(graph()) == []  # type: ignore[operator]


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """What stays when whatever imports nothing of the rest, or is imported by nothing of it, is taken away."""
    rest = {name: set(targets) & set(graph) for name, targets in graph.items()}
    while True:
        imported = {target for targets in rest.values() for target in targets}
        ends = {name for name, targets in rest.items() if not targets or name not in imported}
        if not ends:
            return sorted(rest)
        rest = {name: targets - ends for name, targets in rest.items() if name not in ends}


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_the_page_about_the_architecture_names_what_exists() -> None:
    """Paths are given from the root, or from the room that the sentence is about."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+\.(?:py|toml|js))`", page))
    paths = [
        path.as_posix()
        for folder in (*PACKAGES, "migrations", "tests")
        for path in (ROOT / folder).rglob("*.*")
    ]
    assert len(names) > 40
    assert [name for name in names if not any(path.endswith(f"/{name}") for path in paths)] == [
        "pyproject.toml"
    ]
