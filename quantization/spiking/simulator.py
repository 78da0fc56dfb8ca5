"""Simulates a quantized spiking network step by step, in integers only, as cores of the Xylo family do. numpy only.

One step of a neuron with synaptic currents I (one or two), membrane V, shifts d ("dash") and threshold:
    I <- decay(saturate(I + weights * events), d_syn);   V <- saturate(V + saturate(sum I + decay(V, d_mem) - V) + bias)
    events = min(V // threshold, most events a step) where V >= threshold;   V <- V - events * threshold
with decay(x, d) = x - (x >> d), and one less towards zero where the shift gives nothing. A current saturates after
each source, the inputs first. Recurrence and readout see the hidden events of the step before. Every event is that of
SynSense's xylosim 0.1.3, Rockpool's `XyloSim`: tests/exports/test_xylo.py. Figures: Rockpool's overview of the family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from quantization.spiking.specification import Integers, SpecificationError, XyloParameters, with_synapses

MAX_DASH: Final = 15


@dataclass(frozen=True)
class XyloLimits:
    """Limits of a core. Defaults: Xylo Audio 2; `state_bits` is the width of currents and membranes with sign."""

    state_bits: int = 16
    max_input_events: int = 15
    max_hidden_events: int = 31
    max_readout_events: int = 1

    @property
    def largest_state(self) -> int:
        """The largest current or membrane."""
        return int(2 ** (self.state_bits - 1) - 1)

    def saturate(self, state: Integers) -> Integers:
        """Clipped to the width of states."""
        return np.clip(state, -self.largest_state - 1, self.largest_state)


@dataclass(frozen=True, eq=False)
class XyloActivity:
    """Activity of a network: events (..., steps, neurons) of hidden neurons and readouts, and the last membranes."""

    hidden: Integers
    readout: Integers
    membrane: Integers
    membrane_out: Integers

    @property
    def counts(self) -> Integers:
        """Events of each readout over all steps."""
        return np.asarray(self.readout.sum(axis=-2))


@dataclass(frozen=True, eq=False)
class _Population:
    """Neurons with the same role: weights (sources, neurons, synapses), shifts (synapses, neurons)."""

    weights: Integers
    dash_syn: Integers
    dash_mem: Integers
    threshold: Integers
    bias: Integers
    max_events: int
    limits: XyloLimits

    def initial(self, batch: tuple[int, ...]) -> tuple[Integers, Integers]:
        """Currents (synapses, ..., neurons) and membranes (..., neurons) at rest."""
        synapses, neurons = self.dash_syn.shape
        return np.zeros((synapses, *batch, neurons), np.int64), np.zeros((*batch, neurons), np.int64)

    def step(
        self, current: Integers, membrane: Integers, events: Integers
    ) -> tuple[Integers, Integers, Integers]:
        """Currents, membranes and events after one step with these events of the sources."""
        saturate = self.limits.saturate
        current = np.stack(
            [
                decay(self._received(current[index], events, self.weights[..., index]), self.dash_syn[index])
                for index in range(self.dash_syn.shape[0])
            ]
        )
        change = saturate(current.sum(axis=0) + decay(membrane, self.dash_mem) - membrane)
        membrane = saturate(membrane + change + self.bias)
        fired = np.clip(membrane // self.threshold, 0, self.max_events)
        return current, membrane - fired * self.threshold, fired

    def _received(self, current: Integers, events: Integers, weights: Integers) -> Integers:
        """A current with the events of all sources, saturated after each."""
        saturate = self.limits.saturate
        reach = np.abs(current) + events @ np.abs(weights)
        if reach.max(initial=0) <= self.limits.largest_state:  # no partial sum saturates
            return np.asarray(current + events @ weights)
        for source in range(len(weights)):
            current = saturate(current + events[..., source, np.newaxis] * weights[source])
        return current


def simulate(
    parameters: XyloParameters, events: npt.ArrayLike, limits: XyloLimits | None = None
) -> XyloActivity:
    """Run a network from rest on input events (..., steps, Nin): whole numbers, at most `max_input_events` a step.

    Raises `SpecificationError` for events of another shape or range, shifts outside 0..15 and thresholds below 1.
    """
    limits = limits if limits is not None else XyloLimits()
    inputs = _events(events, parameters.weights_in.shape[0], limits)
    hidden, readout = _hidden(parameters, limits), _readout(parameters, limits)
    batch, steps = inputs.shape[:-2], inputs.shape[-2]
    current, membrane = hidden.initial(batch)
    current_out, membrane_out = readout.initial(batch)
    fired = np.zeros_like(membrane)
    read_neurons = parameters.weights_out.shape[0]
    record, record_out = [], []
    for step in range(steps):
        sources = np.concatenate([inputs[..., step, :], fired], axis=-1)
        read = fired[..., fired.shape[-1] - read_neurons :]
        current, membrane, fired = hidden.step(current, membrane, sources)
        current_out, membrane_out, fired_out = readout.step(current_out, membrane_out, read)
        record.append(fired)
        record_out.append(fired_out)
    return XyloActivity(np.stack(record, -2), np.stack(record_out, -2), membrane, membrane_out)


def decay(state: Integers, dash: Integers) -> Integers:
    """x - (x >> dash); where that leaves a positive x as it is, x - 1."""
    lost = state >> dash
    return state - np.where((lost == 0) & (state > 0), 1, lost)


def _events(events: npt.ArrayLike, inputs: int, limits: XyloLimits) -> Integers:
    counts = np.asarray(events)
    if counts.ndim < 2 or counts.shape[-1] != inputs or counts.shape[-2] == 0:
        raise SpecificationError("events", f"must have shape (..., steps, {inputs}), has {counts.shape}")
    integers = counts.astype(np.int64)
    if not np.array_equal(integers, counts) or integers.min() < 0 or integers.max() > limits.max_input_events:
        raise SpecificationError("events", f"must be whole numbers from 0 to {limits.max_input_events}")
    return integers


def _hidden(parameters: XyloParameters, limits: XyloLimits) -> _Population:
    """The hidden neurons; their sources are the inputs, then the hidden neurons themselves."""
    neurons = parameters.weights_rec.shape[0]
    weights_in, weights_rec = with_synapses(parameters.weights_in), with_synapses(parameters.weights_rec)
    inputs = np.zeros((weights_in.shape[0], neurons, parameters.synapses), np.int64)
    inputs[:, : weights_in.shape[1]] = weights_in
    shifts = (
        [parameters.dash_syn]
        if parameters.synapses == 1 or parameters.dash_syn_2 is None
        else [parameters.dash_syn, parameters.dash_syn_2]
    )
    return _Population(
        weights=np.concatenate([inputs, weights_rec]),
        dash_syn=_shifts("dash_syn", np.stack(shifts)),
        dash_mem=_shifts("dash_mem", parameters.dash_mem),
        threshold=_threshold("threshold", parameters.threshold),
        bias=parameters.bias if parameters.bias is not None else np.zeros(neurons, np.int64),
        max_events=limits.max_hidden_events,
        limits=limits,
    )


def _readout(parameters: XyloParameters, limits: XyloLimits) -> _Population:
    return _Population(
        weights=parameters.weights_out[..., np.newaxis],
        dash_syn=_shifts("dash_syn_out", parameters.dash_syn_out[np.newaxis]),
        dash_mem=_shifts("dash_mem_out", parameters.dash_mem_out),
        threshold=_threshold("threshold_out", parameters.threshold_out),
        bias=parameters.bias_out
        if parameters.bias_out is not None
        else np.zeros(parameters.threshold_out.size, np.int64),
        max_events=limits.max_readout_events,
        limits=limits,
    )


def _shifts(name: str, dash: Integers) -> Integers:
    if dash.min() < 0 or dash.max() > MAX_DASH:
        raise SpecificationError(name, f"must be shifts of 0 to {MAX_DASH} places")
    return dash


def _threshold(name: str, threshold: Integers) -> Integers:
    if threshold.min() < 1:
        raise SpecificationError(name, "must be at least 1: a neuron at 0 would never stop")
    return threshold
