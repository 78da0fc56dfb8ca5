"""The page of supported layers is what the table of layers says."""

from __future__ import annotations

from tools.supported_layers import PAGE, page


def test_the_page_of_supported_layers_is_current() -> None:
    assert PAGE.read_text() == page(), "run make layers"
