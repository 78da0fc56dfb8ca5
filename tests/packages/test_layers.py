"""`fewbits-layers`: what the distribution is made of, what it imports, and that exported models load with it."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from quantization.specs.base import RULES
from quantization.specs.parse import KINDS, as_spec
from tests.exports.models import NETWORKS, examples, network
from tests.exports.test_how_to import block
from tools.distributions import DISTRIBUTIONS
from tools.distributions.assemble import CannotAssemble, Distribution, assemble, build, modules

LAYERS: Final = DISTRIBUTIONS["fewbits-layers"]
#: What the package must do without.
ABSENT: Final = (
    "pydantic",
    "tensorflow",
    "sqlalchemy",
    "fastapi",
    "celery",
    "yaml",
    "quantization",
    "costmodel",
)
#: Loads every model of a folder and writes what each computes, with an import of what is absent as an error.
_SCRIPT: Final = """
import importlib.abc, json, pathlib, sys
import numpy as np

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"no module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, {tree!r})
import fewbits_layers

for path in sorted(pathlib.Path({models!r}).glob("*.keras")):
    model = fewbits_layers.load_model(path)
    x = np.load(path.with_suffix(".npy"))
    np.save(path.with_suffix(".out.npy"), np.asarray(model(x, training=False)))
exec(open({page!r}).read())
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    assemble(LAYERS, folder)
    return folder


def test_it_has_no_module_of_the_service() -> None:
    names = {name.partition(".")[0] for name in modules(LAYERS)}
    assert names == {"costmodel", "quantization", "tools"}
    assert {name for name in modules(LAYERS) if name.startswith("tools")} == set(LAYERS.public.values())


def test_its_modules_name_its_own_package_only(tree: Path) -> None:
    for path in (tree / LAYERS.package).rglob("*.py"):
        assert not re.findall(
            r"^\s*(?:from|import) (?:quantization|costmodel|tools|pydantic)\b", path.read_text(), re.M
        )
        assert "import_module" not in path.read_text()


def test_exported_models_load_with_numpy_and_keras_alone(tree: Path, tmp_path: Path) -> None:
    for name in NETWORKS:
        network(name).save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", examples(network(name)))
    page = tmp_path / "page.py"
    page.write_text(block("export-keras.md", "## Predict with fewbits-layers"))
    (tmp_path / "out").mkdir()
    shutil.copy(tmp_path / "cnn.keras", tmp_path / "out" / "model.keras")
    shutil.copy(tmp_path / "cnn.npy", tmp_path / "x_test.npy")
    script = _SCRIPT.format(absent=set(ABSENT), tree=str(tree), models=str(tmp_path), page=str(page))
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env={**os.environ, "KERAS_BACKEND": "numpy", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    classes, loaded = map(json.loads, done.stdout.splitlines())
    assert not set(loaded) & set(ABSENT)
    assert classes == np.load(tmp_path / "cnn.out.npy").argmax(axis=-1).tolist()
    for name in NETWORKS:
        expected = keras.ops.convert_to_numpy(network(name)(examples(network(name)), training=False))
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.out.npy"), expected, rtol=0, atol=1e-6)


def test_the_wheel_has_the_package_and_what_it_needs(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    paths = build(LAYERS, tmp_path, is_isolated=False)
    assert [path.name.partition("-")[0] for path in paths] == ["fewbits_layers"] * 2
    (wheel,) = (path for path in paths if path.suffix == ".whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"fewbits_layers"}
    assert sum(name.endswith(".py") for name in names) == len(modules(LAYERS))
    stated = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist")]
    required = [text for text in stated if "extra ==" not in text]
    assert sorted(re.split("[><=]", text)[0] for text in required) == ["keras", "numpy"]


def test_a_plain_import_of_an_own_package_is_refused_with_its_line(tmp_path: Path) -> None:
    broken = Distribution(
        name="some-tool", package="some_tool", description="", folder=LAYERS.folder, dependencies=(),
        public={"": "quantization.export.runners.keras"},
    )  # fmt: skip
    with pytest.raises(CannotAssemble, match=r"runners/keras.py:\d+: write `from package import name`"):
        assemble(broken, tmp_path)


# ---- the specifications without pydantic -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def specs(tree: Path) -> Iterator[ModuleType]:
    """The distribution's `specs.parse`, which loads no Keras; its package is a bare name here."""
    package = ModuleType(LAYERS.package)
    package.__path__ = [str(tree / LAYERS.package)]
    sys.modules[LAYERS.package] = package
    yield importlib.import_module(f"{LAYERS.package}.quantization.specs.parse")
    for name in [name for name in sys.modules if name.partition(".")[0] == LAYERS.package]:
        del sys.modules[name]


_VALUES: Final[tuple[Any, ...]] = (
    *(True, False, None, 0, 1, 2, 3, 8, 32, 33, -1, -64, 127, 200, 0.0, 0.25, 0.3, 1.0, 2.0, 1.5, -0.5),
    *(
        1e30,
        1e31,
        float("nan"),
        float("inf"),
        "auto",
        "auto_po2",
        "rnd",
        "floor",
        "x",
        "",
        [],
        [0.5, 2],
        [1, 2],
        (1, 2),
    ),
    *([0], [-1, 0], [True], ["auto"], {}, [0.0, 1.0], np.float64(0.5), np.int64(4), np.array([0.5, 1.0])),
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_of_a_field_is_taken_or_refused_as_by_pydantic(kind: str, specs: ModuleType) -> None:
    bases: list[dict[str, Any]] = [{"kind": kind}]
    if "alpha" in KINDS[kind].model_fields:
        bases += [{"kind": kind, "alpha": "auto"}, {"kind": kind, "alpha": "auto_po2", "last_axis": True}]
    for base in bases:
        for name in (*KINDS[kind].model_fields, "unknown"):
            for value in _VALUES:
                document = {**base, name: value} if name != "kind" else {**base, "kind": value}
                assert _read(specs.as_spec, document) == _read(as_spec, document), document


@pytest.mark.parametrize("kind", KINDS)
def test_documents_and_texts_are_those_of_pydantic(kind: str, specs: ModuleType) -> None:
    complete = as_spec({"kind": kind}).model_dump(mode="json")
    for left_out in ((), *((rule,) for rule in RULES), RULES, ("bits",)):
        document = {name: value for name, value in complete.items() if name not in left_out}
        one, other = specs.as_spec(document), as_spec(document)
        assert one.model_dump(mode="json") == other.model_dump(mode="json")
        assert (str(one), str(one.label)) == (str(other), str(other.label))
        assert repr(one.data_type()) == repr(other.data_type())
    assert list(specs.KINDS) == list(KINDS)
    assert hash(one) == hash(specs.as_spec(document))
    with pytest.raises(AttributeError):
        one.bits = 3


def _read(read: Any, document: dict[str, Any]) -> Any:
    try:
        spec = read(document)
    except (ValueError, ValidationError) as error:
        return type(error).__name__
    return {name: (type(value), value) for name, value in spec.model_dump().items()}
