"""Fields of each place of a job, and messages about those that do not exist."""

from __future__ import annotations

from typing import Any

import pytest

from search.spec.field_names import fields_at, unknown_field
from search.spec.job import SearchSpec
from service.errors import InvalidRequest
from service.parsing import validate

JOB = {"model": "digits_cnn", "data": "digits", "limits": 8}


@pytest.mark.parametrize(
    ("changes", "pointer", "says"),
    [
        ({"orcale": "random"}, "/orcale", "did you mean 'oracle'? fields here: "),
        ({"budget": {"trails": 3}}, "/budget/trails", "did you mean 'trials'? fields here: trials, "),
        ({"goal": {"kind": "energy", "deltap": 8}}, "/goal/deltap", "did you mean 'delta_p'?"),
        ({"goal": {"kind": "bits", "memory": 1}}, "/goal/memory", "fields here: "),
        ({"limits": {"by_class": {"Dense": {"kernal": 8}}}}, "/limits/by_class/Dense/kernal", "'kernel'"),
        ({"limits": {"by_name": [{"pattern": "a", "bits": 8}]}}, "/limits/by_name/0/bits", "pattern"),
        ({"training": {"epoch": 3}}, "/training/epoch", "did you mean 'epochs'?"),
    ],
)
def test_a_field_that_does_not_exist_is_told_with_those_that_do(
    changes: dict[str, Any], pointer: str, says: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validate(SearchSpec, JOB | changes)
    messages = {problem.pointer: problem.message for problem in caught.value.problems}
    assert messages[pointer].startswith("is not a field; ")
    assert says in messages[pointer]


def test_a_kind_has_its_own_fields() -> None:
    assert "delta_p" in fields_at(SearchSpec, ("goal", "energy"))
    assert "min_sram_size_bits" not in fields_at(SearchSpec, ("goal", "bits"))
    assert fields_at(SearchSpec, ())[:2] == tuple(SearchSpec.model_fields)[:2]


def test_the_list_is_bounded() -> None:
    message = unknown_field(SearchSpec, ("x" * 100_000,))
    assert len(message) < 2_000
