"""Uploads are written to disk, not kept in memory."""

from __future__ import annotations

from pathlib import Path

from benchmarks.upload import measure


def test_the_service_does_not_grow_with_what_is_uploaded(tmp_path: Path) -> None:
    whole, parts, refused = measure(64, tmp_path, parts=(1, 3))
    assert (whole.answer, parts.answer, refused.answer) == (200, 200, 422)
    assert whole.sent_mb > 64
    for row in (whole, parts, refused):
        assert row.growth_mb < 32, row
