"""Uploaded files that are no archives, or archives that are not what they say."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.security.hostile import GOOD, Bomb, Make
from tests.security.models import members, weights
from tests.security.uploading import Target, target
from tests.security.zips import Entry, zipped


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(tmp_path_factory.mktemp("hostile")) as service:
        yield service


def hdf5_model(canary: Path) -> bytes:
    return weights({"model_weights/dense/kernel": [1.0]}) + bytes(64)


def torch_file(canary: Path) -> bytes:
    return zipped([Entry(b"archive/data.pkl", pickle.dumps(Bomb(canary)))])


NO_MODELS: dict[str, tuple[Make, str]] = {
    "old HDF5 model": (hdf5_model, ".h5"),
    "pickle": (lambda canary: pickle.dumps(Bomb(canary)) + bytes(64), "pickle"),
    "SavedModel": (lambda _: b"\x08\x01\x12\x99\x05" + bytes(100), "SavedModel"),
    "SavedModel in a zip": (lambda _: zipped([Entry(b"saved_model.pb", b"\x08\x01")]), "SavedModel"),
    "torch file": (torch_file, "pickle"),
    "gzip": (lambda _: b"\x1f\x8b\x08" + bytes(100), "gzip"),
    "shell script": (lambda canary: f"#!/bin/sh\ntouch {canary}\n".encode() * 5, "neither"),
    "one byte": (lambda _: b"P", "neither"),
    "start of a zip": (lambda _: b"PK\x03\x04", "truncated"),
    "empty zip": (lambda _: zipped([]), "neither"),
}


@pytest.mark.parametrize("name", NO_MODELS)
def test_a_file_of_another_kind_is_refused(service: Target, name: str) -> None:
    make, word = NO_MODELS[name]
    service.assert_refused("models", make(service.canary), word)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused(service: Target, share: float) -> None:
    service.assert_refused("models", GOOD[: int(len(GOOD) * share)], "truncated")


# --- zips ----------------------------------------------------------------------------------------------------------


def with_member(name: bytes, data: bytes = b"x", **options: Any) -> bytes:
    return zipped([*members(), Entry(name, data, **options)])


def changed(index: int, **lies: Any) -> bytes:
    """A good file, but for what is told of one member."""
    entries = members()
    entries[index] = Entry(entries[index].name, entries[index].data, **lies)
    return zipped(entries)


def bomb(_: Path) -> bytes:
    """30 KB that unpack to 30 MB."""
    return zipped([*members()[:2], Entry(b"model.weights.h5", weights() + bytes(30 << 20), deflate=True)])


def overlapping(_: Path) -> bytes:
    """Many members that are the same bytes (Fifield, "A better zip bomb", 2019)."""
    return zipped([*members()[:2], Entry(b"model.weights.h5", weights(), offset=0)])


def nested(_: Path) -> bytes:
    return zipped([*members()[:2], Entry(b"model.weights.h5", GOOD)])


def by_zipfile(_: Path) -> bytes:
    """LZMA, which zipfile can read."""
    memory = BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_LZMA) as archive:
        for entry in members():
            archive.writestr(entry.name.decode(), entry.data)
    return memory.getvalue()


def zip64_end(_: Path) -> bytes:
    """An end record that points to a zip64 one."""
    return zipped(members(), count=0xFFFF, start=0xFFFFFFFF)


LONG = b"\x01\x00\x10\x00" + (1 << 60).to_bytes(8, "little") * 2

ZIPS: dict[str, tuple[Make, str]] = {
    "leads up": (lambda _: with_member(b"../../evil"), "outside the archive"),
    "leads up in the middle": (lambda _: with_member(b"a/../../evil"), "outside the archive"),
    "absolute": (lambda _: with_member(b"/etc/cron.d/evil"), "outside the archive"),
    "with backslashes": (lambda _: with_member(b"..\\evil"), "outside the archive"),
    "on a drive": (lambda _: with_member(b"C:/evil"), "outside the archive"),
    "symbolic link": (lambda _: changed(1, mode=0o120777), "link"),
    "device": (lambda _: changed(1, mode=0o020666), "device"),
    "folder": (lambda _: with_member(b"assets/", b""), "folder"),
    "assets": (lambda _: with_member(b"assets/vocabulary.txt"), "assets"),
    "strange member": (lambda _: with_member(b"run.sh"), "does not belong"),
    "member twice": (lambda _: with_member(b"config.json", b"{}"), "more than once"),
    "member twice but for the case": (lambda _: with_member(b"CONFIG.JSON", b"{}"), "more than once"),
    "encrypted": (lambda _: changed(1, flags=1), "encrypted"),
    "strongly encrypted": (lambda _: changed(1, flags=0x41), "encrypted"),
    "wrong checksum of the description": (lambda _: changed(1, crc=7), "CRC"),
    "wrong checksum of the weights": (lambda _: changed(2, crc=7), "CRC"),
    "declares less than it holds": (lambda _: changed(1, deflate=True, size=10), "declares"),
    "declares more than it holds": (lambda _: changed(1, deflate=True, size=100_000), "declares"),
    "stored, but of two sizes": (lambda _: changed(1, size=10), "another size"),
    "deflated garbage": (lambda _: changed(1, method=8), "damaged"),
    "another name where it lies": (lambda _: changed(1, local_name=b"evil.json"), "described differently"),
    "something before": (lambda _: zipped(members(), before=b"#!/bin/sh\n"), "neither"),
    "something before, places shifted": (lambda _: b"#!/bin/sh\n" + GOOD, "neither"),
    "something behind": (lambda _: GOOD + b"<script>", "appended"),
    "comment": (lambda _: zipped(members(), comment=b"<?php"), "appended"),
    "something between": (lambda _: zipped(members(), between=b"MZ"), "gap"),
    "two zips": (lambda _: GOOD + GOOD, "directory"),
    "zip bomb": (bomb, "times its size"),
    "overlapping members": (overlapping, "overlaps"),
    "zip in the zip": (nested, "HDF5"),
    "LZMA": (by_zipfile, "method 14"),
    "64-bit sizes": (lambda _: changed(2, size=0xFFFFFFFF, packed=0xFFFFFFFF, extra=LONG), "zip64"),
    "64-bit end": (zip64_end, "zip64"),
    "wrong count": (lambda _: zipped(members(), count=2), "damaged"),
    "wrong start": (lambda _: zipped(members(), start=5), "is not where it declares"),
    "many members": (
        lambda _: zipped([*members(), *(Entry(f"m{i}".encode(), b"") for i in range(70))]),
        "64",
    ),
    "long name": (lambda _: with_member(b"n" * 60_000), "is called"),
    "name in no encoding": (lambda _: with_member(b"\xff\xfe.json"), "is called"),
    "name with a zero byte": (lambda _: with_member(b"config.json\x00.txt"), "is called"),
    "name that clears the screen": (lambda _: with_member(b"\x1b[2J"), "is called"),
    "no description": (lambda _: zipped([members()[0], members()[2]]), "lacks"),
}


@pytest.mark.parametrize("name", ZIPS)
def test_a_zip_that_is_not_what_it_says_is_refused(service: Target, name: str) -> None:
    make, word = ZIPS[name]
    service.assert_refused("models", make(service.canary), word)
