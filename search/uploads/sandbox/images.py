"""Images of class folders, and of columns of tables, as arrays of bytes. Pillow decodes them, each once."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np

from search.uploads.sandbox.values import PARTS, Converted, Options, RefusedData, check_numbers

#: Endings of files that are read as images.
IMAGES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def of_folders(archive: zipfile.ZipFile, names: Sequence[str], options: Options) -> Converted:
    """Images in class folders, which may be in folders of the parts."""
    if options.target or options.ignore or options.task != "auto":
        raise RefusedData(
            "holds images in class folders: target, ignore and task are for tables, leave them out"
        )
    places = [_place(name) for name in names]
    parts = {part for part, _ in places}
    if "" in parts and len(parts) > 1:
        raise RefusedData("has folders of parts (train, val, test) beside class folders; use one of both")
    classes = sorted({label for _, label in places})
    converted = Converted("images", classes=classes)
    numbers = {label: number for number, label in enumerate(classes)}
    grays = all_gray(lambda: ((name, archive.read(name)) for name in names))
    for part in sorted(parts):
        chosen = [(name, label) for name, (of, label) in zip(names, places, strict=True) if of == part]
        pixels = ((name, archive.read(name)) for name, _ in chosen)
        converted.arrays[f"x{part}"] = pixels_of(pixels, len(chosen), grays, options)
        converted.arrays[f"y{part}"] = np.array([numbers[label] for _, label in chosen], np.int64)
    return converted


def _place(name: str) -> tuple[str, str]:
    """Part and class of an image, by its folders."""
    folders = PurePosixPath(name).parts[:-1]
    if not folders or folders[-1].lower() in PARTS:
        raise RefusedData(f"{name[:100]!r} is in no class folder: put images into a folder for each class")
    part = PARTS.get(folders[-2].lower(), "") if len(folders) > 1 else ""
    return part, folders[-1]


def _image(name: str, content: bytes) -> Any:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = 1 << 26
    try:
        image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "BMP", "WEBP"))
        if image.width * image.height > 1 << 26:
            raise RefusedData(f"{name[:100]!r} has {image.width}x{image.height} pixels, more than 2^26")
        return image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RefusedData(f"{name[:100]!r} is no readable image: {str(error)[:100]}") from error


def all_gray(images: Callable[[], Iterator[tuple[str, bytes]]]) -> bool:
    """Whether all images have one channel; reads their headers."""
    for name, content in images():
        mode = _image(name, content).mode
        if mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"):
            raise RefusedData(
                f"{name[:100]!r} has pixels of the kind {mode}: save it with 8 bits for each channel"
            )
        if mode not in ("1", "L"):
            return False
    return True


def pixels_of(images: Iterator[tuple[str, bytes]], count: int, gray: bool, options: Options) -> Any:
    """Images as bytes: (count, height, width, channels)."""
    pixels: Any = None
    first = ""
    for index, (name, content) in enumerate(images):
        image = _image(name, content)
        try:
            image = image.convert("L" if gray else "RGB")
        except (OSError, ValueError, SyntaxError) as error:
            raise RefusedData(f"{name[:100]!r} is no readable image: {str(error)[:100]}") from error
        if options.image_size is not None:
            image = image.resize(options.image_size[::-1])
        values = np.asarray(image, np.uint8).reshape(image.height, image.width, -1)
        if pixels is None:
            first = f"{name[:100]!r} {image.width}x{image.height}"
            check_numbers(count * values.size)
            pixels = np.empty((count, *values.shape), np.uint8)
        if values.shape != pixels.shape[1:]:
            raise RefusedData(
                f"images have different sizes, {first} and {name[:100]!r} {image.width}x{image.height} (width x"
                " height): state the size that all are resized to (image_size)"
            )
        pixels[index] = values
    return pixels
