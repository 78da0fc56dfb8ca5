"""Data sets: `describe` reads headers and labels, for dry runs; `load` the arrays, for trials. Plain numpy."""

from search.data.describe import DataInfo, describe
from search.data.load import Dataset, Scaling, load
from search.data.targets import TargetScaling

__all__ = ["DataInfo", "Dataset", "Scaling", "TargetScaling", "describe", "load"]
