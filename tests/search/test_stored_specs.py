"""Specifications that an earlier version wrote keep their meaning."""

from __future__ import annotations

import json

from search.spec import stored
from search.spec.stored import completed
from tests.search.conftest import small_spec

EARLIER = {("normalization",): "float", ("data", "preprocessing"): "centered", ("goal", "price"): 1}


def test_what_a_document_lacks_is_added_at_every_depth() -> None:
    document = {"name": "", "data": {"kind": "digits"}, "goal": {"price": 2}}

    assert completed(document, EARLIER) == {
        "name": "",
        "normalization": "float",
        "data": {"kind": "digits", "preprocessing": "centered"},
        "goal": {"price": 2},
    }
    assert document == {"name": "", "data": {"kind": "digits"}, "goal": {"price": 2}}


def test_objects_that_are_absent_or_replaced_by_a_name_stay_as_they_are() -> None:
    assert completed({"data": "digits"}, EARLIER) == {"data": "digits", "normalization": "float"}


def test_a_completed_document_is_left_alone() -> None:
    document = completed({"data": {}, "goal": {}}, EARLIER)

    assert completed(document, EARLIER) == document


def test_stored_jobs_go_on_to_hold_out_a_share_of_the_training_part() -> None:
    for kind in ("npz", "uploaded"):
        assert completed({"data": {"kind": kind}})["data"] == {
            "kind": kind,
            "validation": "split",
            "split": "random",
        }


def test_stored_jobs_on_the_diabetes_data_keep_their_features_and_others_get_none() -> None:
    assert completed({"data": {"kind": "diabetes"}})["data"] == {
        "kind": "diabetes",
        "features": "scikit-learn",
        "split": "random",
    }
    assert completed({"data": {"kind": "digits"}})["data"] == {"kind": "digits", "split": "random"}


def test_stored_jobs_on_bundled_networks_keep_the_name_of_the_input() -> None:
    document = {"kind": "zoo", "name": "digits_cnn"}
    assert completed({"model": document})["model"] == {**document, "input_name": "input"}
    assert completed({"model": {"kind": "architecture"}})["model"] == {"kind": "architecture"}


def test_a_completed_document_is_json() -> None:
    document = small_spec().model_dump(mode="json")
    bare = {name: value for name, value in document.items() if (name,) not in stored.EARLIER}
    json.dumps(completed(bare), allow_nan=False)
