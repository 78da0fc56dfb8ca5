"""Every vector file there is, and the kind of check it needs.

`FEWBITS_GOLDEN` names a folder laid out like `tests/golden/data` (`energy/`, `libraries/`), in full or in part; for a
part it lacks the committed copies are used.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

OWN: Final = Path(__file__).parent / "data"

#: Group of a case file -> the kind of check its cases get.
KNOWN: Final = {
    "energy/bn_matrix": "energy",
    "energy/conv_reference": "energy",
    "energy/conv_trial_handmade": "energy",
    "energy/conv_trial_random": "energy",
    "energy/gate_matrix": "energy",
    "energy/gate_matrix_act": "energy",
    "energy/jet": "energy",
    "energy/memory_curve": "energy",
    "energy/merge": "energy",
    "energy/small_nets": "energy",
    "energy/bits": "bits",
    "energy/forgiving_factor": "forgiving_factor",
    "energy/known_gaps": "known_gaps",
    "energy/peer_defects": "peer_defects",
    "libraries/cnn2snn_weight_quantizers": "library",
    "libraries/qkeras_batchnorm_layers": "library",
    "libraries/qkeras_quantizers": "library",
    "libraries/quantizeml_shiftmax_fixedpoint": "library",
    "libraries/rockpool_xylo_quantize": "library",
}


@lru_cache(maxsize=1)
def every_file() -> tuple[Path, ...]:
    """All case files of the named folder, and the committed copies of the groups it lacks."""
    named = os.environ.get("FEWBITS_GOLDEN")
    paths = sorted(Path(named).rglob("*.json")) if named else []
    groups = {group(path) for path in paths}
    return (*paths, *(path for path in sorted(OWN.rglob("*.json")) if group(path) not in groups))


def group(path: Path) -> str:
    """The group of a file: what it says of itself, else the longest known name its own begins with."""
    stem = f"{path.parent.name}/{path.stem}"
    said = read(path).get("group") if path.parent.name == "energy" else None
    if said is not None:
        return f"energy/{said}"
    return max((name for name in KNOWN if stem.startswith(name)), key=len, default=stem)


def case_files(group_prefix: str) -> list[Path]:
    """The files of the groups whose name begins so: "energy/jet", "libraries/qkeras"."""
    return [path for path in every_file() if group(path).startswith(group_prefix)]


def files_of_kind(kind: str) -> list[Path]:
    """The files whose cases get this kind of check."""
    return [path for path in every_file() if KNOWN.get(group(path)) == kind]


@lru_cache(maxsize=64)
def read(path: Path) -> dict[str, Any]:
    """A case file's content."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def cases(kind: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(id, case, its model) of every case of a kind."""
    named_cases = []
    for path in files_of_kind(kind):
        content = read(path)
        named_cases += [(case["id"], case, content["models"][case["model"]]) for case in content["cases"]]
    return named_cases
