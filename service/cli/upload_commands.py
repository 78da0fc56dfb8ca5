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
        Path, typer.Argument(metavar="FILE", help="Model: .keras or Keras' JSON. Data: .npz.", dir_okay=False)
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="What to call it; default: the file's name.")
    ] = None,
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Upload a model or data for jobs to name; prints what to write into a job."""
    from service.cli import session, uploads

    with session.client(url) as client:
        view = uploads.sent(client, file, name)
    session.show(view, uploads.advice, as_json=as_json)


def models(delete: _Delete = None, url: Url = "", as_json: AsJson = False) -> None:
    """List the networks that ship with fewbits, and the uploaded ones."""
    from service.cli import session, uploads

    with session.client(url) as client:
        if delete is not None:
            client.delete_model(delete)
            return
        session.show_many(list(client.models()), uploads.models, as_json=as_json)


def datasets(delete: _Delete = None, url: Url = "", as_json: AsJson = False) -> None:
    """List the uploaded data sets."""
    from service.cli import session, uploads

    with session.client(url) as client:
        if delete is not None:
            client.delete_dataset(delete)
            return
        session.show_many(list(client.datasets()), uploads.datasets, as_json=as_json)
