"""Tables as arrays: CSV and Parquet, with a column of targets. pyarrow reads them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from search.uploads.sandbox.images import all_gray, pixels_of
from search.uploads.sandbox.values import PARTS, Converted, Options, RefusedData, check_numbers

#: Endings of files that are read as tables.
TABLES: Final = (".csv", ".tsv", ".parquet")
_TARGETS: Final = ("target", "label", "class", "y")
#: Distinct texts of a column that become a column each.
_MAX_TEXTS: Final = 50


def read_table(content: bytes, name: str) -> Any:
    """The table of a file, by the ending of its name."""
    if name.lower().endswith(".parquet"):
        return parquet_table(content, name)
    return csv_table(content, name, "\t" if name.lower().endswith(".tsv") else None)


def parquet_table(content: bytes, name: str) -> Any:
    """The table of a Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(pa.BufferReader(content), use_threads=False, pre_buffer=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RefusedData(f"{name[:100]} cannot be read as Parquet: {str(error)[:200]}") from error


def csv_table(content: bytes, name: str, delimiter: str | None = None) -> Any:
    """A table with a header line; the delimiter is the most frequent of the usual ones in that line."""
    import pyarrow as pa
    from pyarrow import csv

    line = content.partition(b"\n")[0].decode("utf-8", "replace")
    usual = max((",", ";", "\t"), key=line.count)
    try:
        return csv.read_csv(
            pa.BufferReader(content),
            csv.ReadOptions(use_threads=False),
            csv.ParseOptions(delimiter=delimiter or usual, newlines_in_values=True),
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RefusedData(
            f"{name[:100]} cannot be read as CSV (a header line, then values, in UTF-8): {str(error)[:200]}"
        ) from error


def of_tables(tables: Mapping[str, Sequence[Any]], options: Options, format_: str) -> Converted:
    """Feature columns and the target column, encoded alike in all parts."""
    import pyarrow as pa

    if "" not in tables and "_train" not in tables:
        raise RefusedData("holds no table of the training part: call one train")
    parts = sorted(tables, key=list(PARTS.values()).index) if "" not in tables else [""]
    names = [str(name) for name in tables[parts[0]][0].column_names]
    for table in (table for part in parts for table in tables[part]):
        if sorted(table.column_names) != sorted(names) or len(set(names)) < len(names):
            raise RefusedData(
                f"tables must have the same columns, each once: {', '.join(names[:20])} and"
                f" {', '.join(table.column_names[:20])}"
            )
    try:
        joined = [pa.concat_tables([one.select(names) for one in tables[part]]) for part in parts]
        whole = pa.concat_tables(joined, promote_options="permissive").combine_chunks()
    except pa.ArrowException as error:
        raise RefusedData(f"tables have columns of different types: {str(error)[:200]}") from error
    target = _target(names, options)
    missing = [name for name in options.ignore if name not in names]
    if missing:
        raise RefusedData(f"has no column {missing[0]!r} to ignore; its columns are {', '.join(names[:50])}")
    features = [name for name in names if name != target and name not in options.ignore]
    if not features or not whole.num_rows:
        raise RefusedData("has no columns of features, or no rows")
    converted = Converted(format_)
    x = _features(whole, features, options, converted)
    y = _labels(whole, target, options, converted)
    start = 0
    for part, table in zip(parts, joined, strict=True):
        rows = slice(start, start + table.num_rows)
        converted.arrays |= {f"x{part}": x[rows], f"y{part}": y[rows]}
        start += table.num_rows
    return converted


def _target(names: Sequence[str], options: Options) -> str:
    columns = ", ".join(names[:50])
    if options.target is not None:
        if options.target not in names:
            raise RefusedData(f"has no column {options.target!r}; its columns are {columns}")
        return options.target
    usual = next((name for name in _TARGETS if name in names), None)
    if usual is None:
        raise RefusedData(f"does not say which column has the targets: name it (target), one of {columns}")
    return usual


def _features(table: Any, names: Sequence[str], options: Options, converted: Converted) -> Any:
    import pyarrow as pa

    types = {name: table.schema.field(name).type for name in names}
    wide = [name for name, kind in types.items() if pa.types.is_nested(kind) or pa.types.is_binary(kind)]
    if wide:
        if len(names) > 1:
            others = ", ".join(name for name in names if name != wide[0])
            raise RefusedData(
                f"column {wide[0]!r} holds images or series; list the other columns under ignore: {others[:300]}"
            )
        return _images_or_series(table, wide[0], options)
    columns: list[Any] = []
    for name in names:
        column = _complete(table, name)
        if _is_text(types[name]):
            columns += _one_hot(column, name, converted)
        else:
            columns.append(_numbers(column, name))
            converted.columns.append(name)
    check_numbers(len(columns) * table.num_rows)
    whole = all(column.dtype.kind in "biu" for column in columns)
    return np.stack(columns, axis=1).astype(np.int64 if whole else np.float64)


def _images_or_series(table: Any, name: str, options: Options) -> Any:
    """A column of encoded images (bytes, or objects with bytes, as Hugging Face stores them), or of equal lists."""
    import pyarrow as pa

    column, kind = _complete(table, name), table.schema.field(name).type
    if pa.types.is_binary(kind) or (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):

        def images() -> Iterator[tuple[str, bytes]]:
            for index, value in enumerate(column):
                content = value.as_py() if pa.types.is_binary(kind) else value["bytes"].as_py()
                if content is None:
                    raise RefusedData(f"column {name!r} names a file instead of an image in row {index}")
                yield f"{name} of row {index}", content

        return pixels_of(images(), table.num_rows, all_gray(images), options)
    try:
        series = np.asarray(column.to_pylist(), np.float64)
    except (ValueError, TypeError) as error:
        raise RefusedData(
            f"column {name!r} holds lists that are no numbers, or have different lengths: pad them"
        ) from error
    check_numbers(series.size)
    return series


def _complete(table: Any, name: str) -> Any:
    """A column without missing values."""
    column = table.column(name)
    if column.null_count:
        first = next(index for index, value in enumerate(column) if not value.is_valid)
        raise RefusedData(
            f"column {name!r} has no value in row {first} (counted from 0), and in {column.null_count} rows in all:"
            " fill them in, or list the column under ignore"
        )
    return column.combine_chunks()


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    is_string = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(is_string or pa.types.is_dictionary(kind))


def _one_hot(column: Any, name: str, converted: Converted) -> list[Any]:
    """A column of 0 and 1 for each distinct text."""
    texts, places = np.unique(np.array([str(value) for value in column.to_pylist()]), return_inverse=True)
    if len(texts) > _MAX_TEXTS:
        raise RefusedData(
            f"column {name!r} holds {len(texts)} different texts, such as {str(texts[0])[:40]!r}; up to"
            f" {_MAX_TEXTS} become a column each: encode it as numbers, or list it under ignore"
        )
    converted.columns += [f"{name}={text}" for text in texts]
    return [(places == index).astype(np.int64) for index in range(len(texts))]


def _numbers(column: Any, name: str) -> Any:
    import pyarrow as pa

    kind = column.type
    if not (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise RefusedData(
            f"column {name!r} holds {kind}; numbers, texts, images and lists are read: encode it as a number, or list"
            " it under ignore"
        )
    values = np.asarray(column.to_numpy(zero_copy_only=False))
    return values.astype(np.int64) if values.dtype.kind in "bu" else values


def _labels(table: Any, target: str, options: Options, converted: Converted) -> Any:
    """Class numbers or numbers. Texts count from 0 in alphabetic order."""
    column, kind = _complete(table, target), table.schema.field(target).type
    if _is_text(kind) or options.task == "classes":
        if options.task == "values":
            raise RefusedData(f"column {target!r} holds texts, which are no numbers: leave task: values out")
        values = column.to_pylist() if _is_text(kind) else _numbers(column, target)
        classes, places = np.unique(np.asarray(values), return_inverse=True)
        converted.classes = [str(one) for one in classes]
        return places.astype(np.int64)
    values = _numbers(column, target)
    if options.task == "values":
        return values.astype(np.float64)
    converted.classes = _class_names(table, target)
    return values


def _class_names(table: Any, target: str) -> list[str]:
    """The names of classes that Hugging Face's `datasets` stores beside a table."""
    metadata = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return [str(name) for name in json.loads(metadata)["info"]["features"][target]["names"]]
    return []


def _integers(values: Sequence[int]) -> Any:
    return np.array(values, np.int64)
