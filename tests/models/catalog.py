"""The networks of `tests/models`, and what their jobs say besides the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import keras

from tests.models import images, sequences, several_inputs, tables


@dataclass(frozen=True)
class Entry:
    """A network as its user builds it. `job`: fields of its job; `chosen`: its trials run in every test run."""

    build: Callable[[], keras.Model]
    job: Mapping[str, Any] = field(default_factory=dict)
    chosen: bool = False
    tolerance: float = 2e-5  #: of outputs, relative to the largest: float32 sums in another order
    exact: bool = True  #: false: statistics of the user's are learned again from the job's training part

    @property
    def name(self) -> str:
        """The name of the function that builds it."""
        return self.build.__name__


_VALUES: Final = {"objective": "mse"}
_REBUILT: Final = {"objective": "mse", "data": {"targets": "inputs"}}

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(images.sequential_cnn),
    Entry(images.rescaled_cnn),
    Entry(images.rescaled_to_signs),
    Entry(images.rescaled_by_operators),
    Entry(images.normalized_images),
    Entry(images.augmented_cnn, chosen=True),
    Entry(images.augmented_sequential),
    Entry(images.batch_normalized),
    Entry(images.group_normalized),
    Entry(images.residual),
    Entry(images.residual_by_operators),
    Entry(images.squeeze_and_excitation),
    Entry(images.mobile),
    Entry(images.separable),
    Entry(images.dense_block),
    Entry(images.inception),
    Entry(images.parametric_functions),
    Entry(images.functions_as_layers),
    Entry(images.cropped),
    Entry(images.resized),
    Entry(images.autoencoder, _REBUILT),
    Entry(images.unet),
    Entry(images.foreground),
    Entry(images.nested_base, chosen=True),
    Entry(images.nested_sequential),
    Entry(images.frozen_layer),
    Entry(images.volumes),
    Entry(images.frames),
    Entry(images.patches),
    Entry(sequences.lstm),
    Entry(sequences.stacked_gru),
    Entry(sequences.bidirectional),
    Entry(sequences.simple_rnn),
    Entry(sequences.masked_series),
    Entry(sequences.masked_sequential),
    Entry(sequences.words),
    Entry(sequences.masked_words),
    Entry(sequences.masked_words_functional, chosen=True),
    Entry(sequences.text_cnn),
    Entry(sequences.transformer),
    Entry(sequences.causal_attention),
    Entry(sequences.tagger),
    Entry(sequences.temporal_cnn),
    Entry(sequences.keywords),
    Entry(sequences.separable_series),
    Entry(sequences.upsampled, _REBUILT),
    Entry(sequences.repeated, _REBUILT),
    Entry(sequences.differences),
    Entry(sequences.first_channel, _VALUES),
    Entry(sequences.steps_by_model),
    Entry(sequences.windows_by_convolution),
    Entry(sequences.dot_attention),
    Entry(sequences.matrix_attention),
    Entry(tables.mlp),
    Entry(tables.mlp_without_input),
    Entry(tables.binary),
    Entry(tables.regression, _VALUES, exact=False),
    Entry(tables.normalized_later),
    Entry(tables.self_normalizing),
    Entry(tables.regularized),
    Entry(tables.layer_normalized),
    Entry(tables.highway),
    Entry(tables.wide_and_deep, _VALUES),
    Entry(tables.split_features),
    Entry(tables.clipped),
    Entry(tables.tied, chosen=True),
    Entry(tables.tied_branches),
    Entry(tables.mixed_precision, tolerance=1e-3),
    Entry(tables.named_output),
    Entry(
        tables.two_outputs,
        {
            "objective": {"metric": "accuracy", "output": "kind"},
            "training": {"loss": {"kind": "crossentropy", "size": "mse"}},
        },
    ),
    Entry(tables.deep_nesting),
    Entry(several_inputs.image_and_numbers, chosen=True),
    Entry(several_inputs.named_inputs, {"data": {"preprocessing": {"numbers": "none"}}}),
    Entry(several_inputs.named_inputs_and_outputs, several_inputs.TWO_LOSSES, chosen=True),
    Entry(several_inputs.twins),
    Entry(several_inputs.words_and_numbers),
    Entry(several_inputs.scaled_inputs),
    Entry(several_inputs.series_of_two_sensors),
    Entry(several_inputs.nested_towers),
    Entry(several_inputs.question_and_context),
    Entry(several_inputs.one_named_input),
    Entry(tables.ensemble),
)
