"""The room in which blocks of the pages are run: a service with a job, and the files that the pages speak of."""

from __future__ import annotations

import ast
import copy
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner

import fewbits
from quantization.models.convert import quantize
from search.data.digits import read_digits
from search.networks.zoo import zoo_config
from service.cli import app
from tests.docs.blocks import ROOT, Block, of_page
from tests.exports.test_akida import chain

#: What pages write for a job, a trial, a model and a data set of the reader's.
JOB_ID, KEY_ID, MODEL_ID, DATA_ID = "3f9c0a7be1d24476", "1a2b3c4d", "5f0c3a9be2d14477", "81aa02c4f7e6b3d9"
URL: Final = "http://127.0.0.1:8765"
#: A search on a page is long, in a test it is short: pattern -> replacement.
SHORT: Final = (
    (r"\btrials=\d+", "trials=1"),
    (r'"trials": \d+', '"trials": 1'),
    (r'"limits": 8\}', '"limits": 8, "budget": {"trials": 1}, "training": {"epochs": 1}}'),
    (r"\bepochs=\d+", "epochs=1"),
    (r"(--epochs|-e) \d+", r"\1 1"),
)
#: Of the words of a page, those of commands alone.
_SHELL_WORDS: Final = ("ID", "JOB", "TRIAL")
#: A line of the shell that is one command of ours, with nothing for the shell to do.
_PLAIN: Final = re.compile(r"fewbits [^|&$<>;]*$")


def examples() -> dict[str, np.ndarray[Any, Any]]:
    """A few of the digits."""
    x, y = read_digits()
    return {"x": x.reshape(-1, 8, 8, 1)[:200].astype("float32"), "y": y[:200].astype("int64")}


def small_network() -> keras.Model:
    """A model that a trial trains within a second."""
    return keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10, name="out")]
    )


def network() -> keras.Model:
    """A network with the layers that pages name in their limits."""
    inputs = keras.Input((8, 8, 1), name="inputs")
    x = keras.layers.Conv2D(2, 3, strides=2, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="n1")(x)
    x = keras.layers.Activation("relu", name="act")(x)
    x = keras.layers.Add(name="sum")([x, x])
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(8, activation="gelu", name="hidden")(x)
    x = keras.layers.Dense(6, activation="tanh", name="head_1")(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(x), name="mine")


def quantized_network() -> keras.Model:
    """A quantized one, which every format of export takes."""
    inputs = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv_1")(inputs)
    x = keras.layers.Activation("relu", name="act_1")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(10, name="scores")(x)
    model = keras.Model(inputs, keras.layers.Activation("softmax", name="probabilities")(x))
    weights = {"kernel": "quantized_bits(4,0,1,alpha=1.0)", "bias": "quantized_bits(8,3,1)"}
    return quantize(
        model, {"conv_1": weights, "act_1": {"activation": "quantized_relu(4,2)"}, "scores": weights}
    )


def _model_of(page: str) -> keras.Model:
    """What a page calls `model`: the reader's own, or a quantized one."""
    if page == "README.md":
        return small_network()
    return chain() if page.endswith("akida.md") else quantized_network()


@dataclass
class Room:
    """A running service with a finished job, and a folder with the reader's files."""

    service: fewbits.LocalService
    folder: Path
    data: dict[str, np.ndarray[Any, Any]]
    words: dict[str, str] = field(default_factory=dict)  #: what a page writes -> what it is here
    key: str = ""
    names: dict[str, dict[str, Any]] = field(default_factory=dict)  #: page -> names of its blocks of Python

    def fill(self) -> None:
        """Write the files, upload, and run a job of one trial."""
        small_network().save(self.folder / "my_model.keras")
        np.savez(self.folder / "my_data.npz", **self.data)
        client = self.service.client
        ids = (
            client.upload_model(self.folder / "my_model.keras").id,
            client.upload_dataset(self.folder / "my_data.npz").id,
        )
        job: dict[str, Any] = {
            "model": {"kind": "uploaded", "id": ids[0]},
            "data": {"kind": "uploaded", "id": ids[1]},
            "limits": 8,
            "training": {"epochs": 1},
            "budget": {"trials": 1},
        }
        self._write_files(job)
        submitted = client.wait(client.submit(job).id)
        assert submitted.best is not None, submitted.reason
        content = (self.folder / "my_model.keras").read_bytes()
        self.words = {
            JOB_ID: submitted.id,
            "0123456789abcdef": submitted.id,
            MODEL_ID: ids[0],
            DATA_ID: ids[1],
            URL: self.service.url,
            "JOB.yaml": "job.yaml",
            "/trials/7": "/trials/0",
            "40425": str(len(content)),
            "dfb6...": hashlib.sha256(content).hexdigest(),
            "models/ID": f"models/{ids[0]}",
            "ID": submitted.id,
            "JOB": submitted.id,
            "TRIAL": "0",
        }
        self.run_command("finalize", submitted.id, "0", "--epochs", "1", "--wait")

    def _write_files(self, job: Mapping[str, Any]) -> None:
        config = zoo_config("mnist_convblock")
        (self.folder / "job.yaml").write_text(yaml.safe_dump(dict(job)))
        (self.folder / "job.json").write_text(json.dumps(job))
        (self.folder / "net.json").write_text(json.dumps(config))
        keras.models.model_from_json(json.dumps(config)).save(self.folder / "net.keras")
        cost_model = (ROOT / "docs/cost-model.md").read_text()
        [profile] = [block for block in of_page("", cost_model) if block.language == "toml"]
        (self.folder / "mine.toml").write_text(profile.text)
        quantizers = (ROOT / "docs/how-to/cost.md").read_text()
        [file] = [block for block in of_page("", quantizers) if block.language == "yaml"]
        (self.folder / "quantizers.yaml").write_text(file.text)
        constants = {"subtract": 0, "divide_by": 16, "input_shape": [8, 8, 1]}
        (self.folder / "preprocessing.json").write_text(json.dumps(constants))
        source = 'run_config = {"limit": {"Dense": [8, 8, 8]}, "max_trials": 1}'
        cell = {"cell_type": "code", "source": [source]}
        (self.folder / "AutoQKeras.ipynb").write_text(json.dumps({"cells": [cell]}))
        np.savez(self.folder / "data" / "train.npz", x_train=self.data["x"], y_train=self.data["y"])
        for part in ("val", "test"):
            np.savez(self.folder / "data" / f"{part}.npz", x=self.data["x"], y=self.data["y"])

    def text_of(self, block: Block) -> str:
        """The block with the reader's own names, and short searches."""
        text = block.text
        for word, meaning in self.words.items():
            if word not in _SHELL_WORDS:
                text = text.replace(word, meaning)
            elif block.language == "sh":
                text = re.sub(rf"\b{word}\b", meaning, text)
        return self.shortened(text)

    @staticmethod
    def shortened(text: str) -> str:
        """The text with short searches."""
        for pattern, replacement in SHORT:
            text = re.sub(pattern, replacement, text)
        return text

    def environment(self) -> dict[str, str]:
        """Of the commands; `url` is a variable of the page on REST."""
        return {
            "url": self.service.url,
            "FEWBITS_URL": self.service.url,
            "FEWBITS_HOME": str(self.service.home),
            "FEWBITS_DATA_DIR": str(self.folder / "data"),
            "FEWBITS_API_KEY": self.key,
        }

    def with_keys(self, service: fewbits.LocalService) -> Room:
        """The same with a service that requires a key: its id is the page's ID."""
        keyed = replace(self, service=service)
        made = json.loads(keyed.run_command("keys", "create", "first", "--scope", "admin", "--json"))
        key = {"fewbits_0123456789ab_...": made["key"], "ID": made["id"], URL: service.url}
        return replace(keyed, key=made["key"], words=self.words | key)

    def run_python(self, block: Block, patch: pytest.MonkeyPatch) -> None:
        """Run a block in this process, with the names of the blocks before it on its page."""
        patch.setattr(fewbits, "local", lambda *_, **__: self._shared_service())
        names = self.names.get(block.page) or self.names.setdefault(block.page, self._prelude(block.page))
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # pages open files for a line
            exec(compile(self.text_of(block), f"{block.page}:{block.line}", "exec"), names)  # noqa: S102

    def _shared_service(self) -> fewbits.LocalService:
        """The service of this room in place of one of a page's own; closing it ends nothing."""
        shared = copy.copy(self.service)
        shared.close = lambda: None  # type: ignore[method-assign]
        return shared

    def run_notebook(self, path: Path, patch: pytest.MonkeyPatch) -> list[str]:
        """Run the cells of a notebook in this process; what it would show of the last expressions, as HTML or text."""
        patch.setattr(fewbits, "local", lambda *_, **__: self._shared_service())
        names: dict[str, Any] = {"__name__": "__main__"}
        shown: list[str] = []
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if cell["cell_type"] != "code":
                continue
            tree = ast.parse(self.shortened("".join(cell["source"])))
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, path.name, "exec"), names)  # noqa: S102
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), path.name, "eval"), names)  # noqa: S307
                shown.append(value._repr_html_() if hasattr(value, "_repr_html_") else repr(value))
        return shown

    def _prelude(self, page: str) -> dict[str, Any]:
        """What a reader has before the first block of a page."""
        x = self.data["x"] / 16
        out = self.folder / "exported"
        shutil.rmtree(out, ignore_errors=True)
        names = {
            "model": _model_of(page),
            "x": x,
            "y": self.data["y"],
            "x_test": x[:20],
            "images": x[:20],
            "numbers": x[:20, 0, :, 0],
            "prices": self.data["y"][:20],
            "folder": out,
            "fewbits": fewbits,
            "json": json,
            "np": np,
            "numpy": np,
            "keras": keras,
        }
        return names | {"__name__": "__main__"}

    def run_shell(self, block: Block) -> None:
        """Run a block line by line: our commands in this process, others by bash."""
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        if "out/quantizers.json" in block.text:
            self.run_command("fetch", self.words["ID"], "0", "-o", "out")
        script: list[str] = []
        for line in _lines(self.text_of(block)):
            if _PLAIN.match(line):
                self.run_command(*shlex.split(line, comments=True)[1:])
            else:
                script.append(line)
        if script:
            self._bash("\n".join(script))

    def parse_shell(self, block: Block) -> None:
        """Check that our commands of a block exist, with these options and arguments."""
        group: Any = typer.main.get_command(app)
        for line in _lines(self.text_of(block)):
            assert _PLAIN.match(line), line
            words = shlex.split(line, comments=True)[1:]
            with group.commands[words[0]].load().make_context(words[0], words[1:]):
                pass

    def run_command(self, *arguments: str) -> str:
        """Run `fewbits` in this process; its output."""
        result = CliRunner().invoke(app, list(arguments), env=self.environment())
        assert result.exit_code == 0, f"fewbits {' '.join(arguments)}\n{result.output}"
        return result.output

    def _bash(self, script: str) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**os.environ, **self.environment(), "PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout[-1000:]}{done.stderr[-2000:]}"
        # the page ends a job that has ended here, and deletes what a job uses
        refused = re.findall(r'"urn:fewbits:problem:[^}]*?"status":(\d+)', done.stdout)
        assert set(refused) <= {"409"}, f"{script}\n{done.stdout[-2000:]}"


def _lines(text: str) -> list[str]:
    """Commands of a block without comments, also those that go on in the next line."""
    lines: list[str] = []
    for line in text.splitlines():
        if lines and lines[-1].count("'") % 2:
            lines[-1] += "\n" + line
        else:
            command = line.partition("  #")[0]
            parts = [command] if "'" in command else command.split("; ")
            lines += [part.strip() for part in parts if part.strip() and not part.startswith("#")]
    return lines
