"""Data sets: `describe` reads headers and labels for a dry run, `load` the arrays for a trial. Plain numpy."""

from search.data.describe import DataInfo, describe
from search.data.load import Dataset, load
from search.data.preprocessing import EVENTS, InputScaling, Preprocessing
from search.data.targets import TargetScaling

__all__ = [
    "EVENTS",
    "DataInfo",
    "Dataset",
    "InputScaling",
    "Preprocessing",
    "TargetScaling",
    "describe",
    "load",
]
