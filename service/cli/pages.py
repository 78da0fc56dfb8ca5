"""HTML pages from the templates of this package. Every value is escaped.

Pages load nothing, and run no script but that of the charts, which their policy names by its digest.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from service.cli.text.numbers import energy, percent

if TYPE_CHECKING:
    from jinja2 import Environment

#: Colors of the dashboard, by their names in its style sheet: the palette of Okabe and Ito, distinguishable without
#: red-green vision. A test compares them.
LIGHT: Final = {
    "ground": "#f5f7f9",
    "line": "#dfe3e8",
    "text": "#1b2430",
    "muted": "#56616d",
    "shade": "#eef2f6",
    "trial": "#2b7bba",
    "front": "#c94f00",
    "best": "#007a5a",
    "inputs": "#8a4fa0",
    "parameters": "#b36b00",
    "operations": "#0072b2",
    "outputs": "#3f7d57",
}
#: The same colors for a dark screen.
DARK: Final = {
    "ground": "#10141a",
    "line": "#323c49",
    "text": "#e6eaf0",
    "muted": "#a3afbc",
    "shade": "#232c38",
    "trial": "#58a8e0",
    "front": "#f08c3a",
    "best": "#2fc79a",
    "inputs": "#c58fd6",
    "parameters": "#e6ab2e",
    "operations": "#4aa3df",
    "outputs": "#7fc49a",
}


def render(template: str, **values: Any) -> str:
    """Render a template. Raises `jinja2.UndefinedError` for a missing value."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("service.cli"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["palette"] = {"light": LIGHT, "dark": DARK}
    environment.filters |= {"energy": energy, "percent": percent, "fixed": fixed, "grouped": grouped}
    return environment


def fixed(value: float, digits: int = 1) -> str:
    """A number with `digits` decimals."""
    return f"{value:.{digits}f}"


def grouped(value: float) -> str:
    """A number without decimals, its thousands separated by commas."""
    return f"{value:,.0f}"
