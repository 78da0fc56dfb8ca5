"""`fewbits-client`: the client without the service, without numpy, Keras and SQL."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

import service.client
from service.client import SearchClient
from tests.service.filled import Filler
from tools.distributions import DISTRIBUTIONS
from tools.distributions.assemble import ROOT, assemble, modules, project_file
from tools.distributions.client import package

CLIENT: Final = DISTRIBUTIONS["fewbits-client"]
_SCRIPT: Final = """
import sys
sys.path.insert(0, {tree!r})
import fewbits_client, httpx, json

def answer(request):
    return httpx.Response(200, json=json.load(open("job.json")) if "/jobs/" in request.url.path else {{"items": []}})

http = httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer))
client = fewbits_client.SearchClient("http://service", http=http)
print(client.job("0123456789abcdef").status, len(list(client.jobs())))
try:
    client.upload_dataset("pickle.npz")
except fewbits_client.NotUploadable as error:
    print(type(error).__name__)
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("client")
    assemble(CLIENT, folder)
    return folder


def test_it_names_what_the_client_of_the_service_names() -> None:
    assert set(package.__all__) == {*service.client.__all__, "Conversion"}


def test_it_has_no_module_of_service_search_and_training() -> None:
    rooms = {".".join(name.split(".")[:2]) for name in modules(CLIENT)}
    assert {room for room in rooms if room.startswith("service.")} == {"service.client", "service.schemas"}
    assert {room for room in rooms if room.startswith("search.")} <= {
        "search.history", "search.results", "search.spec", "search.upload_file"
    }  # fmt: skip
    assert len(modules(CLIENT)) < 70


def test_it_answers_with_httpx_and_pydantic_alone(tree: Path, job_text: str, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(job_text)
    (tmp_path / "pickle.npz").write_bytes(b"\x80\x04")
    done = subprocess.run(
        [sys.executable, "-P", "-c", _SCRIPT.format(tree=str(tree))],
        env={"PATH": "", "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    status, fault, loaded = done.stdout.splitlines()
    assert (status, fault) == ("running 0", "NotUploadable")
    ours = {"service", "search", "quantization", "costmodel", "fewbits"}
    beyond = {
        "numpy",
        "sqlalchemy",
        "fastapi",
        "celery",
        "keras",
        "tensorflow",
        "yaml",
        "typer",
        "re2",
        "starlette",
    }
    assert not set(json.loads(loaded)) & (ours | beyond)


@pytest.fixture
def job_text(filler: Filler, client: SearchClient) -> str:
    """A job as the service answers it."""
    return client.job(filler.job().job_id).model_dump_json()


def test_the_wheel_needs_httpx_and_pydantic(tmp_path: Path) -> None:
    assert [re.split("[><=]", text)[0] for text in CLIENT.dependencies] == ["httpx", "pydantic"]
    stated = tomllib.loads(project_file(CLIENT))["project"]
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(CLIENT.dependencies) <= set(whole["dependencies"])
    assert stated["requires-python"] == whole["requires-python"]
