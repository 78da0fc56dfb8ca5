"""An export format as a value: its name, what it takes, what it needs and promises. Plain; nothing loads Keras.

What writes a format is the module `quantization.export.writers.NAME`, what runs it `quantization.export.runners.NAME`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from costmodel.fold import unfolded
from costmodel.network import Network
from quantization.export.errors import InvalidOption, MissingPackage
from quantization.export.legality.base import (
    EVERYTHING,
    Graph,
    Legality,
    Quantizers,
    Refusal,
    as_candidates,
)

OptionValue: TypeAlias = str | int | float | bool
Options: TypeAlias = Mapping[str, OptionValue]
#: What a format writes: a network of Keras' layers, or a spiking network in integers.
NetworkKind: TypeAlias = Literal["layers", "spiking"]


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a format. `allowed`: the values it takes, empty: any of the default's type."""

    default: OptionValue
    description: str
    allowed: tuple[OptionValue, ...] = ()

    def fault(self, value: object) -> str | None:
        """Why a value is not taken; None: it is."""
        if self.allowed:
            return None if value in self.allowed else f"must be one of {', '.join(map(str, self.allowed))}"
        numbers = isinstance(self.default, float) and isinstance(value, int) and not isinstance(value, bool)
        same = type(value) is type(self.default)
        return None if same or numbers else f"must be of type {type(self.default).__name__}"


@dataclass(frozen=True, kw_only=True)
class ExportFormat:
    """A format that a trained model can leave in.

    `legality`: what it takes; a network with anything else is refused, by layer, before any work. `exact`: whether what
    it computes must equal the model's outputs, layers aside that its writer names. `packages`: modules that writing
    imports; `runtime`: those that running imports, here or in the environment whose Python `python_variable` names;
    `extra`: the optional dependency of fewbits that brings both; `environment`: what pip installs in an environment of
    the format's own, which some need, as their packages do not go with fewbits' or have another licence; `programs`:
    executables that running needs. `options`: what a user may choose, by name. `examples`: how many a proof runs at
    most, of test and of validation data each; fewer where the runtime is slow. `networks`: of which kind.
    """

    name: str
    title: str
    legality: Legality = EVERYTHING
    exact: bool = False
    packages: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()
    extra: str = ""
    environment: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    examples: int = 500
    networks: NetworkKind = "layers"

    def refusals(self, network: Network, quantizers: Quantizers) -> list[Refusal]:
        """Every layer, and every quantizer, that the format cannot express; empty: it takes the network.

        `network`: at its trial's widths; folded normalizations count as the layers that they are folded into.
        """
        return self.legality.refusals(unfolded(network), quantizers)

    def chip_notes(self, network: Network, quantizers: Quantizers) -> tuple[str, ...]:
        """What is written all the same, and does not fit a chip that the format is for."""
        graph = Graph(unfolded(network))
        return tuple(map(str, self.legality.chip_warnings(graph, as_candidates(quantizers))))

    def checked(self, options: Options) -> dict[str, OptionValue]:
        """All options with their values, the defaults where none is given; `InvalidOption` names what is wrong."""
        for name, value in options.items():
            option = self.options.get(name)
            if option is None:
                listed = ", ".join(self.options) or "none"
                raise InvalidOption(
                    name, f"format {self.name!r} has no option {name!r}; its options: {listed}"
                )
            fault = option.fault(value)
            if fault is not None:
                raise InvalidOption(name, f"option {name!r} of format {self.name!r} {fault}, not {value!r}")
        return {name: options.get(name, option.default) for name, option in self.options.items()}

    def check_installed(self) -> None:
        """Raise `MissingPackage`, saying what to install, unless packages and programs are there."""
        missing = list(self.missing())
        if missing:
            raise MissingPackage(f"format {self.name!r} needs {', '.join(missing)}: {self.remedy}")

    def missing(self) -> Iterator[str]:
        """The packages and programs that are not installed."""
        yield from (name for name in self.packages if importlib.util.find_spec(name) is None)
        if not os.environ.get(self.python_variable):
            yield from (name for name in self.runtime if importlib.util.find_spec(name) is None)
        yield from (name for name in self.programs if shutil.which(name) is None)

    @property
    def python_variable(self) -> str:
        """The environment variable that names the interpreter of another environment, which has the runtime."""
        return f"FEWBITS_{self.name.upper()}_PYTHON"

    @property
    def remedy(self) -> str:
        """What installs everything that the format needs."""
        steps = [f"pip install 'fewbits[{self.extra}]'"] if self.extra else []
        if self.environment:
            folder, packages = f"~/fewbits-{self.name}", " ".join(f"'{name}'" for name in self.environment)
            own = f"`python -m venv {folder}` and `{folder}/bin/pip install {packages}`, then set"
            own = f"in an environment of its own: {own} {self.python_variable}={folder}/bin/python"
            steps.append(f"or {own}" if steps else own)
        elif self.runtime:
            other = f"set {self.python_variable} to a Python that has {', '.join(self.runtime)}"
            steps.append(f"or {other}" if steps else other)
        if self.programs:
            steps.append(f"install the program{'s' * (len(self.programs) > 1)} {', '.join(self.programs)}")
        return "; ".join(steps) or "pip install 'fewbits[worker]'"
