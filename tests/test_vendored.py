"""The dashboard's libraries are those on the list, byte by byte, and nothing else is beside them."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tools import vendor

LISTED: list[dict[str, Any]] = json.loads(vendor.LIST.read_text())


def test_every_file_is_the_one_on_the_list() -> None:
    listed = {name: file["sha256"] for package in LISTED for name, file in package["files"].items()}
    stored = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.FOLDER.iterdir()
        if path != vendor.LIST
    }
    assert stored == listed


@pytest.mark.parametrize("package", LISTED, ids=lambda package: package["name"])
def test_every_package_names_version_digest_and_licence(package: dict[str, Any]) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"])
    assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package["integrity"])
    assert package["licence"] in ("Apache-2.0", "MIT")
    assert any(name.endswith(".LICENSE") for name in package["files"])


def packed(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/x.js")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_what_is_not_on_the_list_is_refused(tmp_path: Path) -> None:
    tarball = packed(b"export {};\n//# sourceMappingURL=x.map")
    digest = hashlib.sha256(b"export {};\n").hexdigest()
    package: dict[str, Any] = {
        "name": "x",
        "version": "1.0.0",
        "integrity": vendor.integrity_of(tarball),
        "files": {"x.js": {"member": "package/x.js", "sha256": digest}},
    }
    assert vendor.extract(package, tarball) == {"x.js": b"export {};\n"}
    with pytest.raises(vendor.Mismatch, match=r"x 1\.0\.0 has another digest"):
        vendor.extract(package, packed(b"export {evil};\n"))
    package["files"]["x.js"]["sha256"] = "0" * 64
    with pytest.raises(vendor.Mismatch, match=r"x\.js of x 1\.0\.0 has another digest"):
        vendor.extract(package, tarball)
