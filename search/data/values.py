"""Which numbers a network receives: the range that an input quantizer has to hold. Plain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from costmodel.layer import Shape
from search.data.preprocessing import Method, Preprocessing, StoredExamples

#: Standard deviations that the input quantizer of standardized features holds; what lies farther out is clipped.
STANDARD_REACH: Final = 4.0


@dataclass(frozen=True, slots=True)
class InputValues:
    """The smallest and the largest number that a network receives; `whole`: all are whole numbers."""

    low: float
    high: float
    whole: bool = False

    @property
    def reach(self) -> float:
        """The largest magnitude."""
        return max(-self.low, self.high)


#: Of images that are centered.
CENTERED: Final = InputValues(-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class InputInfo:
    """An input of a network: its layer, the shape of an example, what is done to examples, what the network receives.

    `name`: empty where no network is named.
    """

    name: str
    shape: Shape
    preprocessing: Preprocessing
    values: InputValues = CENTERED


def input_values(
    preprocessing: Preprocessing, examples: StoredExamples, stored_range: Callable[[], tuple[float, float]]
) -> InputValues:
    """What preprocessing makes of stored examples. `stored_range` reads them: called only where it is needed."""
    values = _of_method(preprocessing.method, examples, stored_range)
    steps = preprocessing.steps
    if not steps.layers:
        return values
    count = max(len(steps.scale), len(steps.offset))
    pairs = zip(steps.scale * count, steps.offset * count, strict=False)
    ends = [end * scale + offset for scale, offset in pairs for end in (values.low, values.high)]
    return InputValues(min(ends), max(ends))


def _of_method(
    method: Method, examples: StoredExamples, stored_range: Callable[[], tuple[float, float]]
) -> InputValues:
    if method == "standard":
        return InputValues(-STANDARD_REACH, STANDARD_REACH)
    known = {"b": (0.0, 1.0)}.get(examples.dtype.kind, (0.0, 255.0) if examples.dtype == "uint8" else None)
    low, high = stored_range() if known is None else known
    if method == "none":
        return InputValues(low, high, whole=examples.dtype.kind in "biu")
    largest = max(-low, high) or 1.0
    if method == "unit":
        return InputValues(low / largest, high / largest)
    return InputValues((low - high) / largest, (high - low) / largest)  # whatever the mean is
