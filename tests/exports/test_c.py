"""The format `c`: C99 that computes what the model does, and is clean under every check of the compiler."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantization.engine import logits
from quantization.export.c_code.packing import constant
from quantization.export.context import ExportContext
from quantization.export.export import export_model
from quantization.export.proof import compare
from quantization.export.run import Outputs
from quantization.export.runners import c as runner
from quantization.export.writers.c import ARM_COMPILER
from quantization.export.written import Export
from tests.exports.contract import ExportContract
from tests.exports.models import examples, network
from tests.exports.program_models import PROGRAM_NETWORKS, program_network
from tests.exports.test_integers import REFUSES

SANITIZED = ("-fsanitize=undefined", "-fno-sanitize-recover=all")


class TestC(ExportContract):
    name = "c"
    refuses = REFUSES


def exported(model: Any, name: str, folder: Path) -> Export:
    TestC.need_packages()
    return export_model(model, name, folder, ExportContext(examples(model)))


@pytest.mark.parametrize("name", PROGRAM_NETWORKS)
def test_every_step_is_that_of_the_program(name: str, tmp_path: Path) -> None:
    model = program_network(name)
    export, integers = (exported(model, kind, tmp_path / kind) for kind in ("c", "integers"))
    program = runner.compiled(export.folder, tmp_path, *SANITIZED)
    answer = subprocess.run([str(program)], capture_output=True, text=True)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "8 test vectors, 0 wrong outputs\n", "")
    x = examples(model, seed=2)
    [outputs] = runner.run(export.folder, x)
    np.testing.assert_array_equal(outputs, logits(integers.folder, x))
    proof = compare(model, export, x, Outputs((outputs,), {}), (True,))
    assert proof.equal_classes == 1.0
    assert proof.largest_difference <= 1e-6 * proof.largest_output


def test_it_is_integers_only_and_says_what_it_needs(tmp_path: Path) -> None:
    export = exported(network("cnn"), "c", tmp_path / "c")
    source = (export.folder / "network.c").read_text() + (export.folder / "network.h").read_text()
    assert not re.search(r"\b(float|double|malloc|calloc|free|printf)\b", source)
    figures = export.written.figures
    assert figures is not None
    # 72 weights of the convolution and 108 of the dense layer, of 4 bits at most, and 7 biases of 8 bits
    assert figures.packed_bytes is not None
    assert 0 < figures.packed_bytes <= (72 + 108) * 4 // 8 + 7
    assert figures.macs == 6 * 6 * 3 * 3 * 2 * 4 + 3 * 3 * 4 * 3
    # 72 bytes of input, 144 of the convolution, 36 of the pooling, and three logits
    assert figures.ram_bytes is not None
    assert 72 + 144 + 36 <= figures.ram_bytes <= 72 + 144 + 40 + 3 * 4
    assert figures.flash_bytes is not None


@pytest.mark.skipif(shutil.which(ARM_COMPILER) is None, reason=f"not installed: {ARM_COMPILER}")
@pytest.mark.parametrize("name", ["sequence", "image"])
def test_its_sections_on_a_cortex_are_measured(name: str, tmp_path: Path) -> None:
    export = exported(program_network(name), "c", tmp_path / "c")
    figures = export.written.figures
    assert figures is not None
    assert figures.text_bytes is not None
    assert figures.data_bytes == 0  # constants stay in flash
    assert figures.flash_bytes == figures.text_bytes
    assert figures.bss_bytes is not None
    assert 0 < figures.bss_bytes <= (figures.ram_bytes or 0)
    assert figures.text_bytes > (figures.packed_bytes or 0)
    assert f"text {figures.text_bytes:,} bytes, data 0 bytes, bss {figures.bss_bytes:,} bytes" in (
        " ".join(export.written.notes)
    )


@pytest.mark.parametrize(
    ("numbers", "bits"),
    [([-1, 1, 1, -1] * 8, 1), ([-1, 0, 1] * 10, 2), ([-64, 1, 2, 64] * 9, 2), ([3] * 40, 1)],
)
def test_weights_are_packed_to_the_bits_that_tell_them_apart(numbers: list[int], bits: int) -> None:
    packed = constant("w", numbers, packed=True)
    assert packed.bits == bits
    assert packed.size_bytes <= -(-len(numbers) * bits // 8) + 3 + len(packed.values)
    stream = np.unpackbits(np.array(packed.numbers, np.uint8), bitorder="little")
    codes = [int(stream[i * bits : (i + 1) * bits] @ (1 << np.arange(bits))) for i in range(len(numbers))]
    assert [packed.values[u] if packed.values else packed.low + packed.step * u for u in codes] == numbers


def test_few_weights_stay_as_they_are() -> None:
    assert constant("w", [1, -1], packed=True).bits == 0


@pytest.mark.parametrize("name", ["image", "scales"])
def test_weights_as_bytes_give_the_same_numbers(name: str, tmp_path: Path) -> None:
    model = program_network(name)
    x = examples(model, seed=2)
    packed, plain = (
        export_model(model, "c", tmp_path / weights, ExportContext(x), {"weights": weights})
        for weights in ("packed", "bytes")
    )
    program = runner.compiled(plain.folder, tmp_path, *SANITIZED)
    assert subprocess.run([str(program)], capture_output=True, text=True).returncode == 0
    [one], [other] = runner.run(packed.folder, x), runner.run(plain.folder, x)
    np.testing.assert_array_equal(one, other)
    assert "packed(" not in (plain.folder / "network.c").read_text()
    few, many = packed.written.figures, plain.written.figures
    assert few is not None
    assert many is not None
    assert (few.flash_bytes or 0) < (many.flash_bytes or 0)
    assert (few.ram_bytes or 0) >= (many.ram_bytes or 0)


def test_a_row_of_weights_is_unpacked_where_it_is_used_again(tmp_path: Path) -> None:
    export = exported(network("cnn"), "c", tmp_path / "c")
    source = (export.folder / "network.c").read_text()
    convolution, dense = (part for part in source.split("static void ")[1:] if "packed(step" in part)
    assert convolution.index("packed(step") < convolution.index("int32_t sum")
    assert dense.index("packed(step") > dense.index("int32_t sum")
