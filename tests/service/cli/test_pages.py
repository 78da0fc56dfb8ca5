"""HTML pages: the plots are inside their frames, the colors are the dashboard's, and names are never markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.cost.answer import price_network
from search.spec.cost import CostSpec
from service import dashboard
from service.cli import cost_html, pages, report
from service.cli.charts import Axis, Dot, Plot, scatter, steps
from service.cli.report import Collected
from service.client import SearchClient
from service.schemas.jobs import TensorView
from tests.search.nets import functional, layer
from tests.service.filled import Filler

HARMLESS = "a name"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "</title></style><iframe src=//x>",
    "{{ 7 * 7 }}{% raw %}",
)


class Page(HTMLParser):
    """The elements and texts of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.texts: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


# --- plots ---------------------------------------------------------------------------------------------------------


def svg(plot: Plot | None) -> str:
    """The plot as its template draws it."""
    source = '{% from "plot.html.j2" import draw %}{{ draw(plot) }}'
    return pages._environment().from_string(source).render(plot=plot)


numbers = st.floats(1e-3, 1e12)


@given(points=st.lists(st.tuples(numbers, st.floats(0, 1)), min_size=1, max_size=12), is_log=st.booleans())
def test_every_dot_of_a_plot_is_inside(points: list[tuple[float, float]], is_log: bool) -> None:
    x, y = Axis("cost", str, is_log=is_log), Axis("metric", str)
    drawn = svg(scatter([Dot(a, b, "kept", "") for a, b in points], [], x, y, mark=1.0))
    for cx, cy in re.findall(r'cx="([-\d.]+)" cy="([-\d.]+)"', drawn):
        assert 64 <= float(cx) <= 740
        assert 14 <= float(cy) <= 314
    assert drawn.count("<circle") == len(points)
    assert "nan" not in drawn + svg(steps(sorted(points), points[-1][0], x, y))


def test_texts_of_a_plot_are_escaped() -> None:
    drawn = svg(scatter([Dot(1, 1, "dot", "<x>")], [], Axis("<a>", str), Axis('"b"', str), mark=None))
    assert "&lt;x&gt;" in drawn
    assert "<x>" not in drawn
    assert "<a>" not in drawn
    assert 'aria-label="&#34;b&#34; against &lt;a&gt;, 1 trials"' in drawn


# --- colors --------------------------------------------------------------------------------------------------------


def test_pages_have_the_colors_of_the_dashboard() -> None:
    (folder,) = dashboard.__path__
    style = (Path(folder) / "style.css").read_text()
    light, dark = re.findall(
        r"^:root(?:\[data-theme=\"dark\"\])? \{(.*?)\}", style, re.DOTALL | re.MULTILINE
    )[:2]
    for palette, rules in ((pages.LIGHT, light), (pages.DARK, dark)):
        colors = dict(re.findall(r"--([\w-]+): (#\w+);", rules))
        assert palette == {name: colors[name] for name in palette}


def test_light_and_dark_pages_name_the_same_colors() -> None:
    assert pages.LIGHT.keys() == pages.DARK.keys()


# --- hostile names -------------------------------------------------------------------------------------------------


@pytest.fixture
def collected(filler: Filler, client: SearchClient) -> Collected:
    """The contents of a report on measured trials."""
    filled = filler.job()
    for trial_id in filler.queue(filled, 3):
        filler.measure(filled, trial_id)
    return report.collect(client, filled.job_id)


def renamed(collected: Collected, name: str) -> Collected:
    """The same with this name wherever a report shows one."""
    assert collected.trial is not None
    slots = {name: TensorView(quantizer=name, bits=4)}
    layers = tuple(
        view.model_copy(update={"name": name, "class_name": name, "slots": slots})
        for view in collected.trial.layers
    )
    names: dict[str, Any] = dict.fromkeys(("name", "model", "data", "reason", "metric_name"), name)
    names |= {"warnings": (name,), "spec": {name: [name]}, "cost_unit": name}
    return replace(
        collected,
        job=collected.job.model_copy(update=names),
        trial=collected.trial.model_copy(update={"layers": layers}),
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_names_in_a_report_are_never_markup(collected: Collected, name: str) -> None:
    hostile = Page(report.page(renamed(collected, name)))
    assert hostile.elements == Page(report.page(renamed(collected, HARMLESS))).elements
    assert name in hostile.texts


def cost_page(name: str) -> str:
    """The page on a network whose every name is this one."""
    config = functional((4,), [layer("Dense", "dense", ["input"], units=3)])
    priced = price_network(CostSpec.model_validate({"model": {"kind": "architecture", "config": config}}))
    cost = priced.answer()
    names = {"name": name, "class_name": name, "quantizers": {name: name}}
    layers = tuple(replace(price, **names) for price in cost.layers)
    return cost_html.page(
        priced,
        replace(cost, model=name, profile=name, profile_title=name, second_hand=(name,), layers=layers),
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_names_in_a_page_of_costs_are_never_markup(name: str) -> None:
    hostile = Page(cost_page(name))
    assert hostile.elements == Page(cost_page(HARMLESS)).elements
    assert name in hostile.texts


def test_a_value_that_a_template_misses_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        pages.render("base.html.j2")
