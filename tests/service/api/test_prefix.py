"""The service below a path, and behind a proxy with TLS: pages, addresses, cookies, streams."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.testclient import TestClient

from service.app import create_app
from service.auth import keys
from service.auth.scopes import KeyScope
from service.settings import Settings
from service.store.session import Database
from tests.service.conftest import URL

PREFIX = "/tools/fewbits"

#: Where a quoted address on the service begins.
ADDRESS = re.compile(r"""["'`](/[a-z#][^"'`$\s]*)""")


@pytest.fixture
def below(settings: Settings) -> Settings:
    return settings.model_copy(update={"root_path": PREFIX})


@pytest.fixture
def http(below: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(below), base_url=URL) as client:
        yield client


@pytest.mark.parametrize("left", ["", PREFIX], ids=["the proxy removes it", "the proxy leaves it"])
@pytest.mark.parametrize("page", ["/", "/docs", "/login"])
def test_addresses_of_pages_are_below_the_prefix_and_lead_somewhere(
    http: TestClient, page: str, left: str
) -> None:
    html = http.get(left + page).text
    addresses = ADDRESS.findall(html)
    assert len(addresses) > 3
    for address in addresses:
        assert address.startswith(f"{PREFIX}/"), address
        path = address.removeprefix(PREFIX).partition("#")[0]
        assert http.get(left + path).status_code == 200, address


@pytest.mark.parametrize("name", ["bundle", "login", "docs", "lib/api", "lib/live_worker", "lib/ahead"])
def test_modules_ask_below_the_prefix(http: TestClient, name: str) -> None:
    text = http.get(f"{PREFIX}/static/{name}.js").text
    asked = re.findall(r"""["'`](/(?:v1|login|static|openapi)[^"'`$]*)""", text)
    assert asked == []
    assert f"{PREFIX}/" in text


def test_without_a_prefix_nothing_changes(settings: Settings) -> None:
    with TestClient(create_app(settings), base_url=URL) as client:
        assert '"/static/' in client.get("/").text
        assert client.get(f"{PREFIX}/").status_code == 404
        assert "servers" not in client.get("/openapi.json").json()


def test_locations_and_the_reference_name_the_prefix(http: TestClient, job: dict[str, Any]) -> None:
    answer = http.post(f"{PREFIX}/v1/jobs", json=job)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"].startswith(f"{PREFIX}/v1/jobs/")
    assert http.get(answer.headers["location"]).status_code == 200
    assert http.get("/openapi.json").json()["servers"] == [{"url": PREFIX}]


@pytest.mark.parametrize("path", ["/tools/fewbitsy/", "/tools", "/tools/fewbits2"])
def test_what_only_begins_like_the_prefix_is_not_below_it(http: TestClient, path: str) -> None:
    assert http.get(path).status_code == 404


@pytest.mark.parametrize(("text", "path"), [("fewbits", "/fewbits"), ("/a/b/", "/a/b"), ("/", ""), (" ", "")])
def test_a_prefix_is_written_with_and_without_slashes(text: str, path: str) -> None:
    assert Settings(root_path=text).root_path == path


@pytest.mark.parametrize("text", ['"x', "a b", "a//b", "a?b", "<a>"])
def test_a_prefix_that_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as /fewbits"):
        Settings(root_path=text)


# --- nginx -----------------------------------------------------------------------------------------------------------

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("nothing listens")


@pytest.fixture
def served(below: Settings) -> Iterator[int]:
    """The service on a port of its own, with a key."""
    port = free_port()
    settings = below.model_copy(update={"allowed_hosts": "localhost,127.0.0.1"})
    config = uvicorn.Config(create_app(settings), port=port, log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(port)
    yield port
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def proxied(served: int, tmp_path: Path) -> Iterator[str]:
    """The address of an nginx with TLS before it."""
    openssl = shutil.which("openssl")
    if NGINX is None or openssl is None:
        pytest.skip("nginx and openssl are not installed")
    port = free_port()
    make = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run(
        [openssl, *make.split(), "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    places = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
        f"http {{ access_log off; {places}\n"
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {tmp_path}/cert.pem;"
        f" ssl_certificate_key {tmp_path}/key.pem;\n"
        f"location {PREFIX}/ {{ proxy_pass http://127.0.0.1:{served}; proxy_buffering off;"
        " proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;"
        " proxy_set_header X-Forwarded-Proto $scheme; } } }\n"
    )
    process = subprocess.Popen(
        [NGINX, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        yield f"https://localhost:{port}{PREFIX}"
    finally:
        process.terminate()
        process.wait(10)


def test_a_browser_logs_in_through_nginx(proxied: str, below: Settings, tmp_path: Path) -> None:
    database = Database(below.database)
    with database.transaction() as session:
        _, token = keys.create(session, tenant="local", name="a key", scope=KeyScope.ADMIN, lifetime=None)
    database.dispose()
    context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with httpx.Client(verify=context, trust_env=False, timeout=30) as browser:
        assert PREFIX in browser.get(f"{proxied}/").text
        assert browser.get(f"{proxied}/v1/jobs").status_code == 401
        origin = proxied.removesuffix(PREFIX)
        answer = browser.post(
            f"{proxied}/v1/session",
            json={"key": str(token)},
            headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"},  # as browsers send them
        )
        assert answer.is_success, answer.text
        cookie = answer.headers["set-cookie"]
        assert f"Path={PREFIX}" in cookie
        assert "Secure" in cookie
        assert browser.get(f"{proxied}/v1/jobs").status_code == 200
