"""The documentation shows the pictures that `tests.browser.pictures` takes, and no others of the dashboard."""

from __future__ import annotations

import struct

from tests.browser.pictures import FOLDER, PICTURES, ROOT


def test_every_picture_is_there_in_its_size_and_used() -> None:
    assert {path.stem for path in FOLDER.glob("dashboard*.png")} == set(PICTURES)
    pages = "\n".join(
        path.read_text("utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    )
    for name, picture in PICTURES.items():
        head = (FOLDER / f"{name}.png").read_bytes()[:24]
        assert struct.unpack(">II", head[16:24]) == (picture.width, picture.height)
        assert f"images/{name}.png" in pages
