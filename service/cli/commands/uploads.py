"""The commands about models and data sets: upload, models, datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from service.cli.options import AsJson, Url

_Delete = Annotated[
    str | None, typer.Option("--delete", metavar="ID", help="Delete this upload instead of listing.")
]

_Download = Annotated[
    str | None, typer.Option("--download", metavar="ID", help="Download this upload instead of listing.")
]
_Folder = Annotated[Path, typer.Option("--output", "-o", help="Folder to download to.", file_okay=False)]


#: Endings of the files of data sets.
_DATA = (".npz", ".npy", ".csv", ".tsv", ".parquet", ".zip")


def upload(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Model: .keras, or an architecture as JSON. Data set: .npz, .csv, .parquet, or .zip of class folders"
            " with images; or several: .npy by array, or train.csv, val.csv and test.csv.",
            dir_okay=False,
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the upload; default: that of the file.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COLUMN", help="Of a table: the column of the targets.")
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="COLUMN", help="Leave this column out; repeatable."),
    ] = None,
    task: Annotated[
        Literal["auto", "classes", "values"],
        typer.Option("--task", help="Of a table: whether targets are classes or numbers."),
    ] = "auto",
    image_size: Annotated[
        str | None,
        typer.Option("--image-size", metavar="HEIGHTxWIDTH", help="Resize images, to 32x32 for example."),
    ] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Upload a model or a data set.

    Prints the line that a job needs to use it.
    """
    from search.uploads import Conversion
    from service.cli.connection import connect
    from service.cli.output import show
    from service.cli.text.uploads import upload_text
    from service.client.packing import packed

    is_dataset = all(file.suffix.lower() in _DATA for file in files)
    if len(files) > 1 and not is_dataset:
        raise typer.BadParameter(f"several files make a data set: they must end in {', '.join(_DATA)}")
    conversion = Conversion(target, tuple(ignore or ()), task, _size(image_size))
    stated = None if conversion == Conversion() else conversion
    if stated is not None and not is_dataset:
        raise typer.BadParameter("--target, --ignore, --task and --image-size are for data sets")
    with connect(url) as client:
        if not is_dataset:
            show(client.upload_model(files[0], name), upload_text, as_json=as_json)
        elif len(files) == 1 and files[0].suffix.lower() != ".npy":
            show(client.upload_dataset(files[0], name, stated), upload_text, as_json=as_json)
        else:
            with packed(files) as path:
                view = client.upload_dataset(path, name or files[0].name, stated)
            show(view, upload_text, as_json=as_json)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and (width or height).isdigit()):
        raise typer.BadParameter("--image-size takes HEIGHTxWIDTH, such as 32x32")
    return int(height), int(width or height)


def models(
    delete: _Delete = None,
    download: _Download = None,
    output: _Folder = Path(),
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """List the built-in networks and the uploaded models."""
    from service.cli.connection import connect
    from service.cli.files import show_written, writing
    from service.cli.output import show
    from service.cli.text.uploads import model_table

    with connect(url) as client:
        if download is not None:
            with writing(output):
                show_written(client.download_model(download, output), as_json=as_json)
        elif delete is None:
            show(list(client.models()), model_table, as_json=as_json)
        else:
            client.delete_model(delete)


def datasets(
    delete: _Delete = None,
    download: _Download = None,
    output: _Folder = Path(),
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """List the uploaded data sets."""
    from service.cli.connection import connect
    from service.cli.files import show_written, writing
    from service.cli.output import show
    from service.cli.text.uploads import dataset_table

    with connect(url) as client:
        if download is not None:
            with writing(output):
                show_written(client.download_dataset(download, output), as_json=as_json)
        elif delete is None:
            show(list(client.datasets()), dataset_table, as_json=as_json)
        else:
            client.delete_dataset(delete)
