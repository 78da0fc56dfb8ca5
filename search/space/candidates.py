"""The candidates of one slot of a layer: what the space offers for its function, cut by the limits. Plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from costmodel.layer import Layer
from quantization.specs.functions import LINEAR, RELU, Fit, Function, default_quantizers, fit
from quantization.specs.parse import QuantizerSpec
from quantization.specs.slots import function_in
from search.errors import Problem
from search.space.slots import allows
from search.spec.job import SearchSpec
from search.spec.limits import DEFAULT_LIMIT, LayerLimits, Limit, quantizers_of
from search.spec.quantizers import TARGET_SPACES, Candidate, QuantizationSpace

#: Fields of functions, and the functions that a field's default list is for.
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "activation": (RELU.name,),
    "linear": (LINEAR.name,),
    "recurrent_activation": ("sigmoid", "hard_sigmoid"),
}
_DEFAULTS: Final = QuantizationSpace()
_TARGET_DEFAULTS: Final = {
    target: QuantizationSpace.model_validate(space) for target, space in TARGET_SPACES.items()
}


@dataclass(frozen=True, slots=True)
class Rule:
    """The limits of a layer, their JSON pointer in the job, and the pattern under which they are shared."""

    limits: LayerLimits
    pointer: str
    pattern: str | None

    def limit(self, spec: SearchSpec, field: str) -> Limit:
        """The limit of a field, else the job's default, else that of every job."""
        limit, default = self.limits.limit_of(field), spec.limits.default.limit_of(field)
        return limit if limit is not None else default if default is not None else DEFAULT_LIMIT


@dataclass(frozen=True, slots=True)
class Remark:
    """What a user should know of the candidates of a layer: alike remarks about several layers are one warning."""

    layer: str
    text: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What a space has for a slot: its candidates, and all that a limit may name besides."""

    candidates: tuple[Candidate, ...]
    also: tuple[Candidate, ...] = ()
    function: Function | None = None  #: None: the slot holds no function, or the space ignores it
    remark: str = ""
    named: bool = True  #: whether the job lists the candidates; otherwise it has them by default

    @property
    def nameable(self) -> tuple[Candidate, ...]:
        """Everything that a list of limits may name, once."""
        return tuple(
            {candidate.quantizer: candidate for candidate in (*self.candidates, *self.also)}.values()
        )


def offer(spec: SearchSpec, layer: Layer, slot: str, field: str) -> Offer:
    """The candidates of a slot: of a function those that compute it, unless the job names others for it."""
    space = spec.quantizers
    listed = _usable(space.candidates_of(field), layer, slot)
    named = all(space.candidates_of(field) != usual.candidates_of(field) for usual in _defaults(spec))
    if field not in _FIELDS or space.selection == "autoqkeras":
        return Offer(listed, named=named)
    function = function_in(layer, slot)
    if function.name in space.functions:
        return Offer(_usable(space.functions[function.name], layer, slot), listed, function)
    fitting = tuple(entry for entry in listed if fit(function, entry.quantizer) is not Fit.OTHER)
    is_default = space.candidates_of(field) == _DEFAULTS.candidates_of(field)
    if fitting and (not is_default or (function.name in _FIELDS[field] and fitting == listed)):
        return Offer(fitting, listed, function, _left_out(function, fitting, listed), named)
    usual = _usable(_usual(function, field), layer, slot)
    remark = "" if is_default else _none_fits(function, field, usual)
    return Offer(usual, listed, function, remark, named=False)


def _defaults(spec: SearchSpec) -> tuple[QuantizationSpace, ...]:
    """The spaces whose lists a job has without writing them: those of every job, and of its target."""
    return (_DEFAULTS, _TARGET_DEFAULTS[spec.target]) if spec.target in _TARGET_DEFAULTS else (_DEFAULTS,)


def _usable(candidates: Sequence[Candidate], layer: Layer, slot: str) -> tuple[Candidate, ...]:
    return tuple(candidate for candidate in candidates if allows(layer, slot, candidate.quantizer))


def _usual(function: Function, field: str) -> tuple[Candidate, ...]:
    """The candidates of a function that a job says nothing of."""
    if function == RELU:
        return _DEFAULTS.activation
    if function == LINEAR:
        return _DEFAULTS.linear
    return tuple(Candidate(quantizer=spec, bits=spec.bits) for spec in default_quantizers(function))


def _none_fits(function: Function, field: str, usual: Sequence[Candidate]) -> str:
    return (
        f"no candidate of quantizers.{field} computes {function}, so these are used: {_listed(usual)}; name others"
        f" under quantizers.functions.{function.name}"
    )


def _left_out(function: Function, fitting: Sequence[Candidate], listed: Sequence[Candidate]) -> str:
    left = [candidate for candidate in listed if candidate not in fitting]
    return (
        f"{_listed(left)} would replace {function} and are left out; to use them, name them under"
        f" quantizers.functions.{function.name} or in limits.by_name"
        if left
        else ""
    )


def _listed(candidates: Sequence[Candidate]) -> str:
    return ", ".join(str(candidate.quantizer) for candidate in candidates)


# --- limits -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Allowed:
    """The quantizers of a slot within its limit, or the problems that leave none."""

    quantizers: tuple[QuantizerSpec, ...]
    problems: tuple[Problem, ...] = ()
    remarks: tuple[Remark, ...] = ()
    named: bool = True  #: whether the job lists them; otherwise it has them by default


def allowed(spec: SearchSpec, layer: Layer, slot: str, field: str, rule: Rule) -> Allowed:
    """What a layer's limit leaves of the candidates of a slot."""
    offered, limit = offer(spec, layer, slot, field), rule.limit(spec, field)
    pointer = f"{rule.pointer}/{field}"
    if not isinstance(limit, int):
        return _named(offered, quantizers_of(limit), layer, slot, field, rule)
    quantizers = tuple(entry.quantizer for entry in offered.candidates if entry.bits <= limit)
    if not quantizers and field == "output" and rule.limits.output is None and offered.candidates:
        # Nobody has named this output: a limit on activations narrows it, but does not leave it without a quantizer.
        narrowest = min(entry.bits for entry in offered.candidates)
        quantizers = tuple(entry.quantizer for entry in offered.candidates if entry.bits == narrowest)
    if quantizers:
        remarks = (Remark(layer.name, offered.remark),) if offered.remark else ()
        return Allowed(quantizers, remarks=remarks, named=offered.named)
    text = (
        f"layer {layer.name!r} has no {field} quantizer within the limit of {limit} bits{_of(offered.function)};"
        f" the space offers {_with_bits(offered.candidates)}"
    )
    return Allowed((), (Problem(pointer, text),))


def _named(
    offered: Offer, named: Sequence[QuantizerSpec], layer: Layer, slot: str, field: str, rule: Rule
) -> Allowed:
    """What a list of quantizers leaves: under a class what the space has that computes the layer's function.

    Under a pattern all of it, in the space or not: a single one fixes the quantizer of these layers.
    """
    pointer = f"{rule.pointer}/{field}"
    nameable = [candidate.quantizer for candidate in offered.nameable]
    outside = [quantizer for quantizer in named if quantizer not in nameable]
    unknown = [
        str(quantizer) for quantizer in outside if rule.pattern is None or not allows(layer, slot, quantizer)
    ]
    if unknown:
        text = (
            f"layer {layer.name!r}: {', '.join(unknown)} not in the {field} space, which offers"
            f" {_with_bits(offered.nameable)}"
        )
        return Allowed((), (Problem(pointer, text),))
    function = offered.function
    quantizers = (*(quantizer for quantizer in nameable if quantizer in named), *outside)
    if rule.pattern is None and function is not None:
        chosen = [candidate.quantizer for candidate in offered.candidates]
        quantizers = tuple(
            entry for entry in quantizers if entry in chosen or fit(function, entry) is not Fit.OTHER
        )
    if quantizers:
        return Allowed(quantizers)
    text = f"layer {layer.name!r} has no {field} quantizer within the limit [{', '.join(map(str, named))}]"
    if function is not None and named:
        text += (
            f": none of them computes {function}. Add one that does, such as {_listed(offered.candidates)}, or name the"
            " layer under limits.by_name to replace its function"
        )
    else:
        text += f"; the space offers {_with_bits(offered.candidates)}"
    return Allowed((), (Problem(pointer, text),))


def replaced(layer: Layer, slot: str, field: str, quantizers: Sequence[QuantizerSpec]) -> str | None:
    """A sentence about the quantizers that put another function in the place of the layer's; None: all compute it."""
    function = function_in(layer, slot) if field in _FIELDS else None
    if function is None:
        return None
    others = [str(quantizer) for quantizer in quantizers if fit(function, quantizer) is Fit.OTHER]
    if not others:
        return None
    what = "" if slot == "activation" else f" in {slot}"
    return f"layer {layer.name!r}: {function}{what} is replaced by {', '.join(others)}"


def _of(function: Function | None) -> str:
    return "" if function is None else f" that computes {function}"


def _with_bits(candidates: Sequence[Candidate]) -> str:
    return ", ".join(f"{entry.quantizer} ({entry.bits} bits)" for entry in candidates) or "nothing"
