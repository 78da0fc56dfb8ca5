"""Builds distributions: `python -m tools.distributions [NAME ...] [--outdir dist]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.distributions import DISTRIBUTIONS
from tools.distributions.assemble import ROOT, build


def main() -> None:
    """Build a wheel and an sdist of those that are named, of all by default."""
    parser = argparse.ArgumentParser(prog="python -m tools.distributions", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(DISTRIBUTIONS)}")
    parser.add_argument("--outdir", type=Path, default=ROOT / "dist")
    parser.add_argument(
        "--no-isolation", action="store_true", help="build with the setuptools of this environment"
    )
    arguments = parser.parse_args()
    for name in arguments.names or DISTRIBUTIONS:
        if name not in DISTRIBUTIONS:
            parser.error(f"no distribution is called {name!r}; there are {', '.join(DISTRIBUTIONS)}")
        for path in build(DISTRIBUTIONS[name], arguments.outdir, is_isolated=not arguments.no_isolation):
            print(path)


if __name__ == "__main__":
    main()
