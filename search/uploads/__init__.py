"""Uploaded files, checked by their bytes alone. Standard library and numpy; no Keras, no h5py.

Tables and images are made into arrays by a process without privileges (`convert`).
`check_model` and `check_data` read a whole file and return its contents; `UploadFault` states what is wrong with it.
"""

from search.upload_file import Conversion, UploadFault, check_data_start, check_model_start
from search.uploads.conversion import Converted, convert, is_converted
from search.uploads.data import ArrayInfo, CheckedData, check_data
from search.uploads.models import (
    CheckedModel,
    check_model,
    read_architecture,
    write_weights,
)

__all__ = [
    "ArrayInfo",
    "CheckedData",
    "CheckedModel",
    "Conversion",
    "Converted",
    "UploadFault",
    "check_data",
    "check_data_start",
    "check_model",
    "check_model_start",
    "convert",
    "is_converted",
    "read_architecture",
    "write_weights",
]
