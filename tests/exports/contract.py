"""What every export format promises. A format's tests subclass `ExportContract`, and say what it takes and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import keras
import pytest

from quantization.export.context import MANIFEST_FILE, ExportContext
from quantization.export.errors import ExportRefused, InvalidOption, MissingPackage
from quantization.export.export import Export, export_model, files_in, network_of
from quantization.export.formats import FORMATS
from quantization.export.formats.base import ExportFormat
from quantization.export.proof import Proof, compare
from quantization.export.run import run_exports
from tests.exports.models import NETWORKS, examples, network

PREPROCESSING = {"input_shape": [1], "method": "none"}


class ExportContract:
    """Subclass it as `TestNAME` with `name`; the tests are skipped where the format's packages are missing.

    `takes`: networks of `tests.exports.models.NETWORKS`, all by default. `refuses`: what a network is about -> a model,
    the layer that the refusal names, and words of its reason. `inexact`: network -> layers that its proof names.
    `tolerance`: the largest difference, as a share of the largest output.
    """

    name: ClassVar[str]
    takes: ClassVar[tuple[str, ...]] = tuple(NETWORKS)
    refuses: ClassVar[Mapping[str, tuple[Callable[[], keras.Model], str, str]]] = {}
    inexact: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    tolerance: ClassVar[float] = 0.0
    options: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def format(cls) -> ExportFormat:
        return FORMATS[cls.name]

    @classmethod
    def need_packages(cls) -> None:
        missing = list(cls.format().missing())
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")

    @classmethod
    def export(cls, model: keras.Model, folder: Path) -> Export:
        cls.need_packages()
        context = ExportContext(examples(model), PREPROCESSING)
        return export_model(model, cls.name, folder, context, cls.options)

    @pytest.fixture(scope="class")
    @classmethod
    def proofs(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Proof]:
        """The proof of every network, all run in one fresh process."""
        folder = tmp_path_factory.mktemp(cls.name)
        exports = {name: cls.export(network(name), folder / name) for name in cls.takes}
        inputs = {name: examples(network(name), seed=1) for name in cls.takes}
        outputs = run_exports(cls.name, [(exports[name].folder, inputs[name]) for name in cls.takes])
        return {
            name: compare(network(name), exports[name], inputs[name], result, (True,))
            for name, result in zip(cls.takes, outputs, strict=True)
        }

    def pytest_generate_tests(self, metafunc: Any) -> None:
        if "taken" in metafunc.fixturenames:
            metafunc.parametrize("taken", self.takes)
        if "refusal" in metafunc.fixturenames:
            metafunc.parametrize("refusal", self.refuses)

    def test_it_computes_what_the_model_does(self, taken: str, proofs: dict[str, Proof]) -> None:
        proof = proofs[taken]
        assert proof.equal_classes is not None
        assert proof.largest_difference <= self.tolerance * proof.largest_output
        assert sorted(proof.inexact) == sorted(self.inexact.get(taken, ()))
        if not self.tolerance:
            assert proof.is_exact
            assert proof.equal_classes == 1.0
        assert proof.versions

    def test_it_refuses_by_name_before_it_writes(self, refusal: str, tmp_path: Path) -> None:
        make, layer, words = self.refuses[refusal]
        with pytest.raises(ExportRefused) as caught:
            self.export(make(), tmp_path / "out")
        refusals = [str(entry) for entry in caught.value.refusals if entry.layer == layer]
        assert any(words in text for text in refusals), caught.value.refusals
        assert not (tmp_path / "out").exists()

    def test_what_it_takes_is_known_without_keras(self, taken: str) -> None:
        assert self.format().refusals(*network_of(network(taken))) == []

    def test_the_files_are_listed_and_described(self, tmp_path: Path) -> None:
        export = self.export(network(self.takes[0]), tmp_path / "out")
        assert export.files == files_in(tmp_path / "out")
        manifest = json.loads((tmp_path / "out" / MANIFEST_FILE).read_text())
        assert manifest["format"] == self.name
        assert manifest["preprocessing"] == PREPROCESSING

    def test_options_that_do_not_exist_are_refused(self, tmp_path: Path) -> None:
        model = network(self.takes[0])
        with pytest.raises(InvalidOption, match="no option 'colour'"):
            export_model(model, self.name, tmp_path, ExportContext(examples(model)), {"colour": 1})

    def test_a_missing_package_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        monkeypatch.setattr("shutil.which", lambda name: None)
        if self.format().packages or self.format().programs:
            with pytest.raises(MissingPackage, match="install"):
                self.format().check_installed()
