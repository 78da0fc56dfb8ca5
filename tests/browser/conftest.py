"""A browser, and the application on a real socket with jobs in its database."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from service.app import create_app
from service.settings import Settings
from service.store.blobs import BlobStore
from tests.conftest import chromium
from tests.databases import migrate
from tests.service.filled import JOB, Filled, Filler

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

#: How long the page may take for what a test waits for: nothing that a busy machine reaches.
PATIENCE_MS = 120_000
#: FEWBITS_TEST_SLOW_BROWSER=8 slows the page's scripts eightfold: a test that looks before the page is ready fails.
SLOWNESS = float(os.environ.get("FEWBITS_TEST_SLOW_BROWSER", "1"))

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium.

    It ends with its module: while it is open, playwright keeps an event loop running in this thread, in which no later
    test of the process could call `asyncio.run`.
    """
    path = chromium()
    if path is None or shutil.which(path) is None:
        pytest.skip("no Chromium browser on the path or at FEWBITS_TEST_CHROMIUM")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
        yield found
        found.close()


@dataclass(frozen=True)
class Site:
    """The application at an address, and what plays its worker."""

    url: str
    filler: Filler
    blobs: BlobStore


@contextmanager
def serving(folder: Path) -> Iterator[Site]:
    """The application on a free port, with an empty database."""
    app = create_app(Settings(home=folder))
    migrate(app.state.database.engine)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=1
    )  # a page may still follow a stream
    listener = config.bind_socket()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    files = folder / "files"
    files.mkdir()
    filler = Filler(app.state.database, app.state.blobs, files)
    try:
        yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", filler, app.state.blobs)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The application, for all tests of a module."""
    with serving(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def fresh_site(tmp_path: Path) -> Iterator[Site]:
    """The application without jobs and keys, for one test."""
    with serving(tmp_path) as site:
        yield site


def is_fault(message: ConsoleMessage) -> bool:
    """Whether a message of the console is a fault of the page: the browser itself reports refused requests."""
    return message.type == "error" and "Failed to load resource" not in message.text


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """A window of its own that waits as long as it takes."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, **options)
    context.set_default_timeout(PATIENCE_MS)
    return context


def new_page(context: BrowserContext) -> Page:
    """A tab, slowed down if that was asked for."""
    page = context.new_page()
    if SLOWNESS > 1:
        context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWNESS})
    return page


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page; the test fails if a script fails, the policy is broken, or a dialog opens that nobody expects."""
    context = new_context(browser, accept_downloads=True)
    found = new_page(context)
    faults: list[str] = []
    found.on("pageerror", lambda error: faults.append(str(error)))
    found.on("console", lambda message: faults.append(message.text) if is_fault(message) else None)
    found.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    yield found
    context.close()
    assert faults == []


def fill(site: Site) -> Filled:
    """A running job with eight measured trials, a failed one and a running one."""
    job = site.filler.job()
    ids = site.filler.queue(job, 10)
    for trial_id in ids[:8]:
        site.filler.measure(job, trial_id)
    site.filler.fail(ids[8], "loss became NaN in epoch 2")
    site.filler.start(ids[9], epochs=1)
    return job


@pytest.fixture(scope="module")
def filled(site: Site) -> Filled:
    """A job with ten trials, for all tests of a module: they leave it as it is."""
    return fill(site)


@pytest.fixture
def own(site: Site) -> Filled:
    """A job with ten trials that a test may change."""
    return fill(site)


@pytest.fixture
def hostile(fresh_site: Site) -> Filled:
    """A job whose names try to be markup."""
    return fresh_site.filler.job(JOB | {"name": "<img src=x onerror=alert(1)><b>bold</b>"})
