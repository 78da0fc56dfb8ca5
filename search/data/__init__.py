"""Data sets: `describe` reads headers and labels for a dry run, `load` the arrays for a trial. Plain numpy."""

from search.data.describe import DataInfo, describe
from search.data.load import Dataset, load, load_inputs
from search.data.preprocessing import EVENTS, InputScaling, Preprocessing
from search.data.targets import TargetScaling
from search.data.values import InputInfo

__all__ = [
    "EVENTS",
    "DataInfo",
    "Dataset",
    "InputInfo",
    "InputScaling",
    "Preprocessing",
    "TargetScaling",
    "describe",
    "load",
    "load_inputs",
]
