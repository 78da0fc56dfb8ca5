"""What tests share: databases built by the migrations, and which services this machine has."""

from __future__ import annotations

import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from service.store import session
from service.store.session import Database
from tests.databases import Changed, columns, empty, migrate

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Without it, TensorFlow computes no dilated transposed convolutions on some processors.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Applications in this process compute in it: tests of the processes that do so otherwise make their own.
os.environ.setdefault("FEWBITS_COMPUTE_PROCESSES", "0")

#: A busy machine draws examples slowly.
SLOW = [hypothesis.HealthCheck.too_slow]
# One commit, one result: `--hypothesis-profile=explore` looks for new examples.
hypothesis.settings.register_profile("stable", derandomize=True, deadline=None, suppress_health_check=SLOW)
hypothesis.settings.register_profile(
    "explore", derandomize=False, max_examples=1_000, deadline=None, suppress_health_check=SLOW
)
hypothesis.settings.load_profile("stable")

# No test loses power: what this process writes need not reach the disk before it goes on.
os.fsync = lambda _descriptor: None
session.SYNCHRONOUS = dict.fromkeys(session.SYNCHRONOUS, "OFF")  # type: ignore[misc]

#: What runs in these has tests of its own beside them; coverage's tracer makes them half as long again.
_UNTRACED = (
    "tests/golden/",
    "tests/contracts/test_oracles.py",
    "tests/quantization/test_accuracy.py",
    "tests/search/training/program/test_program.py",
    "tests/worker/test_kills.py",
)

_LOCAL_POSTGRES = "postgresql://postgres@127.0.0.1:5432/test"
_LOCAL_REDIS = "redis://127.0.0.1:6379/13"


#: The files that take longest, longest first: begun last, one of them would keep the others' processes waiting.
SLOWEST = (
    *("acceptance/test_main_job.py", "acceptance/test_lifecycle.py", "docs/test_blocks.py"),
    *("browser/test_dashboard.py", "acceptance/test_uploads.py", "models/test_models.py"),
    *("contracts/test_layers.py", "search/training/program/test_program.py", "browser/test_accessibility.py"),
    *("browser/test_live.py", "models/test_trials.py", "quantization/test_accuracy.py"),
    *("benchmarks/test_batched.py", "contracts/test_oracles.py", "truth/test_accept.py"),
    *("golden/test_libraries_batchnorm.py", "search/test_warm.py"),
)

#: Cases of one test that are traced: further ones run the same lines with other values.
_TRACED_CASES = 3
_IS_TRACED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest files; keep the tracer, a third of the time, out of the tests that need it least."""
    order = {f"tests/{name}": place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))
    cases: Counter[str] = Counter()
    for item in items:
        test = item.nodeid.partition("[")[0]
        cases[test] += 1
        # Hypothesis runs the same lines a hundred times.
        repeats = cases[test] > _TRACED_CASES or getattr(
            getattr(item, "obj", None), "is_hypothesis_test", False
        )
        item.stash[_IS_TRACED] = not repeats and not test.startswith(_UNTRACED)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, bool, bool]:
    """Stop and start the tracer between tests: the marker `no_cover` would do so around each of thousands."""
    controller = getattr(item.config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    if controller is None or item.stash[_IS_TRACED]:
        return (yield)
    if not getattr(controller, "is_paused", False):
        controller.cov.stop()
    ended = yield
    controller.is_paused = nextitem is not None and not nextitem.stash[_IS_TRACED]
    if not controller.is_paused:
        controller.cov.start()
    return ended


#: Names of files that end whatever imports them: our packages, those we stand on, and modules of Python itself.
_SHADOWS = (
    *("costmodel", "migrations", "quantization", "search", "service", "worker", "tests", "alembic", "celery"),
    *(
        "celeryconfig",
        "fastapi",
        "json",
        "keras",
        "kombu",
        "logging",
        "numpy",
        "platform",
        "pydantic",
        "sqlalchemy",
    ),
    *("tensorflow", "typing", "uvicorn"),
)


@pytest.fixture(scope="module")
def importable_tests() -> Iterator[None]:
    """Have the processes that the tests of a module start find modules of the tests: the product never would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
        yield


@pytest.fixture
def shadows(tmp_path: Path) -> Path:
    """A user's folder with files that are called like modules of the product."""
    folder = tmp_path / "a user's folder"
    folder.mkdir()
    for name in _SHADOWS:
        (folder / f"{name}.py").write_text("raise SystemExit('a file of the current folder was imported')")
    return folder


def postgres_url() -> str | None:
    """The PostgreSQL server for tests: FEWBITS_TEST_DATABASE_URL, or one that answers on loopback."""
    url = os.environ.get("FEWBITS_TEST_DATABASE_URL", _LOCAL_POSTGRES)
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return None
    return url


def redis_url() -> str | None:
    """The Redis server for tests: FEWBITS_TEST_BROKER_URL, or one that answers on loopback."""
    import redis

    url = os.environ.get("FEWBITS_TEST_BROKER_URL", _LOCAL_REDIS)
    client = redis.Redis.from_url(url, socket_connect_timeout=2)
    try:
        client.ping()
    except redis.ConnectionError:
        return None
    finally:
        client.close()
    return url


def chromium() -> str | None:
    """The browser for tests: FEWBITS_TEST_CHROMIUM, or the one on the path."""
    return os.environ.get("FEWBITS_TEST_CHROMIUM") or shutil.which("chromium")


@pytest.fixture(scope="session")
def make_postgres_schema() -> Callable[[], str]:
    """Makes an empty schema on the PostgreSQL server and returns a URL that uses it; skips where there is no server."""

    def make() -> str:
        url = postgres_url()
        if url is None:
            pytest.skip("no PostgreSQL server on loopback or at FEWBITS_TEST_DATABASE_URL")
        name = f"fewbits_{uuid.uuid4().hex}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'CREATE SCHEMA "{name}"')
        return f"{url}?options=-csynchronous_commit%3Doff%20-csearch_path%3D{name}"

    return make


def drop_schema(url: str) -> None:
    """Remove what `make_postgres_schema` made."""
    server, _, name = url.partition("?options=-csynchronous_commit%3Doff%20-csearch_path%3D")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA "{name}" CASCADE')


@pytest.fixture(scope="session")
def spare_schemas() -> Iterator[list[tuple[str, int]]]:
    """Schemas that a test has left empty, with their `columns`: the next one takes them."""
    schemas: list[tuple[str, int]] = []
    yield schemas
    for url, _ in schemas:
        drop_schema(url)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def database(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    make_postgres_schema: Callable[[], str],
    spare_schemas: list[tuple[str, int]],
) -> Iterator[Database]:
    """An empty database at the newest revision, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        found = Database(f"sqlite:///{tmp_path / 'fewbits.db'}")
        migrate(found.engine)
        yield found
        found.dispose()
        return
    url, expected = spare_schemas.pop() if spare_schemas else (make_postgres_schema(), 0)
    found = Database(url.replace("postgresql://", "postgresql+psycopg://"))
    if not expected:
        migrate(found.engine)
        expected = columns(found.engine)
    yield found
    try:
        empty(found.engine, expected)
    except (Changed, DBAPIError):  # or a transaction is open still, or the tests are no superuser
        drop_schema(url)
    else:
        spare_schemas.append((url, expected))
    found.dispose()
