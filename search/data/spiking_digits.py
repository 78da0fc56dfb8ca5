"""Digits as events, and a spiking network that classifies them: small, and the same on every machine.

`benchmarks/spiking_network.py` trained the network on the images of even index; the others are new to it.
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
    chosen = labels < CLASSES
    blocks = images[chosen].reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, INPUTS)
    return blocks / digits.LARGEST, labels[chosen]


def events_of(rates: NDArray[np.float64], steps: int) -> NDArray[np.uint8]:
    """Events (images, steps, inputs): after t steps an input has fired floor(t * rate + 1/2) times."""
    times = np.arange(steps + 1)[:, None]
    fired = np.floor(times * rates[:, None, :] + 0.5)
    return np.diff(fired, axis=1).astype(np.uint8)


def unseen() -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Rates and labels of the images the network was not trained on."""
    rates, labels = read_rates()
    return rates[1::2], labels[1::2]


def seen() -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Rates and labels of the images the network was trained on."""
    rates, labels = read_rates()
    return rates[::2], labels[::2]
