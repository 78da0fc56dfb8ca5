"""Every block of code in README and the pages is run: commands and Python on a service with a worker, jobs by a dry
run. Those that cannot be are counted, with the reason (`blocks.NOT_RUN`).
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import fewbits
from quantization.export.formats import FORMATS
from search.spec.job import SearchSpec
from service.schemas.problems import ProblemDocument
from tests.docs.blocks import ELSEWHERE, NOT_RUN, ROOT, SLOW, Block, blocks
from tests.docs.room import Room, examples, network

BLOCKS: Final = tuple(blocks())
RUN: Final = tuple(block for block in BLOCKS if not block.is_in(NOT_RUN) and not block.is_run_elsewhere)
RUNS_SLOW: Final = bool(os.environ.get("FEWBITS_TEST_ALL_BLOCKS"))

#: Blocks of YAML that are no part of a job.
OTHER_YAML: Final = {
    (
        "docs/how-to/cost.md",
        'conv2d_0: {kernel: "quantized_bits(4,0,1,alpha=1.0)"}',
    ),  # read by a command of its page
    ("docs/how-to/operations.md", "scrape_configs:"),  # of Prometheus
}

#: Programs on pages leave what they opened to the end of their process.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def of(*languages: str) -> list[Any]:
    """The blocks to run in these languages."""
    return [
        pytest.param(block, id=f"{block.page}:{block.line}") for block in RUN if block.language in languages
    ]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("reader")
    (folder / "data").mkdir()
    settings = {"home": folder / "home", "data_dir": folder / "data"}
    with fewbits.local(folder / "home", workers=1, settings=settings) as service:
        room = Room(service, folder, examples())
        room.fill()
        yield room
        room.names.clear()
    gc.collect()  # what programs of pages left open is closed here, where its warnings are ignored


@pytest.fixture(scope="module")
def room_with_keys(room: Room) -> Iterator[Room]:
    home = room.folder / "with-keys"
    with fewbits.local(home, workers=0, settings={"home": home}) as service:
        yield room.with_keys(service)


@pytest.fixture(autouse=True)
def _in_the_readers_folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "room" in request.fixturenames:
        monkeypatch.chdir(request.getfixturevalue("room").folder)


def test_every_block_has_its_place() -> None:
    for table in (NOT_RUN, SLOW, OTHER_YAML):
        for entry in table:
            assert [block for block in BLOCKS if block.is_in([entry])], entry
    assert {block.page for block in BLOCKS} >= ELSEWHERE.keys()
    assert all((ROOT / path).exists() for path in (*ELSEWHERE.values(), *SLOW.values()))
    assert {block.language for block in RUN} == {"", "c", "json", "python", "sh", "toml", "yaml"}
    assert len(NOT_RUN) <= 6, "what cannot be run in a test is the exception"


@pytest.mark.parametrize("block", of("sh"))
def test_commands(room: Room, block: Block, request: pytest.FixtureRequest) -> None:
    if block.page == "docs/how-to/keys.md":
        room = request.getfixturevalue("room_with_keys")
    if block.is_in(SLOW) and not RUNS_SLOW:
        room.parse_shell(block)
    else:
        room.run_shell(block)


@pytest.mark.parametrize("block", of("python"))
def test_python(room: Room, block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    if block.is_in(SLOW) and not RUNS_SLOW:
        pytest.skip("takes a process with Keras: FEWBITS_TEST_ALL_BLOCKS=1 runs it")
    for name in re.findall(r'(?:export_model\(model, |result\.export\()"(\w+)"', block.text):
        if missing := list(FORMATS[name].missing()):
            pytest.skip(f"not installed: {', '.join(missing)}")
    for name, value in room.environment().items():
        monkeypatch.setenv(name, value)
    room.run_python(block, monkeypatch)


@pytest.mark.parametrize("block", of("yaml"))
def test_a_job_or_a_part_of_one_is_accepted(room: Room, block: Block) -> None:
    document = yaml.safe_load(room.text_of(block))
    if block.is_in(OTHER_YAML):
        return
    assert set(document) <= SearchSpec.model_fields.keys()
    base: dict[str, Any] = {
        "model": {"kind": "architecture", "config": json.loads(network().to_json())},
        "data": "digits",
        "limits": 8,
    }
    if block.page == "docs/oracles.md":
        base["model"] = "digits_cnn"  # not every oracle takes every function
    room.service.client.validate(document if "spiking" in document else base | document)


def test_the_notebook(
    room: Room, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in room.environment().items():
        monkeypatch.setenv(name, value)
    shown = "\n".join(room.run_notebook(ROOT / "examples" / "quickstart.ipynb", monkeypatch))
    assert room.service.url in shown
    assert "<iframe sandbox=" in shown
    assert "<table" in shown
    assert "network.c" in capsys.readouterr().out


def test_the_notebook_is_short_and_stores_no_outputs() -> None:
    cells = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text("utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    lines = [line for cell in code for line in cell["source"] if line.strip()]
    assert len(lines) < 50


@pytest.mark.parametrize("block", of("c"))
def test_c_compiles(block: Block, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    header = (
        "#define NETWORK_INPUT_SIZE 64\n#define NETWORK_OUTPUT_SIZE 10\ntypedef signed char network_input_t;\n"
        "typedef int network_output_t;\nvoid network_run(const network_input_t *, network_output_t *);\n"
    )
    constants = (
        "static const float input_subtract[] = {0.0};\nstatic const float input_divide_by[] = {16.0};\n"
        "#define INPUT_STEP (-4)\n#define INPUT_LOW (0)\n#define INPUT_HIGH (15)\n#define INPUT_SCALE (1)\n"
    )
    (tmp_path / "network.h").write_text(header)
    (tmp_path / "input.h").write_text(constants)
    (tmp_path / "main.c").write_text(block.text)
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-c", "main.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", of("json", "toml"))
def test_documents_are_read(block: Block) -> None:
    reader: Any = {"json": json.loads, "toml": tomllib.loads}[block.language]
    document = reader(block.text)
    if "urn:fewbits:problem" in block.text:
        assert ProblemDocument.model_validate(document).errors


@pytest.mark.parametrize("block", of(""))
def test_plain_text_is_no_code(block: Block) -> None:
    assert not re.search(r"^(fewbits|curl|import|from|pip) ", block.text, re.MULTILINE)
