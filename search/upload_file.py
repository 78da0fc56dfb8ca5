"""An upload as client and service see it: how it is read, and what its first bytes tell. Standard library alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Format = Literal["keras", "json"]

#: How a zip archive, a Parquet file and an HDF5 file begin.
LOCAL: Final = b"PK\x03\x04"
PARQUET: Final = b"PAR1"
HDF5: Final = b"\x89HDF\r\n\x1a\n"

#: How files of other formats begin, and why they are refused.
_OTHERS: Final = (
    (
        HDF5,
        "is an HDF5 file: Keras' old .h5 format can run code when it is loaded; save the model as .keras",
    ),
    (b"\x80", "is a pickle, and reading one can run code; save the model as .keras"),
    (b"\x1f\x8b", "is compressed with gzip; send the .keras file or the JSON itself"),
    (b"\x08", "is a SavedModel or another protocol buffer, which can hold code; save the model as .keras"),
)


class UploadFault(ValueError):
    """Why a file is refused. `where`: the part of it, "config.json/config/layers/3" for example; "" for the whole.

    A reason continues the sentence "the file ...".
    """

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"{where}: {reason}" if where else f"the file {reason}")


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a table or an archive of images is read.

    `target`: column of the targets; None: that called target, label, class or y. `ignore`: columns that are left out.
    `task`: classes makes class numbers of the targets' distinct values, values numbers; auto: classes of texts.
    `image_size`: height and width that images are resized to; None: they must all have one size.
    """

    target: str | None = None
    ignore: tuple[str, ...] = ()
    task: Literal["auto", "classes", "values"] = "auto"
    image_size: tuple[int, int] | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Conversion:
        """What `to_json` wrote."""
        size = document.get("image_size")
        return cls(
            document.get("target"),
            tuple(document.get("ignore", ())),
            document.get("task", "auto"),
            None if size is None else (size[0], size[1]),
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "target": self.target,
            "ignore": list(self.ignore),
            "task": self.task,
            "image_size": None if self.image_size is None else list(self.image_size),
        }


def check_model_start(start: bytes) -> None:
    """UploadFault if a file with this start (64 bytes suffice) is not a model, so that the rest need not be sent."""
    format_of(start)


def format_of(start: bytes) -> Format:
    """The format of a model file with this start. UploadFault if it is none."""
    if not start:
        raise UploadFault("", "is empty")
    if start.startswith(LOCAL):
        return "keras"
    if start.lstrip(b" \t\r\n").startswith(b"{"):
        return "json"
    for signature, reason in _OTHERS:
        if start.startswith(signature):
            raise UploadFault("", reason)
    raise UploadFault("", "is neither a .keras file nor the JSON of a model")


def check_data_start(start: bytes) -> None:
    """UploadFault if a file with this start (64 bytes suffice) holds no data, so that the rest need not be sent."""
    if start.startswith(PARQUET) or is_text(start):
        return
    check_npz_start(start)


def check_npz_start(start: bytes) -> None:
    """UploadFault if a file with this start is no `.npz` file."""
    if not start:
        raise UploadFault("", "is empty")
    if start.startswith(b"\x80"):
        raise UploadFault("", "is a pickle, and reading one can run code; save the arrays with numpy.savez")
    if not start.startswith(LOCAL):
        raise UploadFault(
            "",
            "is not an .npz file (save the arrays with numpy.savez), nor CSV, Parquet, or a zip archive of tables or of"
            " images in class folders",
        )


def is_text(start: bytes) -> bool:
    """Whether a file with this start may be text in UTF-8."""
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # the last letter may be cut
            return False
        text = start[: error.start].decode("utf-8")
    return bool(text) and all(letter.isprintable() or letter in "\r\n\t\ufeff" for letter in text)
