"""The commands about models and data sets: upload, models, datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import AsJson, Url

_Delete = Annotated[
    str | None, typer.Option("--delete", metavar="ID", help="Delete this upload instead of listing.")
]


def upload(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Model: .keras, or an architecture as JSON. Data set: .npz.",
            dir_okay=False,
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the upload; default: that of the file.")
    ] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Upload a model or a data set.

    Prints the line that a job needs to use it.
    """
    from service.cli.connection import connect
    from service.cli.output import show
    from service.cli.text.uploads import upload_text

    with connect(url) as client:
        is_dataset = file.suffix.lower() == ".npz"
        view = client.upload_dataset(file, name) if is_dataset else client.upload_model(file, name)
    show(view, upload_text, as_json=as_json)


def models(delete: _Delete = None, url: Url = "", as_json: AsJson = False) -> None:
    """List the built-in networks and the uploaded models."""
    from service.cli.connection import connect
    from service.cli.output import show
    from service.cli.text.uploads import model_table

    with connect(url) as client:
        if delete is None:
            show(list(client.models()), model_table, as_json=as_json)
        else:
            client.delete_model(delete)


def datasets(delete: _Delete = None, url: Url = "", as_json: AsJson = False) -> None:
    """List the uploaded data sets."""
    from service.cli.connection import connect
    from service.cli.output import show
    from service.cli.text.uploads import dataset_table

    with connect(url) as client:
        if delete is None:
            show(list(client.datasets()), dataset_table, as_json=as_json)
        else:
            client.delete_dataset(delete)
