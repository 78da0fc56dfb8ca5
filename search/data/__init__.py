"""Data sets: `describe` reads headers and labels for a dry run, `load` the arrays for a trial. Plain numpy."""

from search.data.describe import DataInfo, describe
from search.data.load import Dataset, InputScaling, load
from search.data.targets import TargetScaling

__all__ = ["DataInfo", "Dataset", "InputScaling", "TargetScaling", "describe", "load"]
