"""Fetch the dashboard's libraries: one file of each package on the list, checked against the list's digests.

    python tools/vendor.py                        # asks the npm registry of `npm config get registry`
    python tools/vendor.py --registry URL         # another registry
    python tools/vendor.py --tarballs FOLDER      # tarballs that are there already

The list is `service/dashboard/vendor/vendored.json`: name, version, `integrity` of the tarball (as npm writes it), and
the files that are taken out of it, each with its SHA-256. For a new version, change `version`, `integrity` and digests.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import subprocess
import tarfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "service" / "dashboard" / "vendor"
LIST = FOLDER / "vendored.json"


class Mismatch(Exception):
    """What was fetched is not what the list names: do not use it, and compare the versions."""


def integrity_of(content: bytes) -> str:
    """The digest of a tarball as npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def extract(package: Mapping[str, Any], tarball: bytes) -> dict[str, bytes]:
    """The files of a package that the list names; Mismatch unless tarball and files have the listed digests."""
    label = f"{package['name']} {package['version']}"
    if integrity_of(tarball) != package["integrity"]:
        raise Mismatch(f"the tarball of {label} has another digest: {integrity_of(tarball)}")
    contents = {}
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        for name, file in package["files"].items():
            member = archive.extractfile(file["member"])
            if member is None:
                raise Mismatch(f"{label} has no file {file['member']}")
            contents[name] = without_map(member.read())
            digest = hashlib.sha256(contents[name]).hexdigest()
            if digest != file["sha256"]:
                raise Mismatch(f"{name} of {label} has another digest: {digest}")
    return contents


def without_map(content: bytes) -> bytes:
    """A script without its last line if that names a source map, which is not shipped."""
    lines = content.rstrip(b"\n").split(b"\n")
    return b"\n".join(lines[:-1] if lines[-1].startswith(b"//# sourceMappingURL=") else lines) + b"\n"


def tarball_name(package: Mapping[str, Any]) -> str:
    """The file name of a package's tarball in a registry."""
    return f"{package['name']}-{package['version']}.tgz"


def npm_registry() -> str:
    """The registry that npm is configured to ask."""
    asked = subprocess.run(["npm", "config", "get", "registry"], capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def main() -> None:
    """Fetch, check and write every file on the list."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--registry", help="URL of an npm registry")
    parser.add_argument("--tarballs", type=Path, help="folder with NAME-VERSION.tgz")
    options = parser.parse_args()
    registry = "" if options.tarballs else (options.registry or npm_registry()).rstrip("/")
    for package in json.loads(LIST.read_text()):
        name = tarball_name(package)
        if options.tarballs:
            tarball = (options.tarballs / name).read_bytes()
        else:
            with urllib.request.urlopen(f"{registry}/{package['name']}/-/{name}") as answer:
                tarball = answer.read()
        for file, content in extract(package, tarball).items():
            (FOLDER / file).write_bytes(content)
            print(f"{file}: {len(content)} bytes of {package['name']} {package['version']}")


if __name__ == "__main__":
    main()
