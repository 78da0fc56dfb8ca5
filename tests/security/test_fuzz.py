"""schemathesis against the application in this process: a few derandomized examples of every route, all checks.

`make fuzz` runs thousands against a running service.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from hypothesis import HealthCheck

from service.app import create_app
from service.settings import Settings
from tests.security.fuzz import prepare

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis

if TYPE_CHECKING:
    from schemathesis import Case

EXAMPLES = 4


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The reference of an application with jobs and uploads."""
    home: Path = tmp_path_factory.mktemp("fuzz")
    key = prepare(home)
    app = create_app(
        Settings(home=home, requests_per_minute=0, allowed_hosts="testserver", compute_processes=0)
    )
    config = home / "local" / "schemathesis.toml"
    # it takes the key for one of its own making where it makes other headers; test_authorization.py asks every route
    settings_text = config.read_text().replace("[checks]", "[checks]\nignored_auth.enabled = false")
    config.write_text(f'headers = {{ Authorization = "Bearer {key}" }}\n' + settings_text)
    yield schemathesis.openapi.from_asgi(
        "/openapi.json",
        app,
        config=schemathesis.Config.from_path(config),
    )
    app.state.database.dispose()


def test_every_route_keeps_to_the_reference(api: Any) -> None:
    operations = [result.ok() for result in api.get_all_operations()]
    assert len(operations) > 40
    faults = []
    for operation in operations:
        try:
            examine(operation)
        except (AssertionError, BaseExceptionGroup) as fault:
            faults.append(f"{operation.label}: {fault}")
    assert not faults, "\n\n".join(faults)


def examine(operation: Any) -> None:
    """A few cases of one route."""

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def run(case: Case) -> None:
        case.call_and_validate()

    run()
