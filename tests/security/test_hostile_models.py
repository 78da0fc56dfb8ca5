"""Model files that are more than a model: each is refused with a reason, and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.uploads import read_architecture
from tests.security.hostile import GOOD, Change, lambda_layer
from tests.security.models import METADATA, architecture, keras_file, layer, weights
from tests.security.uploading import Target, target


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(tmp_path_factory.mktemp("hostile")) as service:
        yield service


def test_the_file_the_others_are_made_from_is_taken(service: Target) -> None:
    answer = service.send("models", keras_file())
    assert answer.status_code == 200, answer.text
    assert service.http.delete(f"/v1/models/{answer.json()['id']}").status_code == 204
    for path in service.blobs.rglob("*"):
        if path.is_file():
            path.unlink()  # the sweep's work
    service.assert_untouched("models")


# --- descriptions: as bytes ----------------------------------------------------------------------------------------

TEXT = json.dumps(architecture())

TEXTS: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"model = open('/etc/passwd')", "not JSON"),
    "not UTF-8": (TEXT.replace("jet_mlp", "jet\\").encode("utf-16"), "not JSON"),
    "NaN": (TEXT.replace("64", "NaN").encode(), "NaN"),
    "infinity": (TEXT.replace("64", "-Infinity").encode(), "Infinity"),
    "overflowing number": (TEXT.replace("64", "1e999").encode(), "too large"),
    "number of many digits": (TEXT.replace("64", "9" * 100_000).encode(), "not JSON"),
    "deep list": (b'{"class_name": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "deep"),
    "deep object": (b'{"config": ' + b'{"a": ' * 300 + b"1" + b"}" * 301, "deep"),
    "field twice": (
        TEXT.replace(
            '"class_name": "Functional"', '"class_name": "Functional", "class_name": "Model"'
        ).encode(),
        "twice",
    ),
    "half a character": (TEXT.replace("jet_mlp", "\\ud800").encode(), "not text"),
    "zero byte": (TEXT.replace("jet_mlp", "\\u0000").encode(), "not text"),
    "a list": (b"[1, 2]", "object"),
    "too large": (b'{"a": "' + b"x" * (5 << 20) + b'"}', "are allowed"),
    "a million layers": (
        b'{"class_name": "Functional", "config": {"layers": [' + b"{}," * 999_999 + b"{}]}}",
        "1000000 layers",
    ),
}


@pytest.mark.parametrize("form", ["keras", "json"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_description_that_cannot_be_read_is_refused(service: Target, name: str, form: str) -> None:
    text, word = TEXTS[name]
    if form == "keras":
        service.assert_refused("models", keras_file(text), word)
    elif text[:1] == b"{" and name != "too large":
        service.assert_refused("models", text, word)
    else:
        service.assert_refused("models", text, "neither" if text[:1] != b"{" else "has")


# --- descriptions: what they ask for -------------------------------------------------------------------------------


def replaced(name: str, /, **fields: Any) -> Change:
    return lambda document: layer(document, name).update(fields)


def configured(name: str, /, **fields: Any) -> Change:
    return lambda document: layer(document, name)["config"].update(fields)


def bidirectional(inner: dict[str, Any]) -> Change:
    return replaced("fc2", class_name="Bidirectional", config={"name": "fc2", "layer": inner})


def inside_sequential(inner: dict[str, Any]) -> Change:
    model = {"class_name": "Sequential", "config": {"name": "inner", "layers": [inner]}}
    outer = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "fc2", "layers": [model]},
        "registered_name": None,
    }
    return lambda document: layer(document, "fc2").update(outer)


def reads(name: str, source: str) -> Change:
    def change(document: dict[str, Any]) -> None:
        tensor = layer(document, name)["inbound_nodes"][0]["args"][0]
        tensor["config"]["keras_history"][0] = source

    return change


def function(module: str, name: str) -> dict[str, Any]:
    """A function as Keras writes one: it imports the module to find it."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def smuggled(class_name: str, /, module: str = "keras.initializers", **config: Any) -> Change:
    value = {"module": module, "class_name": class_name, "config": config, "registered_name": None}
    return configured("fc1", kernel_initializer=value)


ASKS: dict[str, tuple[Change | None, str]] = {
    "a Lambda": (None, "Lambda"),
    "a Lambda in a wrapper": (None, "Lambda"),
    "a Lambda in a model in a model": (None, "Lambda"),
    "a Lambda as an initializer": (None, "Lambda"),
    "TFSMLayer": (
        replaced("fc2", class_name="TFSMLayer", config={"name": "fc2", "filepath": "/tmp/x"}),
        "SavedModel",
    ),
    "TorchModuleWrapper": (replaced("fc2", class_name="TorchModuleWrapper"), "pickle"),
    "lookup in a file": (
        replaced("fc2", class_name="StringLookup", config={"name": "fc2", "vocabulary": "/etc/passwd"}),
        "reads files",
    ),
    "TextVectorization": (replaced("fc2", class_name="TextVectorization"), "reads files"),
    "TimeDistributed of nothing": (replaced("fc2", class_name="TimeDistributed"), "must be a layer"),
    "a model of one's own in a model": (
        replaced("fc2", class_name="Functional", module="mine", config={"name": "fc2", "layers": []}),
        "custom models",
    ),
    "a layer of one's own": (replaced("fc2", registered_name="mine>Evil"), "custom"),
    "a layer out of os": (replaced("fc2", module="os", class_name="system"), "not a supported layer"),
    "a known layer out of os": (replaced("fc2", module="os"), "'os'"),
    "a known layer out of Keras' inside": (
        replaced("fc2", module="keras.src.layers.core.dense"),
        "allowed: keras.layers",
    ),
    "a quantized layer": (
        replaced("fc2", class_name="QuantizedDense", registered_name="fewbits>QuantizedDense"),
        "quantized",
    ),
    "a class that is no word": (replaced("fc2", class_name=["Dense"]), "not a supported layer"),
    "a function out of builtins": (configured("fc1", activation=function("builtins", "eval")), "'function'"),
    "a function out of Keras": (
        configured("fc1", activation=function("keras.utils", "get_file")),
        "'function'",
    ),
    "enable_unsafe_deserialization": (
        configured("fc1", activation=function("keras.config", "enable_unsafe_deserialization")),
        "'function'",
    ),
    "an initializer out of os": (smuggled("Zeros", module="os"), "'os'"),
    "an initializer without a module": (
        configured("fc1", kernel_initializer={"class_name": "Zeros", "config": {}}),
        "allowed: keras.initializers",
    ),
    "an initializer of one's own": (smuggled("Evil"), "'Evil'"),
    "a layer as an initializer": (smuggled("Dense", module="keras.layers"), "'Dense'"),
    "an object in an object": (smuggled("HeNormal", seed=function("os", "system")), "'function'"),
    "a shared object": (
        configured(
            "fc1",
            dtype={"class_name": "Lambda", "shared_object_id": 1, "module": "keras.layers", "config": {}},
        ),
        "'Lambda'",
    ),
    "a quantized type": (
        configured("fc1", dtype={"module": "keras", "class_name": "GPTQDTypePolicy", "config": {}}),
        "GPTQ",
    ),
    "an activation out of a file": (configured("fc1", activation="../../etc/passwd"), "which no layer takes"),
    "a name that leads up": (configured("fc1", name="../../evil"), "a name has"),
    "a name with a tag": (configured("fc1", name="<script>alert(1)</script>"), "a name has"),
    "two names": (replaced("fc1", name="other"), "is not the name"),
    "a field that is no word": (configured("fc1", **{"a/b": 1}), "field"),
    "a circle": (reads("fc1", "fc2"), "from itself"),
    "what reads itself": (reads("fc1", "fc1"), "from itself"),
    "what reads nothing there": (reads("fc1", "gone"), "not described"),
    "a huge layer": (configured("fc1", units=2**31 - 1), "weights"),
    "an impossible layer": (configured("fc1", units=2**62), "units"),
    "no units": (configured("fc1", units=-1), "units"),
    "a huge input": (configured("inputs", batch_shape=[None, 2**31 - 1, 2**31 - 1, 4]), "numbers"),
    "an input of any length": (configured("inputs", batch_shape=[None, None]), "left open"),
    "a subclass": (lambda document: document.update(class_name="MyModel", module="mine"), "custom classes"),
    "a model out of os": (lambda document: document.update(module="os"), "'os'"),
    "a registered model": (lambda document: document.update(registered_name="mine>Net"), "custom"),
    "no layers": (lambda document: document["config"].update(layers=[]), "0 layers"),
    "layers that are none": (lambda document: document["config"].update(layers="all"), "list of layers"),
    "a layer that is none": (lambda document: document["config"]["layers"].append(7), "object with a config"),
    "deep nodes": (
        lambda document: layer(document, "fc1")["inbound_nodes"][0].update(
            args=json.loads("[" * 30 + "]" * 30)
        ),
        "nested",
    ),
}


def asking(name: str, canary: Path) -> tuple[dict[str, Any], str]:
    change, word = ASKS[name]
    evil = lambda_layer(canary, "fc2")
    changes: dict[str, Change] = {
        "a Lambda": replaced("fc2", **evil),
        "a Lambda in a wrapper": bidirectional(evil),
        "a Lambda in a model in a model": inside_sequential(evil),
        "a Lambda as an initializer": configured("fc1", kernel_initializer=evil),
    }
    document = architecture()
    (change or changes[name])(document)
    return document, word


@pytest.mark.parametrize("form", ["keras", "json"])
@pytest.mark.parametrize("name", ASKS)
def test_a_description_that_asks_for_more_than_layers_is_refused(
    service: Target, name: str, form: str
) -> None:
    document, word = asking(name, service.canary)
    data = keras_file(document) if form == "keras" else json.dumps(document).encode()
    service.assert_refused("models", data, word)


def test_what_is_not_needed_to_build_a_model_is_left_out(tmp_path: Path) -> None:
    evil = lambda_layer(tmp_path / "canary")
    document = architecture() | {"compile_config": {"loss": evil}, "build_config": evil}
    layer(document, "fc1").update(build_config=evil, shared_object_id=7)
    path = tmp_path / "model"
    path.write_bytes(keras_file(document))
    read, _ = read_architecture(path)
    text = json.dumps(read.document)
    assert not any(
        word in text
        for word in ("Lambda", "__lambda__", "compile_config", "build_config", "shared_object_id")
    )


# --- metadata and weights ------------------------------------------------------------------------------------------

PARTS: dict[str, tuple[bytes, str]] = {
    "saved by Keras 2": (keras_file(metadata=b'{"keras_version": "2.15.0"}'), "Keras 3"),
    "saved by nobody": (keras_file(metadata=b"{}"), "Keras 3"),
    "saved by a path": (keras_file(metadata=METADATA.replace(b"3.15.1", b"3/../../x")), "Keras 3"),
    "weights that are a pickle": (keras_file(hdf5=b"\x80\x04" + bytes(100)), "not an HDF5"),
    "weights behind something": (keras_file(hdf5=bytes(512) + weights()), "not an HDF5"),
    "weights cut short": (keras_file(hdf5=weights()[:-100]), "truncated"),
    "weights that go on": (keras_file(hdf5=weights() + b"MZ"), "appended"),
    "weights of no version": (keras_file(hdf5=weights()[:8] + b"\x09" + weights()[9:]), "version"),
    "no weights": (keras_file(hdf5=b""), "not an HDF5"),
}


@pytest.mark.parametrize("name", PARTS)
def test_metadata_and_weights_that_cannot_be_are_refused(service: Target, name: str) -> None:
    service.assert_refused("models", *PARTS[name])


# --- the upload itself ---------------------------------------------------------------------------------------------


def test_more_bytes_than_declared_are_refused_and_nothing_is_left(service: Target) -> None:
    declared = service.http.post("/v1/models", json={"name": "m", "size_bytes": 1000})
    content = f"{declared.headers['location']}/content"

    def chunks() -> Iterator[bytes]:
        for _ in range(3000):
            yield b'{"a": 1}'

    assert service.http.put(content, content=chunks()).status_code == 413
    assert service.http.get(declared.headers["location"]).status_code == 404
    service.assert_untouched("models")


def test_other_content_than_declared_is_refused_and_nothing_is_left(service: Target) -> None:
    body = {"name": "m", "size_bytes": len(GOOD), "sha256": "0" * 64}
    declared = service.http.post("/v1/models", json=body)
    answer = service.http.put(f"{declared.headers['location']}/content", content=GOOD)
    assert answer.status_code == 422
    assert "SHA-256" in answer.json()["detail"]
    service.assert_untouched("models")


@pytest.mark.parametrize("name", ["", "a\x00b", "a\nb", "x" * 201])
def test_a_name_that_is_none_is_refused(service: Target, name: str) -> None:
    answer = service.http.post("/v1/models", json={"name": name, "size_bytes": 10})
    assert answer.status_code == 422
    service.assert_untouched("models")


@pytest.mark.parametrize("upload_id", ["..%2f..%2fetc", "0123456789abcdeF", "%00", "0" * 4000])
def test_an_id_that_is_none_is_not_found(service: Target, upload_id: str) -> None:
    assert service.http.get(f"/v1/models/{upload_id}").status_code == 404
    assert service.http.put(f"/v1/models/{upload_id}/content", content=b"x").status_code in (404, 413)
    service.assert_untouched("models")
