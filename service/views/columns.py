"""Columns of trials as JSON, NDJSON or Arrow; exports of whole trials as CSV or Parquet.

Arrow and Parquet need pyarrow (`pip install 'fewbits[arrow]'`); `arrow()` raises NotAcceptable without it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic_core import to_json

from service.errors import NotAcceptable

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
ARROW: Final = "application/vnd.apache.arrow.stream"
PARQUET: Final = "application/vnd.apache.parquet"
CSV: Final = "text/csv"

Columns = Mapping[str, Sequence[Any]]

#: First characters of what a spreadsheet would run as a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def arrow() -> Any:
    """pyarrow; NotAcceptable if it is not installed."""
    try:
        import pyarrow
    except ImportError:
        raise NotAcceptable(
            "Arrow and Parquet need pyarrow on the server: pip install 'fewbits[arrow]'"
        ) from None
    return pyarrow


# --- points --------------------------------------------------------------------------------------------------------


def to_columnar(head: Mapping[str, Any], columns: Columns) -> bytes:
    """One JSON object: the fields of `head`, then a list for each column; NaN and infinity are null."""
    return to_json({**head, **columns}, inf_nan_mode="null")


def to_ndjson(columns: Columns) -> bytes:
    """One JSON object per row, one per line."""
    names = list(columns)
    return b"".join(
        to_json(dict(zip(names, row, strict=True)), inf_nan_mode="null") + b"\n"
        for row in zip(*columns.values(), strict=True)
    )


def to_arrow(head: Mapping[str, Any], columns: Columns) -> bytes:
    """An Arrow IPC stream; the fields of `head` are the schema's metadata."""
    pa = arrow()
    metadata = {name: str(value) for name, value in head.items()}
    arrays = {name: _array(pa, name, values) for name, values in columns.items()}
    table = pa.table(arrays).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _array(pa: Any, name: str, values: Sequence[Any]) -> Any:
    if name in ("status", "state"):
        return pa.array(values, pa.string()).dictionary_encode()
    types = {"number": pa.int32(), "bits": pa.int64(), "front": pa.bool_()}
    return pa.array(values, types.get(name, pa.float64()), from_pandas=True)


# --- exports -------------------------------------------------------------------------------------------------------


def to_csv(names: Sequence[str], rows: Iterable[Sequence[Any]], lines: int = 500) -> Iterator[bytes]:
    """A CSV file (RFC 4180), `lines` lines at a time. Text that a spreadsheet would run gets a leading apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([_cell(name) for name in names])
    for count, row in enumerate(rows, 1):
        writer.writerow([_cell(value) for value in row])
        if count % lines == 0:
            yield _flush(buffer)
    yield _flush(buffer)


def _flush(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value.isoformat() if hasattr(value, "isoformat") else value


def to_parquet(
    path: Path, types: Mapping[str, str], rows: Iterable[Sequence[Any]], batch: int = 10_000
) -> None:
    """Write rows to a Parquet file, a row group for each `batch` rows.

    `types`: column -> number, integer, time or text.
    """
    pa = arrow()
    import pyarrow.parquet as parquet

    arrow_types = {"number": pa.float64(), "integer": pa.int64(), "time": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(name, arrow_types.get(type_, pa.string())) for name, type_ in types.items()])
    with parquet.ParquetWriter(path, schema) as writer:
        for group in _groups(rows, batch):
            columns = zip(*group, strict=True)
            arrays = [
                pa.array(values, field.type, from_pandas=True)
                for values, field in zip(columns, schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _groups(rows: Iterable[Sequence[Any]], size: int) -> Iterator[list[Sequence[Any]]]:
    group: list[Sequence[Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
