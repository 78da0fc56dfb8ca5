"""HDF5 files that are more than weights, and a reader that was taken over: the result is numbers, or a reason."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from search.uploads import UploadFault
from tests.security.models import SHAPES, keras_file, weights
from worker.sandbox import child
from worker.sandbox import weights as sandbox

SECRET = 1234.5
FIRST = "layers/dense/vars/0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sandbox's own."""
    folder = tmp_path / "sandbox"
    folder.mkdir()
    return folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the worker's machine that is of the right shape."""
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file[FIRST] = np.full(SHAPES[FIRST], SECRET, "float32")
    (tmp_path / "secret.bin").write_bytes(np.full(SHAPES[FIRST], SECRET, "float32").tobytes())
    return path


def read(model: bytes, folder: Path, name: str = "model.keras") -> dict[str, Any]:
    path = folder.parent / name
    path.write_bytes(model)
    return sandbox.read_weights(path, SHAPES, folder)


def changed(change: Callable[[h5py.File], object], tmp_path: Path) -> Path:
    """A good HDF5 file, changed."""
    path = tmp_path / "changed.h5"
    path.write_bytes(weights())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def altered(change: Callable[[h5py.File], object], tmp_path: Path) -> bytes:
    """A good model with its HDF5 part changed."""
    return keras_file(hdf5=changed(change, tmp_path).read_bytes())


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_good_weights_are_read_by_their_paths(folder: Path, kind: str) -> None:
    random = np.random.default_rng(1)
    arrays = {path: random.normal(size=shape).astype(kind) for path, shape in SHAPES.items()}
    arrays_read = read(keras_file(hdf5=weights({**arrays, "optimizer/vars/0": np.zeros(7)})), folder)
    assert set(arrays_read) == set(SHAPES)
    assert all(np.array_equal(arrays_read[path], array) for path, array in arrays.items())


def test_packed_weights_are_read(folder: Path, tmp_path: Path) -> None:
    values = np.arange(16 * 64, dtype="float32").reshape(16, 64)

    def pack(file: h5py.File) -> None:
        del file[FIRST]
        file.create_dataset(FIRST, data=values, compression="gzip", shuffle=True, chunks=(4, 64))

    assert np.array_equal(read(altered(pack, tmp_path), folder)[FIRST], values)


# --- the corpus ----------------------------------------------------------------------------------------------------


def instead(**options: Any) -> Callable[[h5py.File], object]:
    """The first kernel made in another way."""

    def change(file: h5py.File) -> None:
        del file[FIRST]
        file.create_dataset(FIRST, **options)

    return change


def linked(target: Any) -> Callable[[h5py.File], object]:
    def change(file: h5py.File) -> None:
        del file[FIRST]
        file[FIRST] = target

    return change


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(SHAPES[FIRST], "float32")
    layout[:] = h5py.VirtualSource("secret.h5", FIRST, SHAPES[FIRST])
    del file[FIRST]
    file.create_virtual_dataset(FIRST, layout)


def never_written(file: h5py.File) -> None:
    file.create_dataset("optimizer/vars/0", shape=(2**40,), dtype="float64")


def bomb(file: h5py.File) -> None:
    file.create_dataset("optimizer/vars/0", shape=(2**36,), dtype="int8", chunks=(2**20,), compression="gzip")
    file["optimizer/vars/0"][: 2**20] = 0


def huge_chunk(file: h5py.File) -> None:
    file.create_dataset(
        "optimizer/vars/0",
        shape=(10,),
        maxshape=(None,),
        dtype="float64",
        chunks=(2**28,),
        compression="gzip",
    )


def circle(file: h5py.File) -> None:
    file["layers/again"] = file["layers"]


def alias(file: h5py.File) -> None:
    file["optimizer/vars/0"] = file[FIRST]


def deep(file: h5py.File) -> None:
    file.create_group("/".join("a" * 40))


def many(file: h5py.File) -> None:
    group = file.create_group("optimizer/vars", track_order=True)
    for index in range(1200):
        group.create_group(str(index))


def odd_name(name: bytes) -> Callable[[h5py.File], object]:
    def change(file: h5py.File) -> None:
        h5py.h5g.create(file.id, name)

    return change


def named_type(file: h5py.File) -> None:
    file["optimizer/kind"] = np.dtype("float64")


def compound(file: h5py.File) -> None:
    instead(data=np.zeros(SHAPES[FIRST], [("a", "f4"), ("b", "f4")]))(file)


def references(file: h5py.File) -> None:
    instead(shape=SHAPES[FIRST], dtype=h5py.ref_dtype)(file)


def poisoned(value: float) -> Callable[[h5py.File], object]:
    def change(file: h5py.File) -> None:
        file[FIRST][3, 5] = value

    return change


def packed_by(code: int) -> Callable[[h5py.File], object]:
    """A filter nobody has, which HDF5 would look for as a plugin to load."""

    def change(file: h5py.File) -> None:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4, 4))
        properties.set_filter(code, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((8, 8))
        h5py.h5d.create(file.id, b"optimizer_state", h5py.h5t.NATIVE_FLOAT, space, properties)

    return change


CORPUS: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "soft link": (linked(h5py.SoftLink("/layers/dense_1/vars/0")), "link"),
    "soft link to nothing": (linked(h5py.SoftLink("/nowhere")), "link"),
    "external link": (linked(h5py.ExternalLink("secret.h5", FIRST)), "link"),
    "external link by its path": (linked(h5py.ExternalLink("/etc/passwd", "/")), "link"),
    "external storage": (
        instead(shape=SHAPES[FIRST], dtype="float32", external=[("../secret.bin", 0, 16 * 64 * 4)]),
        "external storage",
    ),
    "external storage of the system": (
        instead(shape=SHAPES[FIRST], dtype="float32", external=[("/etc/passwd", 0, 16 * 64 * 4)]),
        "external storage",
    ),
    "virtual dataset": (virtual, "virtual"),
    "lzf": (instead(data=np.zeros(SHAPES[FIRST], "f4"), compression="lzf"), "filter"),
    "fletcher32": (instead(data=np.zeros(SHAPES[FIRST], "f4"), fletcher32=True), "filter"),
    "scale and offset": (instead(data=np.zeros(SHAPES[FIRST], "f4"), scaleoffset=3), "filter"),
    "a filter nobody has": (packed_by(32123), "filter"),
    "never written": (never_written, "declares"),
    "an empty shape": (instead(data=h5py.Empty("f4")), "is empty"),
    "bomb": (bomb, "many more"),
    "a huge chunk": (huge_chunk, "many more"),
    "text": (instead(data="x" * 10), "not an array of plain numbers"),
    "text of any length": (
        instead(shape=SHAPES[FIRST], dtype=h5py.string_dtype()),
        "not an array of plain numbers",
    ),
    "pairs": (compound, "not an array of plain numbers"),
    "references": (references, "not an array of plain numbers"),
    "numbers of 16 bytes": (
        instead(data=np.zeros(SHAPES[FIRST], "complex128")),
        "not an array of plain numbers",
    ),
    "a type with a name": (named_type, "neither"),
    "another shape": (instead(data=np.zeros((64, 16), "f4")), "the model needs (16, 64)"),
    "a number more": (instead(data=np.zeros((16, 65), "f4")), "(16, 65)"),
    "one array missing": (lambda file: file.__delitem__(FIRST), "lacks 'layers/dense/vars/0'"),
    "one layer missing": (lambda file: file.__delitem__("layers/dense_3"), "lacks 'layers/dense_3"),
    "one array more": (
        lambda file: file.create_dataset("layers/dense/vars/2", data=[1.0]),
        "which the model lacks",
    ),
    "one layer more": (
        lambda file: file.create_dataset("layers/lambda/vars/0", data=[1.0]),
        "which the model lacks",
    ),
    "a circle of groups": (circle, "two names"),
    "one array under two names": (alias, "two names"),
    "many levels": (deep, "levels"),
    "many groups": (many, "objects"),
    "a name that leads up": (odd_name(b".."), "name"),
    "a name in no encoding": (odd_name(b"\xff\xfe"), "name"),
    "a long name": (odd_name(b"n" * 5000), "name"),
    "NaN": (poisoned(np.nan), "not finite"),
    "infinity": (poisoned(np.inf), "not finite"),
    "a link beside the weights": (
        lambda file: file.__setitem__("optimizer/state", h5py.ExternalLink("secret.h5", FIRST)),
        "link",
    ),
}


@pytest.mark.parametrize("name", CORPUS)
def test_weights_that_are_more_than_numbers_are_refused(tmp_path: Path, secret: Path, name: str) -> None:
    change, word = CORPUS[name]
    path = changed(change, tmp_path)
    with pytest.raises(child.RefusedWeights) as refused:  # in this process: starting one takes half a second
        child.read(path, {path: list(shape) for path, shape in SHAPES.items()})
    assert word in str(refused.value)


@pytest.mark.parametrize(
    "name", ["external link", "external storage of the system", "virtual dataset", "a circle of groups"]
)
def test_the_sandbox_says_why_weights_are_refused(
    folder: Path, tmp_path: Path, secret: Path, name: str
) -> None:
    change, word = CORPUS[name]
    with pytest.raises(UploadFault) as refused:
        read(altered(change, tmp_path), folder)
    assert word in str(refused.value)
    assert str(SECRET) not in str(refused.value)
    assert "root:" not in str(refused.value)


@pytest.mark.parametrize("seed", range(5))
def test_damaged_weights_are_refused_or_read_as_numbers(folder: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(weights())
    for place in random.integers(64, len(data), 200):
        data[place] = random.integers(256)
    try:
        arrays_read = read(keras_file(hdf5=bytes(data)), folder)
    except UploadFault:
        return
    assert {path: array.shape for path, array in arrays_read.items()} == SHAPES


# --- the sandbox ---------------------------------------------------------------------------------------------------


def taken_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """The reader runs this code instead of its own: an exploit of HDF5 that worked."""
    script = tmp_path / "evil.py"
    script.write_text("import json, sys\nrequest = json.load(sys.stdin)\n" + code)
    monkeypatch.setattr(sandbox, "_CHILD", script)


def test_the_reader_gets_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path) -> None:
    monkeypatch.setenv("FEWBITS_DATABASE_URL", "postgresql://user:hunter2@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    taken_over(
        monkeypatch,
        tmp_path,
        "import os\nprint(json.dumps({'refused': ' '.join(os.environ) + str(request)}))",
    )
    with pytest.raises(UploadFault) as refusal:
        read(keras_file(), folder)
    assert "OMP_NUM_THREADS" in str(refusal.value)
    assert not any(word in str(refusal.value) for word in ("hunter2", "FEWBITS", "AWS", "postgresql"))


@pytest.mark.parametrize(
    "code",
    [
        "sys.exit(3)",
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "print('not JSON')",
        "print('[1, 2]')",
        "print('{}')",
        "print('{\"read\": 8}')",  # and wrote nothing
        "import os; os.symlink('/etc/passwd', 'weights.npz'); print('{\"read\": 8}')",
        "import numpy as np; np.savez('weights.npz', *[np.zeros(3)] * 8); print('{\"read\": 8}')",
        "import numpy as np; np.savez('weights.npz', np.array([print], object)); print('{\"read\": 8}')",
        "open('weights.npz', 'wb').write(b'PK' * 100); print('{\"read\": 8}')",
        "print('x' * 10_000_000)",
    ],
)
def test_a_reader_that_was_taken_over_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path, code: str
) -> None:
    taken_over(monkeypatch, tmp_path, code)
    with pytest.raises(UploadFault):
        read(keras_file(), folder)


def test_a_reader_that_does_not_end_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path
) -> None:
    monkeypatch.setattr(sandbox, "_WALL_S", 1)
    taken_over(monkeypatch, tmp_path, "import threading; threading.Event().wait()")
    with pytest.raises(UploadFault, match="within 1 s"):
        read(keras_file(), folder)


PROBE = """
import importlib.util, json, os, pathlib, socket, sys
spec = importlib.util.spec_from_file_location("child", sys.argv[1])
child = importlib.util.module_from_spec(spec)
spec.loader.exec_module(child)
folder, port, mine = pathlib.Path(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[2]) / "mine"
notes = child.confine({"AS": 1 << 30, "FSIZE": 1 << 20, "NPROC": 0, "CORE": 0})
child._load_all()
notes += child.confine_files(folder) + child.confine_calls()
def outcome(action):
    try:
        action()
    except Exception as error:
        return type(error).__name__
    return "worked"
outcomes = {
    "notes": notes,
    "connect": outcome(lambda: socket.socket().connect(("127.0.0.1", port))),
    "read": outcome(lambda: open("/etc/passwd").read()),
    "write": outcome(lambda: open(folder.parent / "outside", "w")),
    "list": outcome(lambda: os.listdir("/")),
    "own folder": outcome(lambda: mine.write_bytes(b"x")),
    "memory": outcome(lambda: bytearray(2 << 30)),
    "unix socket": outcome(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect("/run/x")),
    "pair": outcome(socket.socketpair),
    "chmod": outcome(lambda: os.chmod(folder, 0o777)),
    "chown": outcome(lambda: os.chown(folder, os.getuid(), os.getgid())),
    "times": outcome(lambda: os.utime(folder)),
    "exec": outcome(lambda: os.execv("/bin/true", ["true"])),
    "signal": outcome(lambda: os.kill(os.getppid(), 0)),
    "fork": outcome(lambda: os.fork() or os._exit(0)),
}
print(json.dumps(outcomes))
"""


def test_the_reader_has_no_network_no_files_and_little_memory(folder: Path) -> None:
    script = Path(sandbox.__file__).with_name("child.py")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        command = [sys.executable, "-I", "-c", PROBE, str(script), str(folder), port]
        done = subprocess.run(command, capture_output=True, check=False, env={"OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert outcomes["own folder"] == "worked"
    assert outcomes["memory"] == "MemoryError"
    if not any("network" in note for note in outcomes["notes"]):
        assert outcomes["connect"] != "worked"
    if not any("folders" in note for note in outcomes["notes"]):
        assert {outcomes[action] for action in ("read", "write", "list")} == {"PermissionError"}
    if not any("calls" in note for note in outcomes["notes"]):
        refused = ("unix socket", "pair", "chmod", "chown", "times", "exec", "signal")
        assert {outcomes[action] for action in refused} == {"PermissionError"}
    if os.geteuid() != 0:
        assert outcomes["fork"] == "BlockingIOError"
