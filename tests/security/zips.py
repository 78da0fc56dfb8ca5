"""Zip files, valid and invalid: `zipfile` refuses to write most of what the tests need."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

UNIX = 3 << 8


@dataclass(frozen=True)
class Entry:
    """One member, and the lies told about it; None: the truth."""

    name: bytes
    data: bytes
    deflate: bool = False
    flags: int = 0
    mode: int = 0o100600
    method: int | None = None
    crc: int | None = None
    size: int | None = None
    packed: int | None = None
    local_name: bytes | None = None
    offset: int | None = None
    extra: bytes = b""

    @property
    def body(self) -> bytes:
        """What is stored."""
        if not self.deflate:
            return self.data
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(self.data) + packer.flush()


def zipped(
    entries: Sequence[Entry],
    *,
    before: bytes = b"",
    between: bytes = b"",
    after: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    start: int | None = None,
) -> bytes:
    """The archive. `between` comes behind each member; `count` and `start` are told of the directory."""
    out, directory = bytearray(before), bytearray()
    for entry in entries:
        body = entry.body
        method = entry.method if entry.method is not None else 8 if entry.deflate else 0
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        size = len(entry.data) if entry.size is None else entry.size
        packed = len(body) if entry.packed is None else entry.packed
        place = len(out) if entry.offset is None else entry.offset
        name = entry.name if entry.local_name is None else entry.local_name
        if entry.offset is None:
            out += struct.pack(
                "<4s5H3L2H",
                b"PK\x03\x04",
                20,
                entry.flags,
                method,
                0,
                33,
                crc,
                packed,
                size,
                len(name),
                len(entry.extra),
            )
            out += name + entry.extra + body + between
        directory += struct.pack(
            "<4s6H3L5H2L",
            b"PK\x01\x02",
            UNIX | 20,
            20,
            entry.flags,
            method,
            0,
            33,
            crc,
            packed,
            size,
            len(entry.name),
            0,
            0,
            0,
            0,
            entry.mode << 16,
            place,
        )
        directory += entry.name
    begin = len(out) if start is None else start
    declared = len(entries) if count is None else count
    end = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, declared, declared, len(directory), begin, len(comment)
    )
    return bytes(out + directory + end + comment + after)
