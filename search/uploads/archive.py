"""Strict reading of zip archives: every declaration must be true, and the parts must fill the file without gaps.

`zipfile` accepts bytes before, between and after the members, and trusts the central directory where it contradicts a
local header. Either lets one file mean different things to different readers, so both are refused here.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Final

from search.upload_file import LOCAL
from search.uploads.faults import UploadFault, shown

_CENTRAL: Final = b"PK\x01\x02"
_END: Final = b"PK\x05\x06"
_DESCRIPTOR: Final = b"PK\x07\x08"

_LOCAL_HEADER: Final = struct.Struct("<4s5H3L2H")
_CENTRAL_HEADER: Final = struct.Struct("<4s6H3L5H2L")
_END_RECORD: Final = struct.Struct("<4s4H2LH")

_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _DEFERRED, _STRONG, _MASKED = 0x1, 0x8, 0x40, 0x2000
_KNOWN_FLAGS: Final = 0x2 | 0x4 | _DEFERRED | 0x800
_BIG: Final = 0xFFFFFFFF
_ZIP64: Final = 1  #: id of the extra field that holds 64-bit sizes
_MAX_DIRECTORY: Final = 1 << 20
_MAX_NAME: Final = 120
_CHUNK: Final = 1 << 18

#: Unpacked bytes that are allowed whatever the ratio.
_FREE_BYTES: Final = 16 << 20
#: Beyond that, the largest ratio of unpacked to packed bytes. Deflate reaches 1032.
_MAX_RATIO: Final = 100


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: sizes as declared; `start` is the offset of its first byte."""

    name: str
    method: int
    crc: int
    packed: int
    size: int
    start: int


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip whose structure was checked; its contents are checked while they are read."""

    path: Path
    members: Mapping[str, Member]

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a member, unpacked. UploadFault unless their number and checksum are as declared."""
        member = self.members[name]
        seen, crc = 0, 0
        with open(self.path, "rb") as file:
            for chunk in _unpacked(file, member):
                seen += len(chunk)
                if seen > member.size:
                    break
                crc = zlib.crc32(chunk, crc)
                yield chunk
        if seen != member.size:
            raise UploadFault(name, f"does not unpack to the {member.size} bytes it declares")
        if crc != member.crc:
            raise UploadFault(name, "is damaged: its checksum (CRC-32) is wrong")

    def read(self, name: str, limit: int) -> bytes:
        """A whole member of at most `limit` bytes."""
        if self.members[name].size > limit:
            raise UploadFault(name, f"has {self.members[name].size} bytes; {limit} are allowed")
        return b"".join(self.chunks(name))


def open_archive(path: Path, *, most_members: int, most_bytes: int) -> Archive:
    """The zip at `path`. UploadFault unless it is a plain zip within these limits."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        if file.read(4) != LOCAL:
            raise UploadFault("", "is not a zip archive")
        directory, count = _directory(file, size, most_members)
        entries = list(_entries(directory))
        if len(entries) != count:
            raise UploadFault("", "is a zip whose directory is damaged")
        _check_names(entries)
        _check_sizes(entries, size, most_bytes)
        members = tuple(_located(file, entries, size - _END_RECORD.size - len(directory)))
    return Archive(path, MappingProxyType({member.name: member for member in members}))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the central directory."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    file_type: int  #: of the member, as Unix has it; 0 if it is not stated

    @property
    def name(self) -> str:
        return self.raw_name.decode("ascii")


def _directory(file: IO[bytes], size: int, most_members: int) -> tuple[bytes, int]:
    """The central directory, which must end where the end record begins, which must end the file."""
    file.seek(max(0, size - _END_RECORD.size))
    record = file.read(_END_RECORD.size)
    if len(record) < _END_RECORD.size or record[:4] != _END:
        raise UploadFault("", "does not end where its zip ends: it is truncated, or something was appended")
    _, disk, first_disk, here, count, length, start, comment = _END_RECORD.unpack(record)
    if _BIG in (length, start) or 0xFFFF in (here, count):
        raise UploadFault("", "is a zip64 archive, which is not supported")
    if disk or first_disk or here != count:
        raise UploadFault("", "is a zip archive of several parts, which is not supported")
    if not 1 <= count <= most_members:
        raise UploadFault("", f"holds {count} members; 1 to {most_members} are allowed")
    if comment or length > _MAX_DIRECTORY or start + length + _END_RECORD.size != size:
        raise UploadFault("", "is a zip whose directory is not where it declares")
    file.seek(start)
    return file.read(length), count


def _entries(directory: bytes) -> Iterator[_Entry]:
    position = 0
    while position < len(directory):
        if len(directory) - position < _CENTRAL_HEADER.size:
            raise UploadFault("", "is a zip whose directory is damaged")
        fields = _CENTRAL_HEADER.unpack_from(directory, position)
        signature, made_by, _, flags, method, _, _, crc, packed, size = fields[:10]
        name_length, extra_length, comment_length, disk, _, attributes, offset = fields[10:]
        position += _CENTRAL_HEADER.size
        name = directory[position : position + name_length]
        position += name_length + extra_length + comment_length
        if signature != _CENTRAL or position > len(directory) or disk:
            raise UploadFault("", "is a zip whose directory is damaged")
        on_unix = made_by >> 8 == 3
        yield _Entry(
            name, flags, method, crc, packed, size, offset, stat.S_IFMT(attributes >> 16) if on_unix else 0
        )


def _check_names(entries: Sequence[_Entry]) -> None:
    for entry in entries:
        name = entry.raw_name
        if not 1 <= len(name) <= _MAX_NAME or not name.isascii() or not name.decode("ascii").isprintable():
            raise UploadFault(
                "", f"a member is called {shown(name)}: not 1 to {_MAX_NAME} plain ASCII characters"
            )
        parts = entry.name.replace("\\", "/").split("/")
        if ".." in parts or parts[0] == "" or parts[0].endswith(":") or "\\" in entry.name:
            raise UploadFault("", f"the member {shown(entry.name)} points outside the archive")
        if parts[-1] == "":
            raise UploadFault("", f"holds the folder {shown(entry.name)}; only files are allowed")
        if entry.file_type not in (0, stat.S_IFREG):
            raise UploadFault(entry.name, "is a link, a folder or a device, not a plain file")
        if entry.flags & (_ENCRYPTED | _STRONG | _MASKED):
            raise UploadFault(entry.name, "is encrypted")
        if entry.flags & ~_KNOWN_FLAGS or entry.method not in (_STORED, _DEFLATED):
            raise UploadFault(
                entry.name, f"is compressed in a way that is not supported (method {entry.method})"
            )
    names = [entry.name.lower() for entry in entries]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UploadFault("", f"holds {shown(twice[0])} more than once")


def _check_sizes(entries: Sequence[_Entry], size: int, most_bytes: int) -> None:
    for entry in entries:
        if _BIG in (entry.packed, entry.size, entry.offset):
            raise UploadFault(entry.name, "has 64-bit sizes (zip64), which are not supported")
        if entry.method == _STORED and entry.packed != entry.size:
            raise UploadFault(entry.name, "is stored uncompressed, but declares another size")
    total = sum(entry.size for entry in entries)
    if total > most_bytes:
        raise UploadFault("", f"unpacks to {total} bytes; {most_bytes} are allowed")
    if total > _FREE_BYTES and total > _MAX_RATIO * size:
        raise UploadFault("", f"unpacks to more than {_MAX_RATIO} times its size")


def _located(file: IO[bytes], entries: Sequence[_Entry], end: int) -> Iterator[Member]:
    """The members, each with an identical local header, adjacent from the first byte to `end`."""
    position = 0
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if entry.offset != position:
            raise UploadFault(entry.name, "overlaps another member, or leaves a gap in the zip")
        start = position + _check_local(file, entry)
        position = start + entry.packed
        if entry.flags & _DEFERRED:
            position += _check_descriptor(file, entry, position)
        if position > end:
            raise UploadFault(entry.name, "extends beyond the zip's members")
        yield Member(entry.name, entry.method, entry.crc, entry.packed, entry.size, start)
    if position != end:
        raise UploadFault("", "is a zip with data between its members and its directory")


def _check_local(file: IO[bytes], entry: _Entry) -> int:
    """Length of the local header of a member, which must agree with the directory."""
    file.seek(entry.offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size:
        raise UploadFault(entry.name, "is truncated")
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL_HEADER.unpack(
        header
    )
    name, extra = file.read(name_length), file.read(extra_length)
    if packed == size == _BIG:
        packed, size = _long_sizes(extra, entry)
    header_fields = (signature, flags, method, name)
    deferred = bool(flags & _DEFERRED) and (crc, packed, size) == (0, 0, 0)
    if header_fields != (LOCAL, entry.flags, entry.method, entry.raw_name) or not (
        deferred or (crc, packed, size) == (entry.crc, entry.packed, entry.size)
    ):
        raise UploadFault(entry.name, "is described differently in its local header and in the directory")
    return _LOCAL_HEADER.size + len(name) + len(extra)


def _long_sizes(extra: bytes, entry: _Entry) -> tuple[int, int]:
    """(packed, unpacked) of the zip64 field that numpy writes into local headers whatever the size is."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == _ZIP64 and length == 16 and position + 20 <= len(extra):
            size, packed = struct.unpack_from("<2Q", extra, position + 4)
            return packed, size
        position += 4 + length
    raise UploadFault(entry.name, "declares 64-bit sizes, but has none (zip64)")


def _check_descriptor(file: IO[bytes], entry: _Entry, position: int) -> int:
    """Length of the sizes after the bytes of a member that was written to a stream."""
    file.seek(position)
    for form in ("<4s3L", "<4sL2Q"):
        expected = struct.pack(form, _DESCRIPTOR, entry.crc, entry.packed, entry.size)
        if file.read(len(expected)) == expected:
            return len(expected)
        file.seek(position)
    raise UploadFault(entry.name, "is not followed by the sizes it declares")


def _unpacked(file: IO[bytes], member: Member) -> Iterator[bytes]:
    """Pieces of bounded size: a packed piece may hold a thousand times as much."""
    file.seek(member.start)
    left = member.packed
    inflate = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == _DEFLATED else None
    while left > 0:
        packed = file.read(min(left, _CHUNK))
        if not packed:
            raise UploadFault(member.name, "is truncated")
        left -= len(packed)
        if inflate is None:
            yield packed
            continue
        while packed:
            try:
                piece = inflate.decompress(packed, _CHUNK)
            except zlib.error:
                raise UploadFault(member.name, "is damaged: it cannot be unpacked") from None
            if piece:
                yield piece
            packed = inflate.unconsumed_tail
            if inflate.eof:
                if left or inflate.unused_data:
                    raise UploadFault(member.name, "has bytes after its compressed end")
                return
