"""`make release`: build wheels and sdists into `dist`, and try each wheel in a clean environment.

The wheel is built again from nothing but the sdist, and from nothing but what the images are built from. Publishes
nothing. Needs the package index, from which the environments are filled. `make sbom` then writes the bills of materials
beside the packages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.distributions import DISTRIBUTIONS
from tools.distributions.assemble import build

ROOT: Final = Path(__file__).parents[2]
DIST: Final = ROOT / "dist"
#: Versions of Python that the packages are for.
PYTHONS: Final = ("3.11", "3.12", "3.13")
#: What a user of the plain installation runs first; each must end with 0.
TRIALS: Final = (
    ("-P", "-m", "fewbits", "version"),
    ("-P", "-m", "fewbits", "cost", "digits_cnn"),
    ("-P", "-m", "fewbits", "doctor", "--json"),
    ("-c", "import fewbits; fewbits.SearchClient('http://127.0.0.1:9')"),
)


def main() -> int:
    """Build and check; 0 if everything works."""
    shutil.rmtree(DIST, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(DIST), str(ROOT)], check=True, cwd=ROOT)
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    faults = [*missing(wheel), *unbuildable(sdist)]
    pythons = interpreters()
    for python in pythons:
        faults += tried(wheel, TRIALS, python=python)
    for entry in DISTRIBUTIONS.values():
        (small,) = (path for path in build(entry, DIST) if path.suffix == ".whl")
        for python in pythons:
            faults += tried(small, (("-c", f"import {entry.package}"),), entry.tried_with, python=python)
    print("\n".join(faults) or f"checked: {', '.join(sorted(path.name for path in DIST.iterdir()))}")
    return 1 if faults else 0


def interpreters() -> list[str]:
    """The supported Pythons of this machine: on the path, or kept by pyenv. Those that are missing are printed."""
    present = []
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    for name in PYTHONS:
        kept = [str(path) for path in sorted(pyenv.glob(f"versions/{name}*/bin/python"))]
        on_path = shutil.which(f"python{name}")
        # pyenv's own last: what it puts on the path works only where its variables are set
        working = [path for path in (*([on_path] if on_path else []), *kept) if _is(path, name)]
        present += working[-1:]
        if not working:
            print(f"skipped: Python {name} is not on this machine")
    return present


def _is(python: str, version: str) -> bool:
    """Whether a program runs, and is Python of this version."""
    done = subprocess.run([python, "--version"], capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.startswith(f"Python {version}.")


def tried(
    wheel: Path, trials: Sequence[Sequence[str]], extra: str = "", *, python: str = sys.executable
) -> list[str]:
    """What fails of Python's command lines in a clean environment that has a wheel, and perhaps its extra."""
    faults = []
    print(f"{wheel.name}, {python}")
    with tempfile.TemporaryDirectory(prefix="fewbits-release-") as folder:
        inside = Path(folder, "env", "bin", "python")
        subprocess.run([python, "-m", "venv", str(inside.parents[1])], check=True)
        install = [
            str(inside),
            "-I",  # sources on PYTHONPATH would count as installed
            "-m",
            "pip",
            "install",
            "--quiet",
            "--constraint",
            str(ROOT / "requirements.lock"),
        ]
        subprocess.run([*install, f"{wheel}[{extra}]" if extra else str(wheel)], check=True, cwd=folder)
        environment = {
            "PATH": str(inside.parent),
            "HOME": folder,
            "FEWBITS_HOME": str(Path(folder, "home")),
            "KERAS_BACKEND": "numpy",  # the one that needs no package of its own
        }
        for trial in trials:
            done = subprocess.run(
                [str(inside), *trial], cwd=folder, env=environment, capture_output=True, text=True
            )
            print(f"{'ok' if done.returncode == 0 else 'FAILED'}: python {' '.join(trial)}")
            if done.returncode:
                faults.append(done.stderr[-2000:])
    return faults


def unbuildable(sdist: Path) -> list[str]:
    """What a wheel lacks that is built from the sdist alone, and one from the context of the images alone."""
    faults = []
    with tempfile.TemporaryDirectory(prefix="fewbits-sources-") as folder:
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        (unpacked,) = Path(folder).iterdir()
        for name, sources in (("sdist", unpacked), ("context of the images", image_context(Path(folder)))):
            outdir = Path(folder, "wheels", sources.name)
            command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(outdir), str(sources)]
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
            (wheel,) = outdir.iterdir()
            lacks = missing(wheel)
            print(f"{'FAILED' if lacks else 'ok'}: a wheel from the {name}")
            faults += [f"{name}: {fault}" for fault in lacks]
    return faults


def image_context(folder: Path) -> Path:
    """A folder with what Docker is given of the sources: the files of git that `.dockerignore` lets through."""
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    included = {line[1:] for line in patterns if line.startswith("!")}
    context = folder / "context"
    for name in tracked_files():
        if included & {name, name.partition("/")[0]}:
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, context / name)
    return context


def missing(wheel: Path) -> list[str]:
    """What a wheel lacks of the sources, or has beyond them."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = expected_files()
    return [f"the wheel lacks {name}" for name in sorted(expected - names)] + [
        f"the wheel has {name}, which is no part of the product" for name in sorted(names - expected)
    ]


def expected_files() -> set[str]:
    """The files of the product: every file that git knows in its packages."""
    packages = ("fewbits", "service", "worker", "search", "quantization", "costmodel", "migrations")
    return {name for name in tracked_files() if name.partition("/")[0] in packages and "/" in name}


def tracked_files() -> list[str]:
    """The paths of all files that git knows, from the root."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return listed.splitlines()


if __name__ == "__main__":
    sys.exit(main())
