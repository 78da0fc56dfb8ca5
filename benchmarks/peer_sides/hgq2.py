"""HGQ2's side of `benchmarks.front`: one training with a rising beta; a point at the end of every epoch.

    python hgq2.py EXAMPLES.npz EPOCHS GRANULARITY SEED

GRANULARITY: `weight` (HGQ2's default: each weight has a width; activations have one an element) or `tensor`. Prints, as
its last line, [[accuracy on the validation data, EBOPs of the trained weights], ...] as JSON. An activation counts the
bits of its quantizers without their signs, a weight those from the first to the last one set in its value.
"""

import contextlib
import json
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from hgq.config import LayerConfigScope, QuantizerConfigScope
from hgq.layers import QConv2D, QDense
from hgq.utils.sugar import BetaScheduler, PieceWiseSchedule

#: Beta rises by equal factors between these, over the whole training.
BETA = (1e-7, 1e-4)

#: Fraction bits that values are read with; HGQ2's quantizers have fewer.
FRACTION_BITS = 24


def network(granularity):
    """The digits network; its batch normalizations are folded, so that its convolutions have a bias."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(QuantizerConfigScope(place="all", default_q_type="kbi", overflow_mode="SAT_SYM"))
        stack.enter_context(
            QuantizerConfigScope(place="datalane", default_q_type="kif", overflow_mode="WRAP")
        )
        if granularity == "tensor":
            stack.enter_context(QuantizerConfigScope(place="all", heterogeneous_axis=()))
        stack.enter_context(LayerConfigScope(enable_ebops=True, beta0=BETA[0]))
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                QConv2D(16, 3, strides=2, padding="same", activation="relu"),
                QConv2D(32, 3, strides=2, padding="same", activation="relu"),
                keras.layers.Flatten(),
                QDense(10),
            ]
        )


def used_bits(values):
    """Bits from the first to the last one set in the magnitude of each value."""
    codes = np.rint(np.abs(np.asarray(values, np.float64)) * 2.0**FRACTION_BITS).astype(np.int64)
    odd = codes // np.maximum(codes & -codes, 1)
    return np.where(odd > 0, np.floor(np.log2(np.maximum(odd, 1))) + 1, 0)


def ebops(layer):
    """EBOPs of a layer with its trained weights: products, padded ones too, and biases."""
    shape = (1, *layer.input.shape[1:])
    inputs = keras.ops.convert_to_numpy(layer.iq.bits_(shape)).reshape(shape)
    weights = used_bits(keras.ops.convert_to_numpy(layer.kq(layer.kernel)))
    bias = used_bits(keras.ops.convert_to_numpy(layer.bq(layer.bias)))
    outputs = int(np.prod(layer.output.shape[1:]))
    if isinstance(layer, QDense):
        return float(inputs[0] @ weights @ np.ones(weights.shape[1])) + outputs * float(bias.mean())
    convolved = keras.ops.conv(
        inputs.astype("float32"), weights.astype("float32"), strides=layer.strides, padding=layer.padding
    )
    ones = keras.ops.conv(
        np.ones(shape, "float32"),
        np.ones(weights.shape, "float32"),
        strides=layer.strides,
        padding=layer.padding,
    )
    padded = outputs * float(np.prod(weights.shape[:-1])) / float(keras.ops.sum(ones))
    return float(keras.ops.sum(convolved)) * padded + outputs * float(bias.mean())


class Points(keras.callbacks.Callback):
    """Notes accuracy and EBOPs of every epoch."""

    def __init__(self):
        super().__init__()
        self.points = []

    def on_epoch_end(self, epoch, logs=None):
        """One point."""
        layers = [layer for layer in self.model.layers if isinstance(layer, QConv2D | QDense)]
        self.points.append((float(logs["val_accuracy"]), sum(ebops(layer) for layer in layers)))


def main():
    """Train and print."""
    path, epochs, granularity, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    keras.utils.set_random_seed(seed)
    with np.load(path) as stored:
        data = {name: stored[name] for name in stored.files}
    model = network(granularity)
    model.compile(
        keras.optimizers.Adam(5e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    points = Points()
    schedule = PieceWiseSchedule([(0, BETA[0], "log"), (epochs, BETA[1], "constant")])
    model.fit(
        data["x_train"],
        data["y_train"],
        validation_data=(data["x_validation"], data["y_validation"]),
        batch_size=64,
        epochs=epochs,
        verbose=0,
        callbacks=[BetaScheduler(schedule), points],
    )
    print(json.dumps(points.points))


if __name__ == "__main__":
    main()
