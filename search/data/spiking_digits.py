"""Digits as events, and the spiking network that tells them apart: small, and the same on every machine.

The network was trained on the images of even index, for one the events of the others are new. How:
`benchmarks/spiking_network.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.data import digits

#: Xylo Audio 2 has eight readouts.
CLASSES: Final = 8
INPUTS: Final = 16
#: Images the network was not trained on.
COUNT: Final = 721

NETWORK_FILE: Final = Path(__file__).with_name("spiking_digits.npz")


def read_rates() -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Rates (images, 16) from 0 to 1, and labels, of the digits 0 to 7. Raises as `digits.read_digits`."""
    images, labels = digits.read_digits()
    kept = labels < CLASSES
    blocks = images[kept].reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, INPUTS)
    return blocks / digits.LARGEST, labels[kept]


def events_of(rates: NDArray[np.float64], steps: int) -> NDArray[np.uint8]:
    """Events (images, steps, inputs): after t steps an input has fired floor(t * rate + 1/2) times."""
    moments = np.arange(steps + 1)[:, None]
    fired = np.floor(moments * rates[:, None, :] + 0.5)
    return np.diff(fired, axis=1).astype(np.uint8)


def unseen() -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Rates and labels of the images the network was not trained on."""
    rates, labels = read_rates()
    return rates[1::2], labels[1::2]


def seen() -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Rates and labels of the images the network was trained on."""
    rates, labels = read_rates()
    return rates[::2], labels[::2]
