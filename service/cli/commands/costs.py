"""`fewbits cost` and `fewbits profiles`: computed in this process, without a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from service.cli.options import AsJson, Url

_PRICES = "Prices"
_MEMORIES = "Memories"
_OUTPUT = "Output"

_TypeName = Literal["fp32", "fp16", "int8", "int16", "int32"]
_Memory = Literal["sram", "dram", "fixed"]

_Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A built-in network, a .keras file, an architecture (JSON of a Keras model), a job file,"
        " or the quantizers.json of a trial.",
    ),
]
_Quantizers = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Quantizers by layer and slot, or the quantizers.json of a trial."),
]
_Reference = Annotated[
    bool, typer.Option("--reference", help="Price the network unquantized, even if MODEL has quantizers.")
]
_Profile = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="Energy profile: its name, or a TOML file; default: horowitz.",
        rich_help_panel=_PRICES,
    ),
]
_Accounting = Annotated[
    Literal["corrected", "qtools"] | None,
    typer.Option(
        help="Which parts are counted; qtools: as in QTools; default: the profile's.", rich_help_panel=_PRICES
    ),
]
_Internal = Annotated[
    _TypeName | None,
    typer.Option(help="Type of unquantized tensors; default: fp32.", rich_help_panel=_PRICES),
]
_Accumulator = Annotated[
    _TypeName | None,
    typer.Option(help="Type of unquantized accumulators; default: fp32.", rich_help_panel=_PRICES),
]
_Source = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE",
        help="Type of the inputs: int8, fp32, ... or a quantizer; default: 8 bits, in the reference --internal.",
        rich_help_panel=_PRICES,
    ),
]
_ParametersOnMemory = Annotated[
    _Memory | None, typer.Option(help="Memory of the parameters; default: sram.", rich_help_panel=_MEMORIES)
]
_ActivationsOnMemory = Annotated[
    _Memory | None, typer.Option(help="Memory of the activations; default: sram.", rich_help_panel=_MEMORIES)
]
_MinSramSize = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Smallest on-chip memory that is priced, in bits or with a unit: 8KB, 16MB; default: 0.",
        rich_help_panel=_MEMORIES,
    ),
]
_Capacity = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Largest tensor that fits on the chip, in bits or with a unit; larger ones go to DRAM; default: any.",
        rich_help_panel=_MEMORIES,
    ),
]
_ReadWriteOnIo = Annotated[
    bool | None,
    typer.Option(
        "--rd-wr-on-io/--no-rd-wr-on-io",
        help="Keep inputs and outputs of the network in DRAM.",
        rich_help_panel=_MEMORIES,
        show_default=False,
    ),
]
_Reuse = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Multiplications per fetch of an operand; default: each operand is fetched once.",
        rich_help_panel=_MEMORIES,
    ),
]
_Inference = Annotated[
    bool | None,
    typer.Option(
        "--inference",
        help="Price power-of-two weights by the distinct values they have, which a trial's quantizers.json states.",
        rich_help_panel=_PRICES,
        show_default=False,
    ),
]
_Explain = Annotated[
    str | None,
    typer.Option(
        metavar="LAYER", help="Show how each figure of a layer is computed.", rich_help_panel=_OUTPUT
    ),
]
_Types = Annotated[
    bool,
    typer.Option(
        "--types", help="Print the type of every tensor, as JSON in QTools' format.", rich_help_panel=_OUTPUT
    ),
]
_Html = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Also write an HTML page with table and bars.", rich_help_panel=_OUTPUT
    ),
]


def cost(
    model: _Model,
    quantizers: _Quantizers = None,
    reference: _Reference = False,
    profile: _Profile = None,
    accounting: _Accounting = None,
    internal: _Internal = None,
    accumulator: _Accumulator = None,
    source: _Source = None,
    parameters_on_memory: _ParametersOnMemory = None,
    activations_on_memory: _ActivationsOnMemory = None,
    min_sram_size: _MinSramSize = None,
    capacity: _Capacity = None,
    rd_wr_on_io: _ReadWriteOnIo = None,
    reuse: _Reuse = None,
    inference: _Inference = None,
    explain: _Explain = None,
    types: _Types = False,
    html: _Html = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Show what one inference of a network costs, layer by layer.

    Computed on this machine. Only for a job on an uploaded model a service is needed, which has the model.
    """
    from service.cli import costs
    from service.cli.cost_question import CostArguments

    settings = {
        "accounting": accounting,
        "internal": internal,
        "accumulator": accumulator,
        "source": source,
        "parameters_on_memory": parameters_on_memory,
        "activations_on_memory": activations_on_memory,
        "rd_wr_on_io": rd_wr_on_io,
        "reuse": reuse,
        "inference": inference,
    }
    arguments = CostArguments(
        model,
        quantizers=quantizers,
        reference=reference,
        profile=profile,
        min_sram_size=min_sram_size,
        capacity=capacity,
        settings=settings,
        explain=explain,
        types=types,
        url=url,
    )
    costs.show_cost(arguments, html=html, as_json=as_json)


def profiles(
    profile: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|FILE]", help="One profile, or a TOML file to check; default: all."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the energy profiles, or show or check one.

    Every figure is shown with its source.
    """
    from service.cli import costs

    costs.show_profiles(profile, as_json=as_json)
