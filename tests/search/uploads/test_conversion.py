"""Tables and images as arrays: what is read, and what is refused with the remedy."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from search.uploads import Conversion, UploadFault, check_data, is_converted
from search.uploads import convert as convert_in_sandbox
from search.uploads.conversion import is_text
from search.uploads.sandbox.reader import convert
from search.uploads.sandbox.values import Converted, Options, RefusedData

IRIS = "width,kind,species\n1.5,a,setosa\n2.5,b,virginica\n3.5,a,setosa\n"


def read(folder: Path, content: str | bytes, **options: Any) -> Converted:
    path = folder / "file"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return convert(path, Options(**options))


def refused(folder: Path, content: str | bytes, **options: Any) -> str:
    with pytest.raises(RefusedData) as caught:
        read(folder, content, **options)
    return str(caught.value)


def zipped(members: Mapping[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return memory.getvalue()


def table(**columns: Any) -> bytes:
    memory = io.BytesIO()
    parquet.write_table(pa.table(columns), memory)
    return memory.getvalue()


def image(value: int = 0, size: tuple[int, int] = (4, 3), mode: str = "L", form: str = "PNG") -> bytes:
    memory = io.BytesIO()
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(memory, form)
    return memory.getvalue()


# --- tables --------------------------------------------------------------------------------------------------------


def test_texts_become_columns_and_class_numbers(tmp_path: Path) -> None:
    converted = read(tmp_path, IRIS, target="species")
    np.testing.assert_array_equal(converted.arrays["x"], [[1.5, 1, 0], [2.5, 0, 1], [3.5, 1, 0]])
    np.testing.assert_array_equal(converted.arrays["y"], [0, 1, 0])
    assert converted.columns == ["width", "kind=a", "kind=b"]
    assert converted.classes == ["setosa", "virginica"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_numbers_stay_numbers(tmp_path: Path, delimiter: str) -> None:
    text = "a,b,target\n1,2,7\n3,4,9\n".replace(",", delimiter)
    converted = read(tmp_path, text)
    assert converted.arrays["x"].dtype == np.int64
    np.testing.assert_array_equal(converted.arrays["y"], [7, 9])
    assert converted.classes == []
    np.testing.assert_array_equal(read(tmp_path, text, task="classes").arrays["y"], [0, 1])
    assert read(tmp_path, text, task="values").arrays["y"].dtype == np.float64


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    content = table(width=[1.5, 2.5, 3.5], kind=["a", "b", "a"], species=["setosa", "virginica", "setosa"])
    one, other = read(tmp_path, content, target="species"), read(tmp_path, IRIS, target="species")
    for name in ("x", "y"):
        np.testing.assert_array_equal(one.arrays[name], other.arrays[name])


def test_tables_of_parts_are_encoded_alike(tmp_path: Path) -> None:
    members = {
        "data/train-00000-of-00002.csv": b"color,label\nred,no\n",
        "data/train-00001-of-00002.csv": b"color,label\nblue,yes\n",
        "data/test-00000-of-00001.csv": b"label,color\nyes,green\n",
    }
    converted = read(tmp_path, zipped(members))
    assert converted.columns == ["color=blue", "color=green", "color=red"]
    np.testing.assert_array_equal(converted.arrays["x_train"], [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(converted.arrays["x_test"], [[0, 1, 0]])
    np.testing.assert_array_equal(converted.arrays["y_test"], [1])


def test_columns_of_images_and_lists_are_read(tmp_path: Path) -> None:
    pictures = [{"bytes": image(7), "path": "a.png"}, {"bytes": image(9, form="BMP"), "path": None}]
    schema = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    whole = pa.table({"image": pictures, "label": [1, 0]}).replace_schema_metadata(
        {"huggingface": json.dumps(schema)}
    )
    memory = io.BytesIO()
    parquet.write_table(whole, memory)
    converted = read(tmp_path, memory.getvalue())
    assert converted.arrays["x"].shape == (2, 3, 4, 1)
    assert converted.arrays["x"].dtype == np.uint8
    np.testing.assert_array_equal(converted.arrays["x"][:, 0, 0, 0], [7, 9])
    assert converted.classes == ["cat", "dog"]
    series = read(tmp_path, table(signal=[[1.0, 2.0], [3.0, 4.0]], y=[0, 1]))
    np.testing.assert_array_equal(series.arrays["x"], [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (
            IRIS,
            {},
            "does not say which column has the targets: name it (target), one of width, kind, species",
        ),
        (IRIS, {"target": "name"}, "has no column 'name'; its columns are width, kind, species"),
        (IRIS, {"target": "species", "ignore": ("x",)}, "has no column 'x' to ignore"),
        (IRIS, {"target": "species", "ignore": ("width", "kind")}, "no columns of features"),
        (IRIS, {"target": "species", "task": "values"}, "leave task: values out"),
        ("a,y\n1,0\n,1\n", {}, "column 'a' has no value in row 1 (counted from 0), and in 1 rows"),
        ("a,y\n1,0\n2\n", {}, "cannot be read as CSV"),
        ("a,a,y\n1,2,0\n", {}, "the same columns, each once"),
        (
            "a,y\n" + "".join(f"text{i},0\n" for i in range(60)),
            {},
            "column 'a' holds 60 different texts, such as 'text0'",
        ),
        ("a,y\n2020-01-01,0\n", {}, "column 'a' holds date32"),
        (table(a=[[1.0], [2.0, 3.0]], y=[0, 1]), {}, "different lengths: pad them"),
        (table(a=[[1.0], [2.0]], b=[1, 2], y=[0, 1]), {}, "list the other columns under ignore: b"),
        (b"PAR1" + bytes(50), {}, "cannot be read as Parquet"),
        (
            zipped({"train.csv": b"a,y\n1,0\n", "more.csv": b"a,y\n1,0\n"}),
            {},
            "start the name of each by its part",
        ),
        (zipped({"test.csv": b"a,y\n1,0\n", "val.csv": b"a,y\n1,0\n"}), {}, "no table of the training part"),
        (
            zipped({"train.csv": b"a,y\n1,0\n", "test.csv": b"b,y\n1,0\n"}),
            {},
            "tables must have the same columns, each once: a, y and b, y",
        ),
        (
            zipped({"train.csv": b"a,y\n1,0\n", "readme.txt": b""}),
            {},
            "holds 'readme.txt': files of an archive",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, content: Any, options: dict[str, Any], says: str
) -> None:
    assert says in refused(tmp_path, content, **options)


@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    for start in (b"", b"PAR1", b"PK\x03\x04", b"a,y\n"):
        path.write_bytes(start + content)
        with contextlib.suppress(RefusedData):
            assert convert(path, Options()).arrays


# --- images --------------------------------------------------------------------------------------------------------


def folders(prefix: str = "") -> dict[str, bytes]:
    return {
        f"{prefix}dog/1.png": image(5),
        f"{prefix}cat/1.bmp": image(6, form="BMP"),
        f"{prefix}cat/2.png": image(7),
        "__MACOSX/dog/._1.png": b"noise",
        f"{prefix}dog/.DS_Store": b"noise",
    }


@pytest.mark.parametrize(
    ("prefix", "part"), [("", ""), ("pets/", ""), ("pets/train/", "_train"), ("val/", "_val")]
)
def test_class_folders_are_class_numbers(tmp_path: Path, prefix: str, part: str) -> None:
    converted = read(tmp_path, zipped(folders(prefix)))
    assert set(converted.arrays) == {f"x{part}", f"y{part}"}
    np.testing.assert_array_equal(converted.arrays[f"x{part}"][:, 0, 0, 0], [6, 7, 5])
    np.testing.assert_array_equal(converted.arrays[f"y{part}"], [0, 0, 1])
    assert converted.classes == ["cat", "dog"]


def test_images_are_resized_and_a_colour_makes_all_of_them_coloured(tmp_path: Path) -> None:
    members = folders() | {
        "cat/3.png": image(200, (8, 8), "RGB"),
        "cat/4.jpg": image(9, (5, 5), "RGB", "JPEG"),
    }
    says = refused(tmp_path, zipped(members))
    assert says.startswith("images have different sizes, 'cat/1.bmp' 4x3 and 'cat/3.png' 8x8")
    converted = read(tmp_path, zipped(members), image_size=(6, 5))
    assert converted.arrays["x"].shape == (5, 6, 5, 3)
    np.testing.assert_array_equal(converted.arrays["x"][2, 0, 0], [200, 0, 0])


@pytest.mark.parametrize(
    ("members", "options", "says"),
    [
        ({"1.png": image()}, {}, "'1.png' is in no class folder"),
        ({"train/1.png": image()}, {}, "'train/1.png' is in no class folder"),
        ({"a/1.png": b"no image"}, {}, "'a/1.png' is no readable image"),
        ({"a/1.png": image()[:-30]}, {}, "'a/1.png' is no readable image"),
        ({"a/1.png": image(), "t.csv": b"a,y\n1,0\n"}, {}, "holds images as well as tables"),
        ({"train/a/1.png": image(), "a/1.png": image()}, {}, "use one of both"),
        ({"a/1.png": image()}, {"target": "b"}, "are for tables, leave them out"),
    ],
)
def test_images_that_cannot_be_used_are_refused(
    tmp_path: Path, members: dict[str, bytes], options: dict[str, Any], says: str
) -> None:
    assert says in refused(tmp_path, zipped(members), **options)


# --- the sandbox ---------------------------------------------------------------------------------------------------


def test_the_sandbox_gives_arrays_that_pass_the_check_of_any_upload(tmp_path: Path) -> None:
    path, folder = tmp_path / "iris.csv", tmp_path / "sandbox"
    path.write_text(IRIS)
    folder.mkdir()
    converted = convert_in_sandbox(path, Conversion(target="species"), folder)
    assert (converted.format, converted.classes) == ("csv", ("setosa", "virginica"))
    assert {array.name: array.shape for array in check_data(converted.path).arrays} == {
        "x": (3, 3),
        "y": (3,),
    }


def test_the_sandbox_says_why_a_file_is_refused(tmp_path: Path) -> None:
    path, folder = tmp_path / "iris.csv", tmp_path / "sandbox"
    path.write_text(IRIS)
    folder.mkdir()
    with pytest.raises(UploadFault, match="the file does not say which column has the targets"):
        convert_in_sandbox(path, Conversion(), folder)


def test_what_is_converted_is_told_from_what_is_stored(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    (tmp_path / "b.zip").write_bytes(zipped({"a/1.png": image()}))
    (tmp_path / "c.csv").write_text(IRIS)
    (tmp_path / "d").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert [is_converted(path) for path in sorted(tmp_path.iterdir())] == [False, True, True, False]
    assert is_text("größe".encode()[:-1])
    assert not is_text(b"")
