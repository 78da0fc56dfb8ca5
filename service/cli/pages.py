"""HTML pages from the templates of this package. Every value is escaped; pages load nothing and run no scripts."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from service.cli.text.numbers import energy, percent

if TYPE_CHECKING:
    from jinja2 import Environment

#: Colors of the dashboard, by their names in its style sheet: the palette of Okabe and Ito, distinguishable without
#: red-green vision. A test compares them.
LIGHT: Final = {
    "ground": "#fbfbfc",
    "line": "#dfe3e8",
    "text": "#1b2430",
    "muted": "#5c6773",
    "shade": "#f0f4f8",
    "trial": "#56a0d3",
    "front": "#c94f00",
    "best": "#007a5a",
    "inputs": "#56b4e9",
    "parameters": "#e69f00",
    "operations": "#0072b2",
    "outputs": "#8fbf9f",
}
#: The same colors for a dark screen.
DARK: Final = {
    "ground": "#12161c",
    "line": "#323c49",
    "text": "#e6eaf0",
    "muted": "#9aa7b5",
    "shade": "#222b37",
    "trial": "#4a93c9",
    "front": "#f08c3a",
    "best": "#2fc79a",
    "inputs": "#8fd0f5",
    "parameters": "#e6ab2e",
    "operations": "#4aa3df",
    "outputs": "#7fb894",
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
