"""`fewbits cost` and `fewbits profiles`: computed here, without a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

_Memory = Literal["sram", "dram", "fixed"]
_TypeName = Literal["fp32", "fp16", "int8", "int16", "int32"]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
_PRICES = "Prices"
_MEMORIES = "Memories"
_SHOWN = "What is shown"


def cost(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A network of the zoo, an architecture (JSON of a Keras model), a job file,"
            " or the quantizers.json of a trial.",
        ),
    ],
    quantizers: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Quantizers by layer and slot, or a trial's quantizers.json."),
    ] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="Quantize nothing, even if MODEL brings quantizers.")
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Energy profile or its TOML file.", rich_help_panel=_PRICES),
    ] = None,
    accounting: Annotated[
        Literal["corrected", "qtools"] | None,
        typer.Option(help="What counts; default: the profile's.", rich_help_panel=_PRICES),
    ] = None,
    internal: Annotated[
        _TypeName | None,
        typer.Option(help="Type of what is not quantized; default: fp32.", rich_help_panel=_PRICES),
    ] = None,
    accumulator: Annotated[
        _TypeName | None,
        typer.Option(help="Type of sums that are not quantized; default: fp32.", rich_help_panel=_PRICES),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="Type of the inputs: int8, fp32, ... or a quantizer; default: 8 bits, in the reference --internal.",
            rich_help_panel=_PRICES,
        ),
    ] = None,
    parameters_on_memory: Annotated[
        _Memory | None, typer.Option(help="Where parameters are; default: sram.", rich_help_panel=_MEMORIES)
    ] = None,
    activations_on_memory: Annotated[
        _Memory | None, typer.Option(help="Where activations are; default: sram.", rich_help_panel=_MEMORIES)
    ] = None,
    min_sram_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="No on-chip memory is priced smaller: bits, or 8KB, 16MB, ...",
            rich_help_panel=_MEMORIES,
        ),
    ] = None,
    capacity: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Larger tensors go to DRAM.", rich_help_panel=_MEMORIES),
    ] = None,
    rd_wr_on_io: Annotated[
        bool | None,
        typer.Option(
            "--rd-wr-on-io/--no-rd-wr-on-io",
            help="Inputs and outputs of the network live in DRAM.",
            rich_help_panel=_MEMORIES,
            show_default=False,
        ),
    ] = None,
    reuse: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Products an operand serves before it is fetched again; default: fetched once.",
            rich_help_panel=_MEMORIES,
        ),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(metavar="LAYER", help="Where a layer's figures come from.", rich_help_panel=_SHOWN),
    ] = None,
    types: Annotated[
        bool,
        typer.Option(
            "--types", help="The type of every tensor, as the JSON QTools writes.", rich_help_panel=_SHOWN
        ),
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page with table and bars.", rich_help_panel=_SHOWN),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Show what one inference of a network costs, layer by layer. Needs no service."""
    from service.cli import cost_show
    from service.cli.cost_files import Asked

    asked = Asked(
        model=model,
        quantizers=quantizers,
        reference=reference,
        profile=profile,
        min_sram_size=min_sram_size,
        capacity=capacity,
        plain={
            "accounting": accounting,
            "internal": internal,
            "accumulator": accumulator,
            "source": source,
            "parameters_on_memory": parameters_on_memory,
            "activations_on_memory": activations_on_memory,
            "rd_wr_on_io": rd_wr_on_io,
            "reuse": reuse,
        },
        explain=explain,
        types=types,
    )
    cost_show.cost(asked, html=html, as_json=as_json)


def profiles(
    profile: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|FILE]", help="One profile, or a TOML file to check; default: all."),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """List the energy profiles with the source of every figure, or check one of your own."""
    from service.cli import cost_show

    cost_show.profiles(profile, as_json=as_json)
