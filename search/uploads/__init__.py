"""Files that strangers upload, checked by their bytes alone. Standard library and numpy; no Keras, no h5py.

`check_model` and `check_data` read a file from end to end and say what is in it; `UploadFault` says what is wrong.
"""

from search.uploads.data import ArrayInfo, DataFile, check_data, check_data_start
from search.uploads.faults import UploadFault
from search.uploads.models import ModelFile, check_model, check_model_start, read_architecture, write_weights

__all__ = [
    "ArrayInfo",
    "DataFile",
    "ModelFile",
    "UploadFault",
    "check_data",
    "check_data_start",
    "check_model",
    "check_model_start",
    "read_architecture",
    "write_weights",
]
