"""Whatever the bytes are: a file is taken or refused, and what is taken holds nothing that is not in the lists."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costmodel.descriptions.objects import CONSTRAINTS, INITIALIZERS, REGULARIZERS
from costmodel.layer_classes import KERAS_LAYERS
from search.uploads import UploadFault, check_data, check_model, read_architecture
from tests.security.models import architecture, keras_file, members
from tests.security.test_hostile_data import arrays, member, npz
from tests.security.zips import Entry, zipped

OBJECTS: dict[str, Collection[str]] = {
    "keras.initializers": INITIALIZERS,
    "keras.regularizers": REGULARIZERS,
    "keras.constraints": CONSTRAINTS,
    "keras": ("DTypePolicy", "Functional", "Sequential"),
}
MODEL, DATA, DOCUMENT = keras_file(), npz(), architecture()
examples = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["Lambda", "Dense", "keras.layers", "os", "input", "fc1", "../x", "linear", "\u00e9", ""]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["class_name", "module", "config", "registered_name", "name", "items", "a"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


PLACES = [path for path in places(DOCUMENT) if path]


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def named(value: Any) -> Iterator[tuple[str, str | None]]:
    """Class and module of every object in a description."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value["class_name"], value.get("module")
        for item in value.values():
            yield from named(item)
    elif isinstance(value, list):
        for item in value:
            yield from named(item)


def is_allowed(class_name: str, module: str | None) -> bool:
    return (
        (class_name in KERAS_LAYERS and module == "keras.layers")
        or (class_name in OBJECTS.get(module or "", ()))
        or (class_name in ("__keras_tensor__", "__tuple__") and module is None)
    )


def fault_of(check: Callable[[Path], object], path: Path) -> str:
    """Why a file is refused, fit to be shown; empty if it is taken. Nothing but a refusal may come of it."""
    try:
        check(path)
    except UploadFault as fault:
        reason = str(fault)
    else:
        return ""
    assert reason.isprintable()
    return reason


@examples
@given(
    flips=st.lists(st.tuples(st.integers(0, len(MODEL) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 3),
)
def test_a_model_with_other_bytes_is_refused(tmp_path: Path, flips: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(MODEL)
    for place, value in flips:
        data[place] = value
    path = tmp_path / "model"
    path.write_bytes(bytes(data[: len(data) - cut]))
    reason = fault_of(check_model, path)  # dates and the like may differ without harm
    assert not reason if bytes(data) == MODEL and not cut else reason or not cut


@examples
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=3))
def test_a_description_is_refused_or_names_only_what_is_allowed(
    tmp_path: Path, changes: list[tuple[tuple[Any, ...], Any]]
) -> None:
    document = copy.deepcopy(DOCUMENT)
    for path, value in changes:
        try:
            put(document, path, value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    file = tmp_path / "model"
    file.write_bytes(zipped(members(json.dumps(document).encode())))
    if fault_of(check_model, file):
        return
    read, _ = read_architecture(file)
    assert [entry for entry in named(read.document) if not is_allowed(*entry)] == []


@examples
@given(
    name=st.sampled_from(sorted(arrays())),
    place=st.integers(0, 127),
    value=st.binary(min_size=1, max_size=4),
)
def test_an_array_with_another_header_is_taken_or_refused(
    tmp_path: Path, name: str, place: int, value: bytes
) -> None:
    data = {key: member(array) for key, array in arrays().items()}
    data[name] = data[name][:place] + value + data[name][place + len(value) :]
    file = tmp_path / "data"
    file.write_bytes(zipped([Entry(f"{key}.npy".encode(), array) for key, array in data.items()]))
    if not fault_of(check_data, file):
        assert {array.name for array in check_data(file).arrays} == set(data)


@pytest.mark.parametrize("check", [check_model, check_data])
@examples
@given(data=st.binary(max_size=300), starts=st.sampled_from([b"", b"PK\x03\x04", b"{"]))
def test_any_bytes_are_refused(tmp_path: Path, check: Any, data: bytes, starts: bytes) -> None:
    file = tmp_path / "any"
    file.write_bytes(starts + data)
    assert fault_of(check, file)
