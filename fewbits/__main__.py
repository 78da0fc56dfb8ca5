"""`python -m fewbits`: the command line."""

import sys
from pathlib import Path

from fewbits.shadowing import ROOMS, refuse_shadows

# Python puts the current folder first; no command imports a file of it.
if not sys.flags.safe_path and Path(sys.path[0]).resolve() != Path(__file__).resolve().parents[1]:
    del sys.path[0]
refuse_shadows(ROOMS)

from service.cli import app  # noqa: E402 -- what would be imported is checked first

app(prog_name="fewbits")
