"""Jobs with their uploads looked up: values that have all they need, or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from search.cost.answer import price_network
from search.errors import InvalidSpec
from search.plans.kinds import plan
from search.spec.cost import CostSpec
from search.spec.job import SearchSpec, UploadedData, UploadedModel
from search.spec.resolved import DataFile, ModelFile, resolve

ID = "0123456789abcdef"
UPLOADED = {"kind": "uploaded", "id": ID}
LIMITS = {"by_class": {"Dense": 4}}


class Shelf:
    """A lookup that finds everything."""

    def find_model(self, model: UploadedModel) -> ModelFile:
        return ModelFile(
            **dict(model), file=Path("m.keras"), architecture={"class_name": "x"}, has_weights=True
        )

    def find_data(self, data: UploadedData) -> DataFile:
        return DataFile(**dict(data), file=Path("d.npz"))


def job(**fields: object) -> SearchSpec:
    return SearchSpec.model_validate({"model": "digits_cnn", "limits": LIMITS} | fields)


def test_a_job_without_uploads_is_resolved_as_it_is() -> None:
    spec = job()
    resolved = resolve(spec)
    assert (resolved.spec, resolved.model, resolved.data) == (spec, spec.model, spec.data)


def test_uploads_come_with_their_files_and_the_specification_stays() -> None:
    spec = job(model=UPLOADED | {"weights": False}, data=UPLOADED | {"preprocessing": "none"})
    resolved = resolve(spec, Shelf())
    assert resolved.spec is spec
    assert isinstance(resolved.model, ModelFile)
    assert isinstance(resolved.data, DataFile)
    assert (resolved.model.file, resolved.data.file) == (Path("m.keras"), Path("d.npz"))
    assert resolved.data.preprocessing == "none"
    assert not resolved.model.gives_weights
    assert "file" not in spec.model.model_dump() | spec.data.model_dump()


@pytest.mark.parametrize("make", [ModelFile, DataFile])
def test_an_upload_without_its_file_is_no_value(make: Callable[..., object]) -> None:
    with pytest.raises(ValidationError, match="file"):
        make(id=ID)


@pytest.mark.parametrize(
    ("fields", "pointer"), [({"model": UPLOADED}, "/model/id"), ({"data": UPLOADED}, "/data/id")]
)
def test_without_a_service_an_upload_is_refused_with_its_field(
    fields: dict[str, object], pointer: str
) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        plan(job(**fields), Path())
    assert [problem.pointer for problem in refusal.value.problems] == [pointer]


def test_without_a_service_the_cost_of_an_upload_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="/model/id"):
        price_network(CostSpec.model_validate({"model": UPLOADED}))
