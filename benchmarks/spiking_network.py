"""How the network `spiking_digits` was made: `python -m benchmarks.spiking_network -o FILE`.

A perceptron of 16 inputs, 48 hidden units and 8 outputs is trained on rates; its hidden layer becomes spiking neurons,
and the readout is fitted again, by logistic regression, to what these neurons count. Prints the accuracy on the images
that were not trained on, at 8 bits a weight and 16 a threshold.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from quantization.spiking import METHODS
from quantization.spiking.simulator import simulate
from quantization.spiking.specification import XyloSpecification
from search.data.spiking_digits import CLASSES, events_of, seen, unseen

HIDDEN, STEPS = 48, 32


def main() -> None:
    """Train, write the file, say how good it is."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    target = parser.parse_args().output
    arrays = _trained()
    np.savez_compressed(target, **{name: value.astype(np.float32) for name, value in arrays.items()})
    rates, labels = unseen()
    network = METHODS["global"](XyloSpecification.from_arrays(arrays))
    counts = simulate(network, events_of(rates, STEPS)).counts
    print(f"{target}: accuracy {np.mean(counts.argmax(axis=-1) == labels):.4f} on {len(labels)} images")


def _trained() -> dict[str, np.ndarray]:
    rates, labels = seen()
    events = events_of(rates, STEPS)
    perceptron = MLPClassifier((HIDDEN,), max_iter=1000, random_state=0, alpha=1e-3).fit(rates, labels)
    weights, bias = perceptron.coefs_[0], perceptron.intercepts_[0]
    arrays = {
        "weights_in": weights,
        "weights_rec": np.zeros((HIDDEN, HIDDEN)),
        "weights_out": np.eye(HIDDEN, CLASSES),
        "threshold": np.full(HIDDEN, 2 * np.abs(rates @ weights + bias).max()),
        "threshold_out": np.ones(CLASSES),
        "dash_mem": np.full(HIDDEN, 4.0),
        "dash_mem_out": np.full(CLASSES, 4.0),
        "dash_syn": np.full(HIDDEN, 2.0),
        "dash_syn_out": np.full(CLASSES, 2.0),
        "bias": bias,
    }
    hidden = METHODS["global"](XyloSpecification.from_arrays(arrays))
    counts = simulate(hidden, events).hidden.sum(axis=1)
    readout = LogisticRegression(max_iter=5000, C=0.05).fit(counts, labels)
    drive = counts @ readout.coef_.T + readout.intercept_
    return arrays | {
        "weights_out": readout.coef_.T,
        "bias_out": readout.intercept_ / STEPS,
        "threshold_out": np.full(CLASSES, 3 * np.abs(drive).max() / STEPS),
    }


if __name__ == "__main__":
    main()
