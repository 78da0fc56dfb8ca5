"""The cost of one inference of a network: energy by layer, bits, MACs, bit operations, peak activation memory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewbits.shadowing import CLIENT_ROOMS, refuse_shadows

refuse_shadows(CLIENT_ROOMS)

from search.cost.answer import price_network  # noqa: E402
from search.errors import InvalidSpec  # noqa: E402
from search.networks.zoo import ZOO  # noqa: E402
from search.uploads import read_architecture  # noqa: E402
from service.parsing import invalid_request, parse_cost_request  # noqa: E402
from service.schemas.cost import NetworkCostView  # noqa: E402

__all__ = ["NetworkCostView", "price"]


def price(
    model: Any,
    quantizers: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> NetworkCostView:
    """Price a network without a service, data or weights.

    `model`: a Keras model, its description (`to_json`), a `.keras` or `.json` file, or the name of a built-in network.
    `quantizers`: layer -> slot -> specification, for example `{"conv2d": {"kernel": "ternary"}}`; without them the
    reference is priced. `options`: the other fields of `POST /v1/cost`, such as `settings={"profile": "7nm"}`.
    Energies in pJ. Raises `service.errors.InvalidRequest`, whose `problems` name every fault.
    """
    document: dict[str, Any] = {"model": _described(model), **options}
    if quantizers is not None:
        document["quantizers"] = quantizers
    question = parse_cost_request(json.dumps(document, allow_nan=False).encode())
    try:
        return NetworkCostView.model_validate(price_network(question.spec).answer())
    except InvalidSpec as error:
        raise invalid_request(error, question.document) from None


def _described(model: Any) -> Any:
    """A model as the field `model` of a cost request."""
    if isinstance(model, str) and model in ZOO:
        return model
    if isinstance(model, str | os.PathLike):
        config: Any = read_architecture(Path(model))[0].document
    elif isinstance(model, Mapping):
        config = dict(model)
    else:
        config = json.loads(model.to_json())
    return {"kind": "architecture", "config": config}
