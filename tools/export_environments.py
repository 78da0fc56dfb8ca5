"""Makes an environment of its own for each export format that needs one, and prints the variables that name them.

    python -m tools.export_environments [qkeras akida hls4ml xylo] [--folder FOLDER]

An environment is a folder of ~/.cache/fewbits, or of FOLDER; what is there is kept. The formats are those with
`environment` in `quantization.export.formats`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from quantization.export.formats import export_format_list
from quantization.export.formats.base import ExportFormat

FOLDER: Final = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fewbits"
#: Format -> format of networks of layers or spiking networks that has an environment.
FORMATS: Final = {entry.name: entry for entry in export_format_list() if entry.environment}


def made(entry: ExportFormat, folder: Path) -> Path:
    """The Python of a format's environment, made if there is none. CalledProcessError where pip fails."""
    home = folder / f"export_{entry.name}"
    python = home / "bin" / "python"
    finished = home / "installed"
    if not finished.exists():
        print(f"creating {home} ...", file=sys.stderr)
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *entry.environment], check=True)
        finished.touch()
    return python


def main() -> None:
    """Make what is named, all without names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"of {', '.join(FORMATS)}")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    for name in arguments.formats or FORMATS:
        if name not in FORMATS:
            parser.error(f"{name}: no environment of its own; choose of {', '.join(FORMATS)}")
        print(f"export {FORMATS[name].python_variable}={made(FORMATS[name], arguments.folder)}", flush=True)


if __name__ == "__main__":
    main()
