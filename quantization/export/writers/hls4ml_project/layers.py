"""The table of layers for hls4ml: what writes each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from costmodel.layer_classes import INPUT, TRAINING_ONLY
from quantization.export.writers.hls4ml_project import moves, products, sequences
from quantization.export.writers.hls4ml_project.products import Builder
from quantization.export.writers.hls4ml_project.project import Project, Signal
from quantization.export.writers.hls4ml_project.types import Span
from quantization.graph import Call


def _unchanged(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    return inputs[0]


def _of_ranks(name: str, builder: Builder) -> dict[str, Builder]:
    return {name.format(rank): builder for rank in (1, 2)}


#: Class of the Keras layer -> what writes it.
LAYERS: Final[Mapping[str, Builder]] = MappingProxyType(
    dict.fromkeys(sorted(TRAINING_ONLY), _unchanged)
    | dict.fromkeys(("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax", INPUT), _unchanged)
    | _of_ranks("Conv{}D", products.convolution)
    | _of_ranks("DepthwiseConv{}D", products.depthwise_layer)
    | _of_ranks("SeparableConv{}D", products.separable)
    | _of_ranks("MaxPooling{}D", moves.pooling("Max"))
    | _of_ranks("AveragePooling{}D", moves.pooling("Average"))
    | _of_ranks("GlobalMaxPooling{}D", moves.global_pooling("Max"))
    | _of_ranks("GlobalAveragePooling{}D", moves.global_pooling("Average"))
    | _of_ranks("ZeroPadding{}D", moves.zero_padding)
    | _of_ranks("Cropping{}D", moves.cropping)
    | _of_ranks("UpSampling{}D", sequences.resized)
    | {
        "Add": moves.merge("add", Span.plus),
        "Average": moves.merge("average", moves.mean_of_two),
        "Bidirectional": sequences.both_ways,
        "BatchNormalization": products.normalization,
        "Concatenate": moves.concatenate,
        "Dense": products.dense,
        "Dot": sequences.dot,
        "Embedding": sequences.embedding,
        "Flatten": moves.reshape,
        "GRU": sequences.recurrent,
        "LSTM": sequences.recurrent,
        "Maximum": moves.merge("maximum", Span.hull),
        "Minimum": moves.merge("minimum", Span.hull),
        "Multiply": moves.merge("multiply", Span.times),
        "Permute": moves.permutation,
        "Reshape": moves.reshape,
        "Subtract": moves.merge("subtract", Span.minus),
    }
)
