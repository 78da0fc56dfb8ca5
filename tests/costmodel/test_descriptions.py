"""Descriptions of networks: what is taken, what is changed, what is refused; without Keras."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from costmodel.descriptions import clean
from costmodel.descriptions.fields import KERAS_FIELDS, field_names, kind_of
from costmodel.errors import InvalidDescription
from costmodel.layer_classes import LAYER_CLASSES
from costmodel.network import read_network
from search.networks.zoo import ZOO, zoo_config
from tests.costmodel.build import functional, layer, source, tensor


def net(**config: Any) -> dict[str, Any]:
    return functional(source("in", 6), layer("Dense", "a", "in", units=4, **config))


def refused(document: Any) -> InvalidDescription:
    before = copy.deepcopy(document)
    with pytest.raises(InvalidDescription) as caught:
        clean(document)
    assert document == before
    assert str(caught.value).isprintable()
    return caught.value


def operator(module: str, class_name: str, name: str, *arguments: Any, **config: Any) -> dict[str, Any]:
    """An operator as Keras writes it."""
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": name, **config},
        "registered_name": class_name,
        "name": name,
        "inbound_nodes": [{"args": list(arguments), "kwargs": {}}],
    }


# --- the tables ----------------------------------------------------------------------------------------------------


def test_every_class_of_the_table_has_its_fields() -> None:
    classes = {name for name, row in LAYER_CLASSES.items() if row.keras}
    assert classes <= set(KERAS_FIELDS)
    assert [
        field for name in LAYER_CLASSES for field in field_names(name) if not _is_known(name, field)
    ] == []


def _is_known(class_name: str, field: str) -> bool:
    return kind_of(class_name, field) is not None or field in ("layer", "backward_layer")


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo_is_taken_as_it_is(name: str) -> None:
    cleaned = clean(zoo_config(name))
    assert cleaned.notes == ()
    assert read_network(cleaned.document) == read_network(zoo_config(name))


def test_what_is_cleaned_is_clean() -> None:
    add = operator("keras.src.ops.numpy", "Add", "add", tensor("a"), tensor("in"))
    relu = {"module": "keras.layers", "class_name": "LeakyReLU", "config": {"negative_slope": 0.1}}
    document = functional(
        source("in", 4), layer("Dense", "a", "in", units=4, activation=relu, dtype="float16"), add
    )
    cleaned = clean(document)
    assert len(cleaned.notes) == 3
    again = clean(cleaned.document)
    assert again.document == cleaned.document
    assert again.notes == ()


# --- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["blk/a", "größe", "a b", "", "a\\b", "a:b", "a\nb", "a[0]", "x" * 257, None, 3]
)
def test_a_name_that_fails_in_training_is_refused_with_the_names_that_do_not(name: Any) -> None:
    document = functional(source("in", 6), layer("Dense", name, "in", units=4), outputs=["in"])
    error = refused(document)
    assert error.path == ("config", "layers", 1, "config", "name")
    assert "letters" in error.reason


def test_two_layers_of_one_name_are_refused() -> None:
    error = refused(functional(source("in", 6), layer("Dense", "in", "in", units=4), outputs=["in"]))
    assert "two layers have the same name" in error.reason


# --- fields --------------------------------------------------------------------------------------------------------

HIDDEN = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "l"}, "registered_name": None}


FIELDS = {field: name for name in LAYER_CLASSES for field in (*field_names(name), "trainable", "dtype")}


@pytest.mark.parametrize("field", sorted(set(FIELDS) - {"renorm_clipping"}))
def test_no_field_takes_an_object(field: str) -> None:
    class_name = FIELDS[field]
    required = {name: 1 for name, is_needed in field_names(class_name).items() if is_needed}
    for value in (HIDDEN, {"class_name": "__tensor__", "config": {}}, "x", [HIDDEN], 1e400, {}):
        document = functional(source("in", 6), layer(class_name, "a", "in", **{**required, field: value}))
        with pytest.raises(InvalidDescription) as caught:
            clean(document, classes=frozenset(LAYER_CLASSES))
        assert caught.value.path[:3] == ("config", "layers", 1)


def test_a_field_that_keras_does_not_have_is_refused_with_those_it_has() -> None:
    assert "use_bias" in refused(net(bias=True)).reason


def test_a_field_without_which_nothing_can_be_built_is_missed() -> None:
    document = functional(source("in", 6), layer("Dropout", "drop", "in"))
    assert refused(document).path == ("config", "layers", 1, "config", "rate")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"])
def test_other_floats_become_float32_and_that_is_said(policy: str) -> None:
    written = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": policy}}
    cleaned = clean(net(dtype=written))
    assert cleaned.document["config"]["layers"][1]["config"]["dtype"]["config"] == {"name": "float32"}
    [note] = cleaned.notes
    assert policy in note
    exact = clean(net(dtype=written), exact_types=True)
    assert exact.document["config"]["layers"][1]["config"]["dtype"]["config"] == {"name": policy}


def test_a_quantized_model_is_refused_with_the_remedy() -> None:
    written = {
        "module": "keras.dtype_policies",
        "class_name": "QuantizedDTypePolicy",
        "config": {"mode": "int8", "source_name": "float32"},
    }
    assert "send the model as it was before" in refused(net(dtype=written)).reason


# --- calls and operators -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["args", "kwargs", "top", "operand"])
def test_no_call_takes_an_object(where: str) -> None:
    document = net()
    entry = document["config"]["layers"][1]
    if where == "args":
        entry["inbound_nodes"][0]["args"].append(HIDDEN)
    elif where == "kwargs":
        entry["inbound_nodes"][0]["kwargs"] = {"training": HIDDEN}
    elif where == "top":
        entry["compile_config"] = HIDDEN
    else:
        document["config"]["layers"].append(
            operator("keras.src.ops.numpy", "Add", "add", tensor("a"), HIDDEN)
        )
    assert "layers" in refused(document).path


@pytest.mark.parametrize("class_name", ["GetItem", "Einsum", "Evil", "Pad", "Add", "Gelu", "Reshape"])
def test_an_operator_that_is_no_layer_is_refused_with_the_remedy(class_name: str) -> None:
    entry = operator("keras.src.ops.numpy", class_name, "op", tensor("in"), approximate=True, newshape=[2, 3])
    error = refused(functional(source("in", 6), entry))
    assert f"'{class_name}'" in error.reason
    listed = error.reason.partition("read as layers:")[2]
    assert class_name not in listed


def test_no_operator_out_of_another_module_is_read() -> None:
    entry = operator("keras.utils", "get_file", "op", tensor("in"))
    assert "is not a supported layer" in refused(functional(source("in", 6), entry)).reason


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        3,
        "net",
        {},
        {"class_name": "Functional"},
        {"layers": []},
        {"class_name": ["x"]},
        {"layers": [[]]},
    ],
)
def test_what_is_no_network_is_refused(value: Any) -> None:
    refused(value)


def test_huge_names_and_numbers_are_shown_short() -> None:
    error = refused(json.loads(json.dumps(net(use_bias="x" * 100_000))))
    assert len(str(error)) < 300
    assert len(str(refused(net(bias_initializer=10**5000)))) < 300
