"""What a trial has besides quantizers of layers is shown, too: settings of spikes, a learning rate, executions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site
from tests.browser.looking import api, open_job
from tests.service.filled import Filled

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser

CHOICES = {"spiking.time_steps": 16, "spiking.decay": 0.9, "training.learning_rate": 0.0005}
EXECUTIONS = [
    {"seed": 11, "metric": 0.91, "loss": 0.3, "best_epoch": 2, "selected": False, "kept": False},
    {"seed": 12, "metric": 0.95, "loss": 0.2, "best_epoch": 1, "selected": True, "kept": True},
]


def test_choices_that_no_layer_shows_and_executions_are_listed(
    page: Page, site: Site, filled: Filled
) -> None:
    trial = api(page, site, f"/v1/jobs/{filled.job_id}/trials/3")
    more = {
        "choices": trial["choices"] | CHOICES,
        "learning_rate": 0.0005,
        "executions": EXECUTIONS,
        "spread": {"std": 0.028, "min": 0.91, "max": 0.95},
    }

    def answer(route: Route) -> None:
        route.fulfill(body=json.dumps(trial | more), content_type="application/json")

    page.route(f"**/v1/jobs/{filled.job_id}/trials/3", answer)
    open_job(page, site, filled, "?trial=3")
    panel = page.locator("#trial")
    facts = panel.locator("dl.facts").first
    expect(facts).to_contain_text("Learning rate0.0005")
    expect(facts).to_contain_text("Of 2 executionsmean; deviation 2.80 %, from 91.00 % to 95.00 %")
    others = panel.locator("dl.choices")
    expect(others).to_contain_text("spiking.time_steps16")
    expect(others).to_contain_text("spiking.decay0.9")
    page.click("summary:has-text('Attempts, seed, versions')")
    expect(panel.locator("tr:has-text('its model is stored')")).to_contain_text("12")


def test_a_very_small_learning_rate_is_not_rounded_to_nothing(page: Page, site: Site, filled: Filled) -> None:
    trial = api(page, site, f"/v1/jobs/{filled.job_id}/trials/3") | {"learning_rate": 0.00003}
    page.route(
        f"**/v1/jobs/{filled.job_id}/trials/3",
        lambda route: route.fulfill(body=json.dumps(trial), content_type="application/json"),
    )
    open_job(page, site, filled, "?trial=3")
    expect(page.locator("#trial dl.facts").first).to_contain_text("Learning rate0.00003")
