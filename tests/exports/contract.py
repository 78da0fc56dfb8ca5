"""What every export format promises. A format's tests subclass `ExportContract`, and say what it takes and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from quantization.export.comparison import Proof
from quantization.export.context import MANIFEST_FILE, ExportContext
from quantization.export.errors import ExportRefused, InvalidOption, MissingPackage
from quantization.export.export import export_model, network_of
from quantization.export.formats import export_format
from quantization.export.formats.base import ExportFormat
from quantization.export.legality.base import Refusal
from quantization.export.proof import compare
from quantization.export.run import Outputs, run_exports
from quantization.export.written import Export, files_in
from tests.exports.models import NETWORKS, examples, network

PREPROCESSING = {"input_shape": [1], "method": "none"}


class ExportContract:
    """Subclass it as `TestNAME` with `name`; the tests are skipped where the format's packages are missing.

    `takes`: networks of `tests.exports.models.NETWORKS`, all by default. `refuses`: what a network is about -> a model,
    the layer that the refusal names, and words of its reason. `inexact`: network -> layers that its proof names.
    `tolerance`: the largest difference, as a share of the largest output. `network` to `refusals`: the same for
    networks of another kind than Keras' layers.
    """

    name: ClassVar[str]
    takes: ClassVar[tuple[str, ...]] = tuple(NETWORKS)
    refuses: ClassVar[Mapping[str, tuple[Callable[[], Any], str, str]]] = {}
    inexact: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    tolerance: ClassVar[float] = 0.0
    options: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def format(cls) -> ExportFormat:
        return export_format(cls.name)

    @classmethod
    def need_packages(cls) -> None:
        missing = list(cls.format().missing())
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")

    @classmethod
    def network(cls, name: str) -> Any:
        return network(name)

    @classmethod
    def examples(cls, network: Any, seed: int = 0) -> Any:
        return examples(network, seed=seed)

    @classmethod
    def write(cls, network: Any, folder: Path, options: Mapping[str, Any]) -> Export:
        return export_model(
            network, cls.name, folder, ExportContext(examples(network), PREPROCESSING), options
        )

    @classmethod
    def compare(cls, network: Any, export: Export, inputs: Any, outputs: Outputs) -> Proof:
        return compare(network, export, inputs, outputs, (True,))

    @classmethod
    def refusals(cls, network: Any) -> list[Refusal]:
        return cls.format().refusals(*network_of(network))

    @classmethod
    def export(cls, network: Any, folder: Path) -> Export:
        cls.need_packages()
        return cls.write(network, folder, cls.options)

    @pytest.fixture(scope="class")
    @classmethod
    def proofs(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Proof]:
        """The proof of every network, all run in one fresh process."""
        folder = tmp_path_factory.mktemp(cls.name)
        exports = {name: cls.export(cls.network(name), folder / name) for name in cls.takes}
        inputs = {name: cls.examples(cls.network(name), seed=1) for name in cls.takes}
        outputs = run_exports(cls.name, [(exports[name].folder, inputs[name]) for name in cls.takes])
        return {
            name: cls.compare(cls.network(name), exports[name], inputs[name], result)
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
        assert self.refusals(self.network(taken)) == []

    def test_the_files_are_listed_and_described(self, tmp_path: Path) -> None:
        export = self.export(self.network(self.takes[0]), tmp_path / "out")
        assert export.files == files_in(tmp_path / "out")
        manifest = json.loads((tmp_path / "out" / MANIFEST_FILE).read_text())
        assert manifest["format"] == self.name
        assert manifest["preprocessing"] == PREPROCESSING

    def test_options_that_do_not_exist_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidOption, match="no option 'colour'"):
            self.write(self.network(self.takes[0]), tmp_path, {"colour": 1})

    def test_a_missing_package_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        monkeypatch.setattr("shutil.which", lambda name: None)
        monkeypatch.delenv(self.format().python_variable, raising=False)
        if list(self.format().missing()):
            with pytest.raises(MissingPackage, match="install"):
                self.format().check_installed()
