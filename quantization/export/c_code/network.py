"""The C files of an integer program: header, network, and a main that runs test vectors or what it is sent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from quantization.export.c_code.emit import emitted
from quantization.export.c_code.plan import Memory, ctype, element_bytes, groups_of
from quantization.integer.program import Program
from quantization.integer.tensor import Integers

HEADER_FILE: Final = "network.h"
SOURCE_FILE: Final = "network.c"
MAIN_FILE: Final = "main.c"

_HALF_EVEN: Final = """/* x / 2^places, rounded half to even; no negative number is shifted. */
static {type} half_even{width}({type} x, {type} places)
{{
    const {type} floor = x >= 0 ? x >> places : ~((~x) >> places);
    const {type} rest = x - floor * (({type})1 << places);
    const {type} half = places > 0 ? ({type})1 << (places - 1) : INT{width}_MAX;
    return floor + ((rest > half || (rest == half && (floor & 1))) ? 1 : 0);
}}
"""
_PACKED: Final = """/* The number at an index of a stream of numbers of some bits each. */
static int32_t packed(const uint8_t *stream, uint32_t index, uint32_t bits)
{
    const uint32_t place = index * bits;
    const uint8_t *at = stream + (place >> 3);
    const uint32_t word = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    return (int32_t)((word >> (place & 7)) & ((UINT32_C(1) << bits) - 1));
}
"""


@dataclass(frozen=True)
class CNetwork:
    """The files of a network, and what it takes: bytes of constants, and of memory while it runs.

    `ram_bytes`: the arena, the input and the output.
    """

    header: str
    source: str
    main: str
    constant_bytes: int
    ram_bytes: int


def c_network(program: Program, vectors: Integers, expected: Integers, *, packed: bool = True) -> CNetwork:
    """The C of a program; its main has these inputs and outputs (codes, one example a row) as test vectors.

    `packed`: whether weights are packed to their bits.
    """
    groups = groups_of(program)
    memory = Memory(program, groups, packed=packed)
    names = [f"step_{number}" for number in range(len(groups))]
    functions = [emitted(name, group, memory) for name, group in zip(names, groups, strict=True)]
    constants = [entry for function in functions for entry in function.constants]
    helpers = set().union(*(function.helpers for function in functions)) if functions else set()
    source, result = program.source, memory.tensor(memory.result)
    calls = [f"    {name}({memory.arguments(group)});" for name, group in zip(names, groups, strict=True)]
    if not groups:
        calls = [f"    for (int32_t i = 0; i < {source.size}; i++) {{ output[i] = input[i]; }}"]
    parts = [
        '#include "network.h"\n',
        *(_helper(name) for name in sorted(helpers)),
        _arena(program, memory),
        *(entry.declaration for entry in constants),
        *(function.code for function in functions),
        "void network_run(const network_input_t *input, network_output_t *output)\n{\n"
        + "\n".join(calls)
        + "\n}\n",
    ]
    ram = memory.arena_bytes + source.size * element_bytes(source) + result.size * element_bytes(result)
    return CNetwork(
        header=_header(program, memory),
        source="\n".join(part for part in parts if part),
        main=_main(vectors, expected),
        constant_bytes=sum(entry.size_bytes for entry in constants),
        ram_bytes=ram,
    )


def _helper(name: str) -> str:
    if name == "packed":
        return _PACKED
    width = name.removeprefix("half_even")
    return _HALF_EVEN.format(type=f"int{width}_t", width=width)


def _arena(program: Program, memory: Memory) -> str:
    """One piece of memory for all tensors between input and output, read and written as integers of any width."""
    if not memory.arena_bytes:
        return ""
    kinds = sorted(memory.types)
    sizes = {kind: int(re.sub(r"\D", "", kind)) // 8 for kind in kinds}
    members = "\n".join(
        f"    {kind} {kind.removesuffix('_t')}[{memory.arena_bytes // sizes[kind]}];" for kind in kinds
    )
    return f"static union {{\n{members}\n}} arena;\n"


def _header(program: Program, memory: Memory) -> str:
    source, result = program.source, memory.tensor(memory.result)
    exponent = int(np.atleast_1d(program.tensors[program.result].exponent)[0])
    return f"""#ifndef NETWORK_H
#define NETWORK_H

#include <stdint.h>

/* The input: {_shape(source.shape)} codes from {source.low} to {source.high}, each worth 2^NETWORK_INPUT_EXPONENT. */
typedef {ctype(source)} network_input_t;
#define NETWORK_INPUT_SIZE {source.size}
#define NETWORK_INPUT_EXPONENT ({int(np.atleast_1d(source.exponent)[0])})

/* The output: {_shape(result.shape)} logits, each worth 2^NETWORK_OUTPUT_EXPONENT; the class is that of the largest. */
typedef {ctype(result)} network_output_t;
#define NETWORK_OUTPUT_SIZE {result.size}
#define NETWORK_OUTPUT_EXPONENT ({exponent})

/* Not reentrant: what lies between input and output is static. */
void network_run(const network_input_t *input, network_output_t *output);

#endif
"""


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "1"


def _main(vectors: Integers, expected: Integers) -> str:
    return f"""/* Without arguments: runs the test vectors, and returns 0 if every output is the expected one.
 * With an argument: reads inputs from standard input, as the bytes of network_input_t, and writes the outputs. */
#include <stdio.h>
#include "network.h"

#define VECTORS {len(vectors)}

static const network_input_t inputs[VECTORS][NETWORK_INPUT_SIZE] = {{
{_rows(vectors)}
}};
static const network_output_t expected[VECTORS][NETWORK_OUTPUT_SIZE] = {{
{_rows(expected)}
}};

int main(int argc, char **argv)
{{
    static network_input_t input[NETWORK_INPUT_SIZE];
    static network_output_t output[NETWORK_OUTPUT_SIZE];
    int failures = 0;
    (void)argv;
    while (argc > 1 && fread(input, sizeof input, 1, stdin) == 1) {{
        network_run(input, output);
        fwrite(output, sizeof output, 1, stdout);
    }}
    for (int vector = 0; argc == 1 && vector < VECTORS; vector++) {{
        network_run(inputs[vector], output);
        for (int i = 0; i < NETWORK_OUTPUT_SIZE; i++) {{
            failures += output[i] != expected[vector][i];
        }}
    }}
    if (argc == 1) {{
        printf("%d test vectors, %d wrong outputs\\n", VECTORS, failures);
    }}
    return failures != 0;
}}
"""


def _rows(array: Integers) -> str:
    rows = array.reshape(len(array), -1).tolist()
    return ",\n".join("    {" + ", ".join(_literal(number) for number in row) + "}" for row in rows)


def _literal(number: int) -> str:
    return str(number) if abs(number) < 1 << 31 else f"INT64_C({number})"
