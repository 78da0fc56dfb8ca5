"""The tools that targets stand for: how their environments are made, and how their verdicts on networks are recorded.

    python -m tests.truth.tools.record [hls4ml akida xylo] [--only TEXT]

creates each missing environment under ~/.cache/fewbits (or takes the interpreter that FEWBITS_HLS4ML_PYTHON,
FEWBITS_AKIDA_PYTHON or FEWBITS_XYLO_PYTHON names), lets the tool convert, compile and run the networks of
`tests/truth/tools/*_nets.py`, and writes `tests/truth/verdicts/*.json`. Compiling a network for hls4ml takes seconds,
all of them most of an hour: `--missing` asks for those without a verdict only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.truth.tools import akida_nets, hls4ml_nets, xylo_nets
from tests.truth.tools.net import Net

_CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fewbits"
_FOLDER: Final = Path(__file__).parent
VERDICTS: Final = _FOLDER.parent / "verdicts"
#: The one verdict of a network that the tool converts and computes as Keras does.
CONVERTED: Final = "converted"


@dataclass(frozen=True)
class Tool:
    """The tool of a target: packages of its environment, networks, and options of a run without a compiler."""

    packages: tuple[str, ...]
    nets: Mapping[str, Net]
    quick: tuple[str, ...] = ()

    def verdicts(
        self, python: str, target: str, nets: Sequence[Net], *options: str
    ) -> Iterator[dict[str, Any]]:
        """The tool's versions, then its verdict on each network. RuntimeError if its process fails."""
        command = [python, str(_FOLDER / f"{target}_side.py"), *options]
        documents = json.dumps([net.document() for net in nets])
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(documents)
            process.stdin.close()
            yield from (json.loads(line) for line in process.stdout if line.startswith("{"))
        if process.returncode:
            needed = " ".join(self.packages)
            raise RuntimeError(
                f"{target}: its process ended with {process.returncode}; {python} needs {needed}"
            )


TOOLS: Final[Mapping[str, Tool]] = {
    "hls4ml": Tool(
        ("hls4ml==1.3.0", "tensorflow==2.14.*", "qkeras==0.9.0", "pyparsing<3.2", "setuptools<81"),
        hls4ml_nets.NETS,
        ("--convert",),
    ),
    "akida": Tool(("cnn2snn==2.19.3",), akida_nets.NETS),
    "xylo": Tool(("rockpool==3.1.0",), xylo_nets.NETS),
}


def interpreter(target: str) -> str | None:
    """The Python of a tool's environment that a variable names; None without it."""
    return os.environ.get(f"FEWBITS_{target.upper()}_PYTHON")


def made_interpreter(target: str) -> str:
    """The Python of a tool's environment, created if there is none. CalledProcessError if that fails."""
    named = interpreter(target)
    if named is not None:
        return named
    home = _CACHE / f"tool_{target}"
    python = home / "bin" / "python"
    if not python.exists():
        print(f"creating {home} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *TOOLS[target].packages], check=True)
    return str(python)


def recorded(target: str) -> dict[str, Any]:
    """The file of a tool's verdicts: `tool` (versions and settings) and `verdicts` by the name of a network."""
    path = VERDICTS / f"{target}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {"tool": {}, "verdicts": {}}


def write(target: str, tool: Mapping[str, Any], verdicts: Mapping[str, Any]) -> None:
    """Write the file, in the order of the networks; networks that are no more are left out."""
    names = [name for name in TOOLS[target].nets if name in verdicts]
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(verdicts[name])}" for name in names)
    command = f"python -m tests.truth.tools.record {target}"
    head = json.dumps({**tool, "made_by": command})
    (VERDICTS / f"{target}.json").write_text(f'{{\n  "tool": {head},\n  "verdicts": {{\n{lines}\n  }}\n}}\n')


def record(target: str, only: str, missing: bool) -> None:
    """Ask the tool for its verdicts and write them, one by one."""
    verdicts = recorded(target)["verdicts"]
    chosen = [net for net in TOOLS[target].nets.values() if only in net.name]
    nets = [net for net in chosen if not (missing and net.name in verdicts)]
    answers = TOOLS[target].verdicts(made_interpreter(target), target, nets)
    tool = next(answers)
    for answer in answers:
        name = answer.pop("name")
        print(f"{target}: {name}: {answer['verdict']}")
        verdicts[name] = answer
        write(target, tool, verdicts)


def main() -> None:
    """Record the verdicts of the tools that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("targets", nargs="*", choices=[*TOOLS, []], default=list(TOOLS))
    parser.add_argument("--only", default="", help="networks whose name contains this text")
    parser.add_argument("--missing", action="store_true", help="networks without a recorded verdict")
    arguments = parser.parse_args()
    for target in arguments.targets:
        record(target, arguments.only, arguments.missing)


if __name__ == "__main__":
    main()
